"""A version with two more migrations comes to hosts one after another, goes again, and comes for good."""

from __future__ import annotations

import subprocess
from pathlib import Path

from packages.clone import NAME as COLUMN
from packages.dedicated import POOL, Site, until
from packages.office import FINAL
from packages.walk import bring

LIMIT_KIB = 2_000
SERVERS = ("rb-secondary", "rb-primary")
MESSAGE = "systemctl is-active -q {unit} || (journalctl -u {unit} --no-pager -n 20; exit 1)"


class Rolling:
    """The upgrade of a site."""

    def __init__(self, site: Site, packages: Path, newer: Path, revision: int) -> None:
        self._site = site
        self._revision = f"{revision:04}"
        self._begun = f"{revision - 1:04}_pre {revision}"
        """Both pre files have run, no post file."""
        self.client = site.office().client("host1.example")["client"]
        self.record = 0
        self.old, self.new = (
            subprocess.run(
                ["dpkg-deb", "-f", str(folder / "rubackup-common.deb"), "Version"],
                check=True,
                capture_output=True,
                text=True,
            ).stdout.strip()
            for folder in (packages, newer)
        )
        for host in site.hosts.values():
            bring(host, packages, "/root/old")
            bring(host, newer, "/root/new")

    def walk(self) -> None:
        """Up with a backup running, down, up again, finished; then the old version is refused."""
        self.up()
        self.back()
        self.again()
        self.refused()

    def up(self) -> None:
        """In the order of the page, while a backup runs."""
        site, old, client = self._site, self.old, self.client
        site.hosts["rb-client"].run("mkdir -p /srv/large && head -c 300M /dev/urandom | split -b 20M - /srv/large/part")
        site.step("a backup begins that outlasts the upgrade of all hosts but its client's")
        task = site.office().slow_backup("/srv/large", client, LIMIT_KIB, POOL)
        site.take("Several hosts")
        assert self._schema() == self._begun
        assert self._version("rb-client") == old, "the client was to stay old"
        self._alive()
        office = site.office()
        status = office.call("GET", f"/task_queue/{task}")["data"]["status"]
        site.step(f"all but the client are of {self.new}; the backup is {status}")
        assert status not in FINAL, status
        office.unlimited()
        office.done(task, 300)
        self.record = office.newest_record()
        self._restore("/srv/large-1")
        told = {row["hostname"]: row["package_version"] for row in office.items("/clients")}
        assert told["host1.example"] == old, told
        assert told["media1.example"] == self.new, told

    def back(self) -> None:
        """The old packages again, before the upgrade is finished."""
        site = self._site
        site.step(f"back to {self.old}")
        site.take("Back to the old version")
        assert {self._version(name) for name in site.hosts if name != "rb-db"} == {self.old}
        assert self._schema() == self._begun
        self._alive()
        self._restore("/srv/large-2")
        office = site.office()
        office.done(office.backup("/usr/share/perl5", self.client, POOL))

    def again(self) -> None:
        """For good, the API last: meanwhile the old API works, and nothing can be finished."""
        site = self._site
        site.step("upgrade again, the API last: until then the old API works, and the upgrade cannot be finished")
        for name in (*SERVERS, "rb-media", "rb-client"):
            packages = ["rubackup-common", "rubackup-client", *(["rubackup-server"] if name != "rb-client" else [])]
            site.hosts[name].run(f"cd /root/new && dpkg -i {' '.join(f'{one}.deb' for one in packages)}")
        office = site.office()
        asked = {"data": [{"client_hwid": office.client("host1.example")["hwid"], "path": "/srv"}]}
        assert "large" in str(office.call("POST", "/list_client_filesystem", asked)["data"])
        said = site.hosts["rb-primary"].run("rb_init --finish-upgrade", status=1)
        assert f"too old for that are rubackup_api {self.old} on rb-api." in said, said
        assert self._schema() == self._begun
        site.hosts["rb-api"].run("cd /root/new && dpkg -i rubackup-common.deb rubackup-rest-api.deb")
        self._alive()
        site.take("Finish")
        assert self._schema() == f"{self._revision}_post {int(self._revision)}"
        wrong = site.database(f"SELECT hostname FROM servers WHERE {COLUMN} IS DISTINCT FROM '{self.new}'")
        assert wrong == "", wrong
        self._restore("/srv/large-3")

    def refused(self) -> None:
        """What the old version says to the new schema."""
        site, old, new = self._site, self.old, self.new
        for name, package, program in (
            ("rb-api", "rubackup-rest-api", "rubackup_api"), ("rb-secondary", "rubackup-client.deb rubackup-server", "rubackup_server"),
        ):  # fmt: skip
            host = site.hosts[name]
            site.step(f"{name}: {program} of {old} does not start any more, and says why")
            host.run(f"cd /root/old && dpkg -i rubackup-common.deb {package}.deb")
            host.until(f"journalctl -u {program} --no-pager -o cat -n 30 | grep -q 'of a newer version'")
            said = host.run(f"journalctl -u {program} --no-pager -o cat -n 30 | grep 'of a newer version'")
            assert f"({new}, schema {self._revision}_post) than this program ({old}, schema" in said, said
            assert "running" not in host.run(f"systemctl is-active {program}", status=None)
            host.run(f"cd /root/new && dpkg -i rubackup-common.deb {package}.deb")
            host.until(f"systemctl is-active -q {program}")
        self._alive()

    def _version(self, name: str) -> str:
        return self._site.hosts[name].run("rubackup version").strip() if name != "rb-db" else ""

    def _schema(self) -> str:
        return self._site.database("SELECT version_num || ' ' || pre FROM schema_version")

    def _alive(self) -> None:
        """All services run and all hosts are connected."""
        for name in (*SERVERS, "rb-media"):
            for unit in ("rubackup_server", "rubackup_media", "rubackup_client"):
                if name != "rb-media" or unit != "rubackup_server":
                    self._site.hosts[name].until(MESSAGE.format(unit=unit))
        self._site.hosts["rb-api"].until(MESSAGE.format(unit="rubackup_api"))
        office = self._site.office()
        for name in ("backup1.example", "backup2.example", "media1.example"):
            office.until_online(name)
        until(lambda: office.client("host1.example")["online"])

    def _restore(self, target: str) -> None:
        """The copy that was made while hosts were upgraded is whole."""
        office = self._site.office()
        office.done(office.restore(self.record, self.client, target), 300)
        self._site.hosts["rb-client"].run(f"diff -r /srv/large {target}/srv/large && rm -rf {target}")
