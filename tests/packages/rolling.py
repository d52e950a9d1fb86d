"""A version with one more migration comes to hosts one after another, goes again, and comes for good."""

from __future__ import annotations

from pathlib import Path

from packages.clone import NAME as COLUMN
from packages.dedicated import POOL, Site, until
from packages.walk import bring

LIMIT_KIB = 8_000
SERVERS = ("rb-secondary", "rb-primary")
MESSAGE = "systemctl is-active -q {unit} || (journalctl -u {unit} --no-pager -n 20; exit 1)"


class Rolling:
    """The upgrade of a site."""

    def __init__(self, site: Site, packages: Path, newer: Path, revision: int) -> None:
        self._site = site
        self._revision = f"{revision:04}"
        for host in site.hosts.values():
            bring(host, packages, "/root/old")
            bring(host, newer, "/root/new")

    def walk(self) -> None:
        """Up with a backup running, down, up again, finished; then the old version is refused."""
        site = self._site
        old = self._version("rb-primary")
        client = site.office().client("host1.example")["client"]
        site.hosts["rb-client"].run("mkdir -p /srv/large && head -c 400M /dev/urandom | split -b 20M - /srv/large/part")
        site.step("a backup begins that outlasts the upgrade of all hosts but its client's")
        task = site.office().slow_backup("/srv/large", client, LIMIT_KIB, POOL)
        site.take("Several hosts")
        new = self._version("rb-primary")
        assert new != old
        assert self._schema() == f"{self._revision}_pre"
        assert self._version("rb-client") == old, "the client was to stay old"
        office = site.office()
        status = office.call("GET", f"/task_queue/{task}")["data"]["status"]
        site.step(f"all but the client are of {new}; the backup is {status}")
        assert status not in {"Done", "Error", "Broken", "Killed"}, status
        office.done(task, 300)
        self._restore(office.newest_record(), client, "/srv/large-1")
        self._told_versions(client, old, new)
        site.step(f"back to {old}")
        record = office.newest_record()
        site.take("Back to the old version")
        assert {self._version(name) for name in site.hosts if name != "rb-db"} == {old}
        assert self._schema() == f"{self._revision}_pre"
        self._alive()
        self._restore(record, client, "/srv/large-2")
        office = site.office()
        office.done(office.backup("/usr/share/perl5", client, POOL))
        self._again(old, new, client, record)
        self._refused(old, new)

    def _again(self, old: str, new: str, client: str, record: int) -> None:
        site = self._site
        site.step("upgrade again, the API last: meanwhile the old API works, and the upgrade cannot be finished")
        for name in (*SERVERS, "rb-media", "rb-client"):
            packages = "rubackup-common rubackup-client" + ("" if name == "rb-client" else " rubackup-server")
            site.hosts[name].run(f"cd /root/new && dpkg -i {' '.join(f'{one}.deb' for one in packages.split())}")
        assert site.office().call("GET", "/clients")["data"]["total"]
        said = site.hosts["rb-primary"].run("rb_init --finish-upgrade", status=1)
        assert f"too old for that are rubackup_api {old} on rb-api." in said, said
        assert self._schema() == f"{self._revision}_pre"
        site.hosts["rb-api"].run("cd /root/new && dpkg -i rubackup-common.deb rubackup-rest-api.deb")
        self._alive()
        site.take("Finish")
        assert self._schema() == f"{self._revision}_post"
        empty = site.database(f"SELECT count(*) FROM servers WHERE {COLUMN} IS NULL OR {COLUMN} <> '{new}'")
        assert empty == "0", empty
        self._restore(record, client, "/srv/large-3")

    def _refused(self, old: str, new: str) -> None:
        """What the old version says to the new schema."""
        site = self._site
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
        return self._site.database("SELECT version_num FROM schema_version")

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

    def _restore(self, record: int, client: str, target: str) -> None:
        office = self._site.office()
        office.done(office.restore(record, client, target), 300)
        self._site.hosts["rb-client"].run(f"diff -r /srv/large {target}/srv/large && rm -rf {target}")

    def _told_versions(self, client: str, old: str, new: str) -> None:
        """The API shows which version each host runs."""
        office = self._site.office()
        rows = office.items("/clients")
        told = {row["hostname"]: row["package_version"] for row in rows}
        assert told["host1.example"] == old, told
        assert told["media1.example"] == new, told
        self._site.step(f"a client of {old} works with servers of {new}: {client}")
