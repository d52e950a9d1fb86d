"""An autonomous client on a host of its own: as the page says, then a schedule, a power cut, upgrades, a lost catalogue, other nodes."""

from __future__ import annotations

import json
import re
from pathlib import Path

from packages.container import Container
from packages.page import Page
from packages.walk import Steps, bring

HOST = "rb-alone"
SOURCE = "/usr/share/perl5"
UNITS = ("rubackup_alone", "rubackup_postgres")
SERVER = "rubackup-postgres"
DATA = "/srv/backup/postgres/data"
MINUTELY = (
    "rb global_schedule create --name minutely --client-id $(rb clients list --json | jq '.[0].id')"
    f" --resource-type 'File system' --resource {SOURCE} --backup-type incremental --pool-id Default --status run"
    " --storage-duration '1 month' --priority 100 --crypto nocrypt --min '*' --hour '*'"
)
COPIES = "rubackup client copies --json | jq -c '[.copies[] | {id, rule, resource}]'"
ALL_DONE = 'rb task_queue list --all --json | jq -e \'all(.status | IN("Done", "Error", "Broken", "Killed"))\''
WITHOUT = """[Service]
Type=notify
ExecStart=/opt/rubackup/bin/rubackup_alone --start
KillMode=mixed
TimeoutStartSec=600
[Install]
WantedBy=multi-user.target
"""
"""The unit of a version that started PostgreSQL itself, in what matters here."""


