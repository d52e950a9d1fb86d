"""An autonomous client on a host of its own: as the page says, then a schedule, a power cut, a reboot, other nodes."""

from __future__ import annotations

import json
import re
from pathlib import Path

from packages.container import Container
from packages.page import Page
from packages.walk import Steps, bring

HOST = "rb-alone"
SOURCE = "/usr/share/perl5"
MINUTELY = (
    "rb global_schedule create --name minutely --client-id $(rb clients list --json | jq '.[0].id')"
    f" --resource-type 'File system' --resource {SOURCE} --backup-type incremental --pool-id Default --status run"
    " --storage-duration '1 month' --priority 100 --crypto nocrypt"
)
COPIES = "rubackup client copies --json | jq -c '[.copies[] | {id, rule, resource}]'"


class Alone:
    """One container that has no other."""

    def __init__(self, host: Container, page: Page, step: Steps) -> None:
        self._host = host
        self._page = page
        self._step = step

    def walk(self, packages: Path) -> None:
        """All of it."""
        host = self._host
        bring(host, packages)
        self._step("an autonomous client: rb_init -n autonomous-client -a /srv/backup, as the page says")
        said = self._page.take("Autonomous client", {HOST: host})[HOST]
        assert "rubackup_alone.service" in said, said
        self._looks_in_order()
        self._step("a rule that runs every minute")
        host.run(MINUTELY)
        host.until(f"{COPIES} | jq -e 'any(.rule > 0)'", 150)
        before = host.run(COPIES)
        self._step("the power goes while a backup runs, and comes back")
        host.run("rubackup client backup /usr/lib")
        host.crash()
        host.boot()
        self._comes_back(before)
        self._step("an orderly reboot")
        host.halt()
        host.boot()
        self._comes_back(before)
        self._others_are_refused()

    def _looks_in_order(self) -> None:
        host = self._host
        text = host.run("systemd-analyze security --no-pager rubackup_alone.service")
        match = re.search(r"Overall exposure level for \S+: ([\d.]+)", text)
        assert match is not None, text
        self._step(f"rubackup_alone: exposure {match[1]}; it listens on loopback alone; PostgreSQL is nobody")
        listening = [line.split()[3] for line in host.run("ss -Hltn").splitlines()]
        assert len(listening) >= 4, listening
        assert [at for at in listening if not at.startswith(("127.0.0.1:", "[::1]:"))] == [], listening
        users = set(host.run("ps -C postgres -o user:20=").split())
        assert users == {"nobody"}, users
        assert "Nothing is wrong." in host.run("rubackup config check")
        assert re.fullmatch(r"[0-9a-f]{16}", host.run("rubackup_client hwid | sed -n 3p").strip())
        assert host.run("stat -c %a /srv/backup").strip() == "700"

    def _comes_back(self, before: str) -> None:
        """The service starts with the host; what was reported as made is there, byte for byte."""
        host = self._host
        host.until("rubackup client copies --json", 120)
        there = {copy["id"]: copy for copy in json.loads(host.run(COPIES))}
        for copy in json.loads(before):
            assert there[copy["id"]] == copy, there
        made = next(copy["id"] for copy in there.values() if copy["rule"])
        host.run(f"rm -rf /srv/restored && rubackup client restore {made} --to /srv/restored --wait")
        host.run(f"diff -r --no-dereference {SOURCE} /srv/restored{SOURCE}")
        host.run(f"rubackup client backup {SOURCE} --wait")

    def _others_are_refused(self) -> None:
        """What this host is already is told, and nothing is changed; removal leaves the folder."""
        host = self._host
        self._step("other nodes are refused; --change-node lets it join a server, whose copies stay readable; purge")
        config = host.read("/opt/rubackup/etc/config.file")
        said = host.run(f"rb_init -n client -c backup.example --fingerprint {'0' * 64}", status=1)
        assert "rubackup up --state /srv/backup" in said, said
        assert host.read("/opt/rubackup/etc/config.file") == config
        host.run("systemctl disable --now rubackup_alone")
        assert host.run("pgrep -fc '[/]srv/backup' || true").strip() == "0"
        host.run("rubackup up --detach --state /srv/backup")
        host.run("RB_PROFILE=old rb login --state /srv/backup && RB_PROFILE=old rb repository list | grep -q perl5")
        host.run("rubackup down --state /srv/backup")
        host.run("apt-get purge -y rubackup-client rubackup-common")
        assert host.run("ls /srv/backup/pools/Default").strip()
