"""The guide's way on one host, step by step: install, set up, start, log in, back up, upgrade, remove, purge."""

from __future__ import annotations

import re
import time
from pathlib import Path

from packages.container import Container
from packages.office import Office

PASSWORD = "an-admins-password"
NAME = "api.rubackup.local"
URL = f"https://{NAME}:5656"
UNITS = ("rubackup_server", "rubackup_media", "rubackup_client", "rubackup_api")
ORDER = ("rubackup-common", "rubackup-client", "rubackup-server", "rubackup-rest-api")
LIMIT_KIB = 20_000
"""Bandwidth of the backup that an upgrade meets: it must not be over before."""


class Walk:
    """One container and what was done in it."""

    def __init__(self, host: Container) -> None:
        self.host = host
        self.began = time.monotonic()

    def step(self, text: str) -> None:
        """Say what comes next."""
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    def install(self, packages: Path, names: tuple[str, ...], folder: str) -> str:
        """`dpkg -i` of these packages; what it said."""
        for name in names:
            self.host.bring(packages / f"{name}.deb", f"{folder}/{name}.deb")
        return self.host.run(f"dpkg -i {' '.join(f'{folder}/{name}.deb' for name in names)}", seconds=600)

    def set_up(self, packages: Path) -> None:
        """From an empty host to a running system, as the guide has it."""
        host = self.host
        self.step("PostgreSQL: superuser_reserved_connections = 50, as the guide asks")
        conf = "/etc/postgresql/15/main/postgresql.conf"
        host.run(f"echo superuser_reserved_connections = 50 >>{conf}; echo max_connections = 200 >>{conf}")
        host.run("systemctl restart postgresql@15-main")
        self.step("dpkg -i rubackup-common rubackup-client rubackup-server")
        self.install(packages, ORDER[:3], "/root/packages")
        self.step("rb_init as the primary server")
        host.write("/root/superuser", PASSWORD)
        said = host.run("rb_init -y -n primary-server -Y /root/superuser")
        assert "superuser_reserved_connections" not in said, said
        assert "max_connections" not in said, said
        for path in (
            "server/serverCert.crt", "server/serverKey.key", "client/clientCert.crt", "client/clientKey.key",
            "rootCA/serverRootCACert.crt",
        ):  # fmt: skip
            assert host.exists(f"/opt/rubackup/keys/{path}"), path
        self.step("dpkg -i rubackup-rest-api, its name in /etc/hosts and in the env file")
        self.install(packages, ORDER[3:], "/root/packages")
        host.run(f"echo 127.0.0.1 {NAME} >>/etc/hosts")
        host.run(f"sed -i 's/^APP_HOST=.*/APP_HOST={NAME}/' /opt/rubackup/etc/rubackup_api.env")
        self.step("systemctl enable by path, daemon-reload, start")
        for unit in UNITS:
            host.run(f"systemctl enable /opt/rubackup/etc/systemd/system/{unit}.service")
        host.run("systemctl enable /opt/rubackup/etc/systemd/system/rubackup_renew.timer")
        host.run("systemctl daemon-reload")
        for unit in UNITS:
            host.run(f"systemctl start {unit}.service || (journalctl -u {unit} --no-pager; exit 1)")
        status = host.run("systemctl status rubackup_api.service")
        assert "Active: active (running)" in status, status
        journal = host.run("journalctl -u rubackup_api --no-pager -o cat")
        for line in (
            "RuBackup API Logger initializing",
            "[WARNING] - 'The rubackup database has not been initialized. Please authenticate'",
            f"[INFO] - 'RuBackup REST API is running on [{URL}]'",
        ):
            assert line in journal, journal
        self.step("rubackup config check")
        assert "Nothing is wrong." in host.run("rubackup config check")

    def users_and_units(self) -> None:
        """Each service has its user and is hardened."""
        for unit, user in zip(UNITS, ("rubackup-server", "rubackup-media", "root", "rubackup-api"), strict=True):
            found = self.host.run(f"ps -o user:20= -p $(systemctl show -P MainPID {unit})").strip()
            assert found == user, f"{unit} runs as {found}"
            text = self.host.run(f"systemd-analyze security --no-pager {unit}.service")
            match = re.search(r"Overall exposure level for \S+: ([\d.]+)", text)
            assert match is not None, text
            self.step(f"{unit}: user {user}, exposure {match[1]}")
            assert unit == "rubackup_client" or float(match[1]) < 4.0, text
        self.host.run(
            f"systemd-analyze verify {' '.join(f'/opt/rubackup/etc/systemd/system/{u}.service' for u in UNITS)}"
        )

    def copy_and_back(self) -> None:
        """A backup and a restore, byte for byte."""
        office = Office(self.host, URL, PASSWORD)
        client = office.client()["client"]
        self.step("backup of /usr/share/perl5, restore, comparison")
        office.done(office.backup("/usr/share", client))
        record = office.items("/repository?sort_by=id&sort_order=desc")[0]["id"]
        office.done(office.restore(record, client, "/srv/restored"))
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
        host.run("mkdir -p /srv/large && head -c 600M /dev/urandom | split -b 20M - /srv/large/part")
        office = Office(host, URL, PASSWORD)
        client = office.client()
        limit = {"client": client["client"], "backup_bandwidth": LIMIT_KIB, "restore_bandwidth": 0,
                 "window_start": "00:00:00", "window_end": "00:00:00"}  # fmt: skip
        office.call("POST", "/client_bandwidth", {"data": limit})
        task = office.backup("/srv/large", client["client"])
        deadline = time.monotonic() + 60
        while office.call("GET", f"/task_queue/{task}")["data"]["status"] in {"New", "Assigned", "At_Client"}:
            assert time.monotonic() < deadline, "the backup does not begin"
            time.sleep(0.2)
        before = host.run("dpkg-query -W -f '${Version}' rubackup-server")
        pids = host.run("systemctl show -P MainPID rubackup_server rubackup_media rubackup_client rubackup_api")
        self.install(packages, ORDER, "/root/newer")
        assert host.run("dpkg-query -W -f '${Version}' rubackup-server") != before
        for old, new in zip(
            pids.split(), host.run("systemctl show -P MainPID rubackup_server rubackup_media rubackup_client rubackup_api").split(), strict=True
        ):  # fmt: skip
            assert old != new, "a service still runs the old version"
        assert f"APP_HOST={NAME}" in host.read("/opt/rubackup/etc/rubackup_api.env")
        host.until(f"curl -sf --cacert /opt/rubackup/keys/rootCA/serverRootCACert.crt {URL}/healthz")
        office = Office(host, URL, PASSWORD)
        status = office.call("GET", f"/task_queue/{task}")["data"]["status"]
        self.step(f"upgraded from {before}; the backup is {status}")
        assert status != "Done", "the backup was over before the upgrade was"
        office.done(task, 300)
        record = office.items("/repository?sort_by=id&sort_order=desc")[0]["id"]
        office.done(office.restore(record, client["client"], "/srv/large-restored"), 300)
        host.run("diff -r /srv/large /srv/large-restored/srv/large")

    def remove_and_purge(self) -> None:
        """Remove keeps settings; purge takes them, leaves copies, and says so."""
        host = self.host
        host.write("/opt/rubackup/keys/master-key", "a key of copies\n")
        self.step("apt remove: services end, settings stay")
        names = " ".join(reversed(ORDER))
        host.run(f"apt-get remove -y {names}")
        assert host.run("pgrep -f '[/]opt/rubackup/bin' || true").strip() == "", "a process was left"
        assert not host.exists("/opt/rubackup/bin/rubackup_api")
        assert not host.exists("/etc/systemd/system/multi-user.target.wants/rubackup_api.service")
        for kept in ("etc/rubackup_api.env", "etc/config.file", "keys/server/serverKey.key"):
            assert host.exists(f"/opt/rubackup/{kept}"), kept
        self.step("apt purge: settings and keys of hosts go, copies and their keys stay")
        said = host.run(f"apt-get purge -y {names}")
        assert "the copies in /opt/rubackup/var/pools/Default stay" in said, said
        assert "master-key and older keys stay" in said, said
        left = host.run("cd /opt/rubackup && find . -type f | grep -v ^./var/pools/Default/ || true").split()
        assert left == ["./keys/master-key"], left
        assert host.run("ls /opt/rubackup/var/pools/Default").strip()
