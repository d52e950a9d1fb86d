"""Hosts of their own for database, server, API, media server and client, as the page sets them up, each in a network namespace."""

from __future__ import annotations

import contextlib
import re
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from packages.container import Container, booted
from packages.network import INTERFACE, network
from packages.office import Office
from packages.page import Page
from packages.walk import PASSWORD_FILE, Steps, bring

NAMES = {
    "rb-db": "db.example", "rb-primary": "backup1.example", "rb-secondary": "backup2.example",
    "rb-media": "media1.example", "rb-api": "api.example", "rb-client": "host1.example",
}  # fmt: skip
"""The hosts, and what the page calls them."""
URL = "https://api.example:5656"
POOL = "Second"
"""The pool on the media server of its own."""


class Site:
    """The hosts, and what an administrator does with them."""

    def __init__(self, hosts: dict[str, Container], page: Page, step: Steps) -> None:
        self.hosts = hosts
        self.step = step
        self._page = page

    def take(self, heading: str) -> dict[str, str]:
        """Do what the page says below a heading."""
        self.step(heading)
        return self._page.take(heading, self.hosts)

    def office(self) -> Office:
        """A new login."""
        return Office(self.hosts["rb-api"], URL, self.hosts["rb-primary"].read(PASSWORD_FILE).strip())

    def database(self, query: str) -> str:
        """What the service database answers."""
        return self.hosts["rb-db"].run(f'psql -At rubackup -c "{query}"', user="postgres").strip()

    def leader(self) -> str:
        """The server that leads."""
        return self.database("SELECT s.hostname FROM leadership l JOIN servers s ON s.hwid = l.server_hwid")

    def set_up(self) -> None:
        """All of them, one after another."""
        self.take("PostgreSQL")
        self.take("The primary server")
        self._api()
        self.take("A secondary server")
        said = self.take("A media server")
        self._same_key(said["rb-media"], "media", said["rb-primary"])
        said = self.take("A client")
        self._same_key(said["rb-client"], "client", said["rb-primary"])
        said = self.take("Encryption to PostgreSQL")["rb-api"]
        assert "Nothing is wrong." in said, said
        ways = self.database(
            "SELECT DISTINCT split_part(a.application_name, ' ', 1), a.usename, s.ssl FROM pg_stat_activity a"
            " JOIN pg_stat_ssl s USING (pid) WHERE a.application_name ~ '^rubackup_(api|server) ' ORDER BY 1"
        )
        assert ways.splitlines() == ["rubackup_api|rubackup_api_api.example|t", "rubackup_server|rubackup|t"], ways

    def _api(self) -> None:
        host = self.hosts["rb-api"]
        self.step("an API without its file says what is missing")
        host.run("dpkg -i /root/rubackup-common.deb /root/rubackup-rest-api.deb")
        host.run("sed -i 's/^APP_HOST=.*/APP_HOST=api.example/' /opt/rubackup/etc/rubackup_api.env")
        said = host.run("rubackup_api --start", status=78)
        assert "run rb_init --enroll-api api.example on the primary server" in said, said
        said = self.take("The API")["rb-api"]
        assert "Nothing is wrong." in said, said
        assert "active (running)" in host.run("systemctl status rubackup_api.service")

    def _same_key(self, printed: str, role: str, shown: str) -> None:
        key = re.search(rf"The {role} \S+ \([0-9a-f]+\) waits for an administrator; its key: ([0-9a-f]{{64}})", printed)
        assert key is not None, printed
        assert key[1] in "".join(shown.split()), shown

    def copy_and_back(self) -> None:
        """A backup to the media server, a restore, folders listed through a server."""
        client_host = self.hosts["rb-client"]
        office = self.office()
        client = office.client("host1.example")
        self.step("a backup of rb-client to rb-media, and a restore")
        office.done(office.backup("/usr/share/perl5", client["client"], POOL))
        office.done(office.restore(office.newest_record(), client["client"], "/srv/restored"))
        client_host.run("diff -r --no-dereference /usr/share/perl5 /srv/restored/usr/share/perl5")
        asked = {"data": [{"client_hwid": client["hwid"], "path": "/srv"}]}
        found = office.call("POST", "/list_client_filesystem", asked)
        assert "restored" in str(found["data"]), found

    def take_over(self) -> None:
        """The primary server dies; the secondary leads, and a backup runs on it; the primary comes back."""
        primary, office = self.hosts["rb-primary"], self.office()
        client = office.client("host1.example")["client"]
        assert self.leader() == "backup1.example", self.leader()
        self.step("rb-primary loses network and power at once")
        subprocess.run(["ip", "-n", primary.name, "link", "set", INTERFACE, "down"], check=True)
        primary.crash()
        until(lambda: self.leader() == "backup2.example")
        self.step("rb-secondary leads; a backup and a restore of rb-client")
        office.done(office.backup("/usr/share/perl5", client, POOL), 180)
        record = office.newest_record()
        office.done(office.restore(record, client, "/srv/led-by-the-secondary"))
        self.hosts["rb-client"].run(
            "diff -r --no-dereference /usr/share/perl5 /srv/led-by-the-secondary/usr/share/perl5"
        )
        self.step("rb-primary boots again; a backup to its own media server")
        subprocess.run(["ip", "-n", primary.name, "link", "set", INTERFACE, "up"], check=True)
        primary.boot()
        office.until_online("backup1.example")
        office.done(office.backup("/usr/share/perl5", client, "Default"))
        assert self.leader() == "backup2.example", "a server that comes back takes nothing over"
        self.step("both servers are there")

    def renamed(self) -> None:
        """Another APP_HOST is refused until the primary server has issued for it."""
        self.step("rb-api gets another APP_HOST: refused until there is a certificate for it")
        host, primary = self.hosts["rb-api"], self.hosts["rb-primary"]
        host.run("sed -i 's/^APP_HOST=.*/APP_HOST=rb-api/' /opt/rubackup/etc/rubackup_api.env")
        host.run("systemctl restart rubackup_api", status=1)
        assert "is not for APP_HOST rb-api" in host.run("journalctl -u rubackup_api --no-pager -o cat -n 20")
        administrator = self.hosts["rb-db"].root / "root/postgres-password"
        primary.bring(administrator, "/root/postgres-password")
        enroll = "rb_init --enroll-api rb-api --to /root/api.bundle -X /root/postgres-password"
        primary.run(f"rm -f /root/api.bundle && {enroll} && rb_init --expel-api api.example -X /root/postgres-password")
        host.bring(primary.root / "root/api.bundle", "/root/api.bundle")
        host.run("rubackup_api --enroll /root/api.bundle && rm /root/api.bundle")
        host.run("systemctl restart rubackup_api")
        host.run("curl -sf --cacert /opt/rubackup/keys/rootCA/serverRootCACert.crt https://rb-api:5656/healthz")


def until(true: Callable[[], bool], seconds: float = 60) -> None:
    """Wait until a question is answered with yes."""
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, f"not within {seconds} s"
        time.sleep(0.2)


@contextlib.contextmanager
def site(packages: Path, lower: Path, work: Path, page: Page, step: Steps) -> Iterator[Site]:
    """The hosts, booted, with the packages in their /root."""
    with network(tuple(NAMES)) as addresses, contextlib.ExitStack() as stack:
        hosts = {name: stack.enter_context(booted(name, lower, work, name)) for name in NAMES}
        lines = "".join(f"{address} {NAMES[name]} {name}\n" for name, address in addresses.items())
        for one in hosts.values():
            one.write("/etc/hosts", f"127.0.0.1 localhost\n{lines}")
            bring(one, packages)
        step(f"{len(hosts)} hosts have booted")
        yield Site(hosts, page, step)