class Alone:
    """One container that has no other."""

    def __init__(self, host: Container, page: Page, step: Steps) -> None:
        self._host = host
        self._page = page
        self._step = step

    def walk(self, packages: Path, newer: Path) -> None:
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
        self._postgresql_dies()
        self._upgrade(newer, before)
        self._moved(before)
        self._catalogue_is_lost()
        self._others_are_refused()

    def _looks_in_order(self) -> None:
        host = self._host
        for unit in UNITS:
            text = host.run(f"systemd-analyze security --no-pager {unit}.service")
            match = re.search(r"Overall exposure level for \S+: ([\d.]+)", text)
            assert match is not None, text
            self._step(f"{unit}: exposure {match[1]}")
            assert float(match[1]) < 4.0, text
        host.run(
            f"systemd-analyze verify {' '.join(f'/opt/rubackup/etc/systemd/system/{unit}.service' for unit in UNITS)}"
        )
        self._step("it listens on loopback alone; PostgreSQL has a user of its own, and no port")
        listening = [line.split()[3] for line in host.run("ss -Hltn").splitlines()]
        assert len(listening) >= 3, listening
        assert [at for at in listening if not at.startswith(("127.0.0.1:", "[::1]:"))] == [], listening
        self._has_its_own_server()
        pid = host.run("systemctl show -P MainPID rubackup_postgres").strip()
        assert host.run(f"nsenter -t {pid} -n ss -Hltnu").strip() == "", "PostgreSQL has a port"
        host.run("setpriv --reuid nobody --clear-groups ls /run/rubackup_postgres", status=2)
        assert "Nothing is wrong." in host.run("rubackup config check")
        assert re.fullmatch(r"[0-9a-f]{16}", host.run("rubackup_client hwid | sed -n 3p").strip())
        assert host.run("stat -c %a /srv/backup").strip() == "700"

    def _has_its_own_server(self) -> None:
        """PostgreSQL is the other unit's, and the data its user's."""
        host = self._host
        assert set(host.run("ps -C postgres -o user:20=").split()) == {SERVER}
        assert host.run(f"stat -c %U {DATA}").strip() == SERVER
        host.run(
            "for p in $(pgrep -x postgres); do grep -qs rubackup_postgres.service /proc/$p/cgroup || test ! -e /proc/$p || exit 1; done"
        )

    def _comes_back(self, before: str) -> None:
        """The service starts with the host; what was reported as made is there, byte for byte."""
        host = self._host
        host.until("rubackup client copies --json", 120)
        there = {copy["id"]: copy for copy in json.loads(host.run(COPIES))}
        for copy in json.loads(before):
            assert there[copy["id"]] == copy, there
        made = next(copy["id"] for copy in there.values() if copy["rule"])
        self._restored(made)
        host.run(f"rubackup client backup {SOURCE} --wait")
        self._has_its_own_server()

    def _restored(self, number: int) -> None:
        host = self._host
        host.run(f"rm -rf /srv/restored && rubackup client restore {number} --to /srv/restored --wait")
        host.run(f"diff -r --no-dereference {SOURCE} /srv/restored{SOURCE}")

    def _postgresql_dies(self) -> None:
        """Systemd starts it again, and nothing else has to be; what is stopped is stopped whole."""
        host = self._host
        self._step("PostgreSQL is killed and comes back by itself; stop, start in a terminal, start")
        first = host.run("systemctl show -P MainPID rubackup_alone")
        host.run("kill -9 $(systemctl show -P MainPID rubackup_postgres)")
        host.until(f"rubackup client backup {SOURCE} --wait", 60)
        assert host.run("systemctl show -P MainPID rubackup_alone") == first
        host.run("rubackup_alone --stop")
        host.until("! pgrep -x postgres", 60)
        host.run("setsid rubackup_alone --start >/root/terminal.log 2>&1 & sleep 0.1")
        host.until("rubackup client copies --json", 60)
        assert set(host.run("ps -C postgres -o user:20=").split()) == {"nobody"}
        assert "is already running" in host.run("systemctl start rubackup_postgres || journalctl -u rubackup_postgres")
        host.run("rubackup_alone --stop && systemctl start rubackup_alone")
        self._has_its_own_server()

    def _upgrade(self, newer: Path, before: str) -> None:
        """From a version that started PostgreSQL itself, while a backup runs."""
        host = self._host
        self._step("upgrade from a version whose one unit starts PostgreSQL itself, with a backup running")
        host.run("systemctl stop rubackup_alone")
        host.write("/opt/rubackup/etc/systemd/system/rubackup_alone.service", WITHOUT)
        host.run("mv /usr/lib/systemd/system/rubackup_postgres.service /root/ && systemctl daemon-reload")
        host.run("systemctl start rubackup_alone")
        assert set(host.run("ps -C postgres -o user:20=").split()) == {"nobody"}
        host.run("mkdir -p /srv/large && head -c 300M /dev/urandom | split -b 20M - /srv/large/part")
        host.run("rubackup client backup /srv/large")
        version = host.run("rubackup_alone --version")
        bring(host, newer, "/root/newer")
        host.run("apt-get install -y /root/newer/rubackup-common.deb /root/newer/rubackup-client.deb")
        assert host.run("rubackup_alone --version") != version
        self._comes_back(before)
        host.until(f"{COPIES} | jq -e 'any(.resource == \"/srv/large\")'", 120)

    def _moved(self, before: str) -> None:
        host = self._host
        self._step("its folder is moved: the new place in config.file, and everything goes on")
        host.run("systemctl stop rubackup_alone && mv /srv/backup '/srv/b a\"k'")
        host.run("sed -i 's,^autonomous-directory .*,autonomous-directory /srv/b a\"k,' /opt/rubackup/etc/config.file")
        host.run("systemctl start rubackup_alone")
        there = {copy["id"] for copy in json.loads(host.run(COPIES))}
        assert {copy["id"] for copy in json.loads(before)} <= there
        host.run(f"rubackup client backup {SOURCE} --wait")
        host.run("systemctl stop rubackup_alone && mv '/srv/b a\"k' /srv/backup")
        said = host.run("systemctl start rubackup_alone || journalctl -u rubackup_alone -o cat")
        assert "is its disk mounted?" in said, said
        host.run("sed -i 's,^autonomous-directory .*,autonomous-directory /srv/backup,' /opt/rubackup/etc/config.file")
        host.run("systemctl reset-failed && systemctl start rubackup_alone")
        self._comes_back(before)

    def _catalogue_is_lost(self) -> None:
        host = self._host
        self._step("the catalogue is lost, and filled out of the pool, as the page on recovery says")
        host.run("rb login && rb global_schedule stop minutely")
        host.until(ALL_DONE, 300)  # one that goes on would add a copy to those that are counted
        number = len(json.loads(host.run(COPIES)))
        host.run("mkdir -p /mnt/safe && (umask 077; head -c 24 /dev/urandom | base64 >/root/catalogue-passphrase)")
        host.run("rubackup backup-catalogue --to /mnt/safe --with-keys --passphrase-file /root/catalogue-passphrase")
        host.run("systemctl stop rubackup_alone && rm -rf /srv/backup/postgres/data")
        host.run("systemctl start rubackup_alone", status=1)
        assert "rubackup_alone --new-catalogue" in host.run("journalctl -u rubackup_alone -o cat")
        said = Page("disaster-recovery").take("The catalogue of an autonomous client is lost", {HOST: host})[HOST]
        assert f"Default: {number} copies adopted" in said, said
        self._restored(
            next(copy["id"] for copy in json.loads(host.run(COPIES)) if copy["resource"] == SOURCE),
        )
        self._has_its_own_server()

    def _others_are_refused(self) -> None:
        """What this host is already is told, and nothing is changed; removal leaves the folder."""
        host = self._host
        self._step("other nodes are refused; --change-node lets it join a server, whose copies stay readable; purge")
        config = host.read("/opt/rubackup/etc/config.file")
        said = host.run(f"rb_init -n client -c backup.example --fingerprint {'0' * 64}", status=1)
        assert "rubackup up --state /srv/backup" in said, said
        assert host.read("/opt/rubackup/etc/config.file") == config
        host.run("systemctl disable --now rubackup_alone")
        host.until("! pgrep -x postgres", 60)
        assert host.run("pgrep -fc '[/]srv/backup' || true").strip() == "0"
        host.run("rubackup up --detach --state /srv/backup")
        host.run("RB_PROFILE=old rb login --state /srv/backup && RB_PROFILE=old rb repository list | grep -q perl5")
        host.run("rubackup down --state /srv/backup")
        host.run("systemctl enable --now /opt/rubackup/etc/systemd/system/rubackup_alone.service")
        self._has_its_own_server()
        host.run("apt-get purge -y rubackup-client rubackup-common")
        assert host.run("pgrep -x postgres || true").strip() == "", "PostgreSQL was left"
        assert host.run("find /etc/systemd /usr/lib/systemd -name 'rubackup*'").strip() == ""
        assert host.run("ls /srv/backup/pools/Default").strip()
