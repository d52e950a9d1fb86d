"""One host for everything, step by step as the page says: install, set up, start, log in, back up, upgrade, remove, purge."""

from __future__ import annotations

import re
import time
from pathlib import Path

from packages.container import Container
from packages.office import Office
from packages.page import Page

NAME = "api.rubackup.local"
URL = f"https://{NAME}:5656"
HOST = "rb-primary"
UNITS = ("rubackup_server", "rubackup_media", "rubackup_client", "rubackup_api")
ORDER = ("rubackup-common", "rubackup-client", "rubackup-server", "rubackup-rest-api")
PASSWORD_FILE = "/opt/rubackup/keys/superuser-password"
LIMIT_KIB = 5_000
"""Bandwidth of the backup that an upgrade meets: it must not be over before."""


class Steps:
    """Says what comes next, and when."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def __call__(self, text: str) -> None:
        print(f"{time.monotonic() - self._began:6.1f} s  {text}", flush=True)


def bring(host: Container, packages: Path, folder: str = "/root") -> None:
    """Put the .deb packages into a folder of the host."""
    for name in ORDER:
        host.bring(packages / f"{name}.deb", f"{folder}/{name}.deb")


class Walk:
    """One container and what was done in it."""

    def __init__(self, host: Container, page: Page, step: Steps) -> None:
        self.host = host
        self.step = step
        self._page = page
        self._hosts = {HOST: host}

    def office(self) -> Office:
        """A new login as the superuser."""
        return Office(self.host, URL, self.host.read(PASSWORD_FILE).strip())

    def set_up(self, packages: Path) -> None:
        """From an empty host to a running system with a first copy."""
        host = self.host
        bring(host, packages)
        self.step("one host for everything: dpkg -i, rb_init, systemctl, login, a first copy")
        said = self._page.take("One host for everything", self._hosts)[HOST]
        assert "set it to 50 in postgresql.conf" not in said, said
        assert "Active: active (running)" in said, said
        assert "Nothing is wrong." in said, said
        for path in (
            "server/serverCert.crt", "server/serverKey.key", "client/clientCert.crt", "client/clientKey.key",
            "rootCA/serverRootCACert.crt",
        ):  # fmt: skip
            assert host.exists(f"/opt/rubackup/keys/{path}"), path
        journal = host.run("journalctl -u rubackup_api --no-pager -o cat")
        for line in (
            "RuBackup API Logger initializing",
            "[WARNING] - 'The rubackup database has not been initialized. Please authenticate'",
            f"[INFO] - 'RuBackup REST API is running on [{URL}]'",
        ):
            assert line in journal, journal

    def users_and_units(self) -> None:
        """Each service has its user and is hardened."""
        for unit, user in zip(UNITS, ("rubackup-server", "rubackup-media", "root", "rubackup-api"), strict=True):
            found = self.host.run(f"ps -o user:20= -p $(systemctl show -P MainPID {unit})").strip()
            assert found == user, f"{unit} runs as {found}"
            text = self.host.run(f"systemd-analyze security --no-pager {unit}.service")
            match = re.search(r"Overall exposure level for \S+: ([\d.]+)", text)
            assert match is not None, text
            self.step(f"{unit}: user {user}, exposure {match[1]}")
            assert float(match[1]) < 4.0, text
        self.host.run(
            f"systemd-analyze verify {' '.join(f'/opt/rubackup/etc/systemd/system/{u}.service' for u in UNITS)}"
        )

    def stands_still(self) -> None:
        """A program that does not move is started again by systemd; here it need not wait two minutes."""
        unit, folder = "rubackup_api", "/etc/systemd/system/rubackup_api.service.d"
        self.step("watchdog: the API is stopped by a signal")
        before = self.host.run(f"systemctl show -P MainPID {unit}").strip()
        assert self.host.run(f"systemctl show -P WatchdogUSec {unit}").strip() == "2min"
        self.host.run(f"mkdir -p {folder}")
        self.host.write(f"{folder}/watch.conf", "[Service]\nWatchdogSec=4\nTimeoutAbortSec=2\nRestartSec=1\n")
        self.host.run(f"systemctl daemon-reload; systemctl restart {unit}")
        stopped = self.host.run(f"systemctl show -P MainPID {unit}").strip()
        assert stopped != before
        time.sleep(6)
        assert self.host.run(f"systemctl show -P MainPID {unit}").strip() == stopped, "it moved, and was ended"
        self.host.run(f"kill -STOP {stopped}")
        self.host.until(f"systemctl is-active {unit} && test $(systemctl show -P MainPID {unit}) != {stopped}", 60)
        journal = self.host.run(f"journalctl --no-pager -u {unit} -o cat")
        assert "Watchdog timeout" in journal, journal
        assert "in until_signal" in journal, "where it stood is not told"
        self.host.run(f"rm -r {folder}; systemctl daemon-reload; systemctl restart {unit}")

    def copy_and_back(self) -> None:
        """A backup and a restore, byte for byte."""
        office = self.office()
        client = office.client()["client"]
        self.step("backup of /usr/share, restore, comparison")
        office.done(office.backup("/usr/share", client))
        office.done(office.restore(office.newest_record(), client, "/srv/restored"))
        self.host.run("diff -r --no-dereference /usr/share /srv/restored/usr/share")
        log = self.host.read("/opt/rubackup/log/rubackup_api/access/rubackup-api.access.log")
        assert "login of 'rubackup' from 127.0.0.1: done" in log, log

    def by_name(self) -> None:
        """--status, --restart and --stop of a program that systemd has started go through systemd."""
        self.step("rubackup_api --status, --restart, --stop")
        host = self.host
        first = host.run("rubackup_api --status")
        assert "rubackup_api.service" in first, first
        assert "was restarted (rubackup_api.service)" in host.run("rubackup_api --restart")
        assert host.run("rubackup_api --status") != first
        assert "was stopped (rubackup_api.service)" in host.run("rubackup_api --stop")
        assert "not running" in host.run("rubackup_api --status", status=3)
        self.step("terminal mode: rubackup_api --start as root gives root up")
        host.run("setsid rubackup_api --start >/root/terminal.log 2>&1 & sleep 0.1")
        host.until("rubackup_api --status && grep -q 'is running on' /root/terminal.log")
        pid = host.run("rubackup_api --status").split("process ")[1].split(")")[0]
        assert host.run(f"ps -o user:20= -p {pid}").strip() == "rubackup-api"
        host.run("rubackup_api --stop")
        host.run("systemctl start rubackup_api")

    def upgrade(self, packages: Path) -> None:
        """A newer build comes while a backup runs: the backup ends as Done, settings stay."""
        host = self.host
        self.step("upgrade with a backup running")
        host.run("mkdir -p /srv/large && head -c 300M /dev/urandom | split -b 20M - /srv/large/part")
        office = self.office()
        client = office.client()["client"]
        task = office.slow_backup("/srv/large", client, LIMIT_KIB)
        before = host.run("dpkg-query -W -f '${Version}' rubackup-server")
        pids = self._pids()
        bring(host, packages, "/root/new")
        self._page.take("Upgrade", self._hosts)
        after = host.run("dpkg-query -W -f '${Version}' rubackup-server")
        assert after != before
        assert not set(self._pids()) & set(pids), "a service still runs the old version"
        assert host.run("rubackup_server --version").strip() == after
        assert f"APP_HOST={NAME}" in host.read("/opt/rubackup/etc/rubackup_api.env")
        office = self.office()
        status = office.call("GET", f"/task_queue/{task}")["data"]["status"]
        self.step(f"upgraded from {before} to {after}; the backup is {status}")
        assert status != "Done", "the backup was over before the upgrade was"
        office.unlimited()
        office.done(task, 300)
        office.done(office.restore(office.newest_record(), client, "/srv/large-restored"), 300)
        host.run("diff -r /srv/large /srv/large-restored/srv/large")

    def _pids(self) -> list[str]:
        return self.host.run(f"systemctl show -P MainPID {' '.join(UNITS)}").split()

    def remove_and_purge(self) -> None:
        """Remove keeps settings; purge takes them, leaves copies, and says so."""
        host = self.host
        host.write("/opt/rubackup/keys/master-key", "a key of copies\n")
        self.step("apt remove: services end, settings stay")
        self._page.take("Removal", self._hosts)
        assert host.run("pgrep -f '[/]opt/rubackup/bin' || true").strip() == "", "a process was left"
        assert not host.exists("/opt/rubackup/bin/rubackup_api")
        assert not host.exists("/etc/systemd/system/multi-user.target.wants/rubackup_api.service")
        for kept in ("etc/rubackup_api.env", "etc/config.file", "keys/server/serverKey.key"):
            assert host.exists(f"/opt/rubackup/{kept}"), kept
        self.step("apt purge: settings and keys of hosts go, copies and their keys stay")
        said = self._page.take("Purge", self._hosts)[HOST]
        assert "the copies in /opt/rubackup/var/pools/Default stay" in said, said
        assert "master-key and older keys stay" in said, said
        assert "the backups of the service database in /var/lib/rubackup-catalogue stay" in said, said
        left = host.run("cd /opt/rubackup && find . -type f | grep -v ^./var/pools || true").split()
        assert left == ["./keys/master-key"], left
        assert host.run("ls /opt/rubackup/var/pools/Default").strip()
        assert host.run("find /etc/systemd /usr/lib/systemd -type l -name 'rubackup*'").strip() == ""
