"""Debian's radosgw with a Ceph of its own, all of it in one folder and on loopback: one monitor, manager and store in memory.

Nothing is installed here: `missing()` says what is.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
import urllib.error
import urllib.request
import uuid
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rubackup.chunkstore.backends.s3.client import Client
from rubackup.chunkstore.backends.s3.location import Bucket
from rubackup.roles.up.ports import free_ports

PACKAGES = "radosgw ceph-mon ceph-mgr ceph-osd ceph-common"
_PROGRAMS = ("radosgw", "radosgw-admin", "ceph-mon", "ceph-mgr", "ceph-osd", "ceph", "monmaptool")
_START_SECONDS = 90
ACCESS, SECRET = "AKRADOSGWTEST", "not-a-secret-but-a-test"
"""Of the one user."""


def missing() -> str:
    """Why radosgw cannot be started here; '' when it can."""
    absent = [name for name in _PROGRAMS if shutil.which(name) is None]
    if not absent:
        return ""
    return f"{', '.join(absent)} not found; install as root: apt-get install -y --no-install-recommends {PACKAGES}"


class Radosgw:
    """Started by `start`, ended by `stop`; its user may create buckets."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._processes: list[subprocess.Popen[bytes]] = []
        self._monitor, self._monitor_old, self._port = free_ports(3)
        self.endpoint = f"http://127.0.0.1:{self._port}"

    def start(self) -> None:
        """Return when it answers; TimeoutError with the end of its logs."""
        for name in ("mon", "mgr", "osd", "run", "log", "rgw"):
            (self._folder / name).mkdir(parents=True)
        cluster = str(uuid.uuid4())
        config = self._folder / "ceph.conf"
        config.write_text(self._config(cluster))
        addresses = f"[v2:127.0.0.1:{self._monitor},v1:127.0.0.1:{self._monitor_old}]"
        self._run("monmaptool", "--create", "--addv", "a", addresses, "--fsid", cluster, str(self._folder / "monmap"))
        self._run("ceph-mon", "--mkfs", "-i", "a", "--monmap", str(self._folder / "monmap"))
        self._spawn("ceph-mon", "-i", "a", "-f")
        disk = str(uuid.uuid4())
        number = self._run("ceph", "--connect-timeout", str(_START_SECONDS), "osd", "new", disk).strip()
        self._spawn("ceph-mgr", "-i", "x", "-f")
        self._run("ceph-osd", "-i", number, "--mkfs", "--osd-uuid", disk)
        self._spawn("ceph-osd", "-i", number, "-f")
        self._wait("the store", lambda: "1 up" in self._run("ceph", "--connect-timeout", "10", "osd", "stat"))
        self._spawn("radosgw", "-n", "client.rgw.a", "-f")
        self._wait("radosgw", self._answers)
        self.admin("user", "create", "--uid=t", "--display-name=t", f"--access-key={ACCESS}", f"--secret-key={SECRET}")

    def admin(self, *arguments: str) -> str:
        """What radosgw-admin answers; its rights are the superuser's."""
        return self._run("radosgw-admin", "-n", "client.rgw.a", *arguments)

    def location(self, spool: Path, bucket: str, **more) -> Bucket:
        """A bucket of the user."""
        told = {"prefix": "pool", "access_key": ACCESS, "secret_key": SECRET, "spool": spool}
        return Bucket(endpoint=self.endpoint, bucket=bucket, **{**told, **more})

    def create(self, where: Bucket) -> None:
        """Make a bucket, with Object Lock where that is asked for."""
        Client(where).call("create_bucket", ObjectLockEnabledForBucket=where.object_lock != "none")

    def superuser(self, where: Bucket) -> Bucket:
        """The same bucket for a user with every right."""
        keys = {"access_key": "AKSUPERUSER", "secret_key": "secret-of-the-superuser"}
        self.admin(
            "user", "create", "--uid=root", "--display-name=root", "--system",
            f"--access-key={keys['access_key']}", f"--secret-key={keys['secret_key']}",
        )  # fmt: skip
        return replace(where, **keys)

    def stop(self) -> None:
        """End what was started, last first."""
        for process in reversed(self._processes):
            process.send_signal(signal.SIGTERM)
        for process in reversed(self._processes):
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def _config(self, cluster: str) -> str:
        folder = self._folder
        modes = "".join(
            f"ms_{who}_mode = crc\n"
            for who in ("mon_client", "mon_service", "mon_cluster", "client", "service", "cluster")
        )  # without cephx nothing but crc comes to an agreement
        return (
            f"[global]\nfsid = {cluster}\n"
            f"mon_host = [v2:127.0.0.1:{self._monitor}/0,v1:127.0.0.1:{self._monitor_old}/0]\n"
            "mon_initial_members = a\npublic_network = 127.0.0.0/8\n"
            "auth_cluster_required = none\nauth_service_required = none\nauth_client_required = none\n"
            "osd_pool_default_size = 1\nosd_pool_default_min_size = 1\nosd_pool_default_pg_num = 8\n"
            "osd_pool_default_pg_autoscale_mode = off\nmon_allow_pool_size_one = true\n"
            "mon_warn_on_pool_no_redundancy = false\nosd_crush_chooseleaf_type = 0\nmon_max_pg_per_osd = 1000\n"
            f"run_dir = {folder}/run\nadmin_socket = {folder}/run/$name.asok\nlog_file = {folder}/log/$name.log\n"
            f"mon_data = {folder}/mon\nmgr_data = {folder}/mgr\nosd_data = {folder}/osd\n"
            "osd_objectstore = memstore\nmemstore_device_bytes = 4G\nms_bind_ipv6 = false\n"
            f"{modes}[client.rgw.a]\nrgw_frontends = beast endpoint=127.0.0.1:{self._port}\nrgw_data = {folder}/rgw\n"
        )

    def _run(self, program: str, *arguments: str) -> str:
        command = (
            [program, *arguments]
            if program == "monmaptool"
            else [program, "-c", str(self._folder / "ceph.conf"), *arguments]
        )
        done = subprocess.run(command, capture_output=True, text=True, timeout=_START_SECONDS, check=False)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr[-2000:]}")
        return done.stdout

    def _spawn(self, program: str, *arguments: str) -> None:
        log = (self._folder / "log" / f"{program}.out").open("wb")
        with log:
            self._processes.append(
                subprocess.Popen(
                    [program, "-c", str(self._folder / "ceph.conf"), *arguments],
                    stdin=subprocess.DEVNULL, stdout=log, stderr=log, env=os.environ | {"CEPH_ARGS": ""},
                )
            )  # fmt: skip

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(self.endpoint, timeout=5):
                return True
        except urllib.error.HTTPError:
            return True
        except OSError:
            return False

    def _wait(self, what: str, ready: Callable[[], bool]) -> None:
        end = time.monotonic() + _START_SECONDS
        while time.monotonic() < end:
            if ready():
                return
            time.sleep(0.3)
        logs = "\n".join(path.read_text(errors="replace")[-500:] for path in (self._folder / "log").iterdir())
        raise TimeoutError(f"{what} did not start within {_START_SECONDS} s:\n{logs}")
