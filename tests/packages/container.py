"""A Debian 12 with systemd as its first process, in a container of its own: file system, processes, network."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

PACKAGES = (
    "systemd", "systemd-sysv", "dbus", "python3.11", "adduser", "iproute2", "curl", "jq", "ca-certificates",
    "postgresql", "sudo", "procps",
)  # fmt: skip
"""What the container has before ours: what they depend on, PostgreSQL, and what an administrator uses."""
BOOT_SECONDS = 60


def base(cache: Path) -> Path:
    """A Debian 12 that nothing was done with, made by debootstrap when there is none."""
    done = cache / ".complete"
    if not done.exists():
        shutil.rmtree(cache, ignore_errors=True)
        cache.parent.mkdir(parents=True, exist_ok=True)
        subprocess.run(
            ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", "bookworm", str(cache),
             "http://deb.debian.org/debian"],
            check=True, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        done.touch()
    return cache


class Container:
    """One host: a file system over an empty Debian, and what runs on it between `boot` and `halt` or `crash`."""

    def __init__(self, name: str, root: Path, log: Path, network: str = "") -> None:
        self.name = name
        self.root = root
        self._log = log
        self._network = network
        self._nspawn: subprocess.Popen[bytes] | None = None
        self._leader = 0

    def boot(self) -> None:
        """Start it, and wait until it is up."""
        where = [f"--network-namespace-path=/run/netns/{self._network}"] if self._network else ["--private-network"]
        command = [
            "systemd-nspawn", "--quiet", "--boot", "--register=no", "--keep-unit", f"--machine={self.name}",
            f"--hostname={self.name}", "--console=pipe", *where, "-D", str(self.root),
        ]  # fmt: skip
        with self._log.open("wb") as console:
            self._nspawn = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=console, stderr=console, start_new_session=True
            )
        self._leader = _leader(self._nspawn, self._log)
        self.until("systemctl is-system-running --wait || systemctl is-system-running | grep -q degraded", BOOT_SECONDS)

    def halt(self) -> None:
        """Shut it down in order."""
        if self._nspawn is None:
            return
        self._nspawn.send_signal(signal.SIGTERM)
        try:
            self._nspawn.wait(60)
        except subprocess.TimeoutExpired:
            self.crash()
        self._nspawn = None

    def crash(self) -> None:
        """Kill everything on it at once, as when its power fails."""
        assert self._nspawn is not None
        os.kill(self._leader, signal.SIGKILL)  # the kernel then kills all of its processes
        self._nspawn.kill()
        self._nspawn.wait()
        self._nspawn = None

    def run(self, command: str, *, status: int | None = 0, seconds: float = 300, user: str = "") -> str:
        """What a shell's command says on both outputs; it must end with `status`, any if None."""
        inner = ["runuser", "-u", user, "--"] if user else []
        result = subprocess.run(
            ["nsenter", "-t", str(self._leader), "-m", "-u", "-i", "-n", "-p", "-C", "--",
             *inner, "/bin/bash", "-c", command],
            capture_output=True, text=True, timeout=seconds, check=False, stdin=subprocess.DEVNULL,
            env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "HOME": "/root", "LANG": "C.UTF-8", "DEBIAN_FRONTEND": "noninteractive"},
        )  # fmt: skip
        said = result.stdout + result.stderr
        assert status is None or result.returncode == status, f"{self.name}: {command}: {result.returncode}\n{said}"
        return said

    def write(self, path: str, text: str) -> None:
        """Put a file into the container."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_text(text)

    def read(self, path: str) -> str:
        """A file of the container."""
        return (self.root / path.lstrip("/")).read_text()

    def exists(self, path: str) -> bool:
        """Whether the container has it, symbolic links as they are."""
        return os.path.lexists(self.root / path.lstrip("/"))

    def bring(self, source: Path, path: str) -> None:
        """Copy a file of this machine into the container."""
        target = self.root / path.lstrip("/")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(source, target)

    def until(self, command: str, seconds: float = 60) -> str:
        """What a command says as soon as it ends well."""
        deadline = time.monotonic() + seconds
        while True:
            said = self.run(f"({command}) 2>&1 && echo and-well", status=None)
            if said.rstrip().endswith("and-well"):
                return said.removesuffix("and-well\n")
            assert time.monotonic() < deadline, f"{self.name}: not within {seconds} s: {command}\n{said}"
            time.sleep(0.3)


@contextlib.contextmanager
def booted(name: str, lower: Path, work: Path, network: str = "") -> Iterator[Container]:
    """A container over `lower`, which stays as it is; `network` is a network namespace, a lone loopback unless given."""
    with copy(lower, work / name) as root:
        yield from _running(name, root, work / name / "console", network)


@contextlib.contextmanager
def copy(lower: Path, work: Path) -> Iterator[Path]:
    """A file system over `lower`, which stays as it is."""
    upper, scratch, root = (work / part for part in ("upper", "work", "root"))
    for folder in (upper, scratch, root):
        folder.mkdir(parents=True)
    subprocess.run(
        ["mount", "-t", "overlay", "overlay", "-o", f"lowerdir={lower},upperdir={upper},workdir={scratch}", str(root)],
        check=True,
    )
    try:
        yield root
    finally:
        subprocess.run(["umount", "-l", str(root)], check=False)


def _running(name: str, root: Path, log: Path, network: str) -> Iterator[Container]:
    (root / "etc/hostname").write_text(f"{name}\n")
    (root / "etc/hosts").write_text(f"127.0.0.1 localhost\n127.0.1.1 {name}\n")
    (root / "etc/machine-id").write_text("")
    (root / "usr/sbin/policy-rc.d").unlink(missing_ok=True)
    (root / "etc/dpkg/dpkg.cfg.d/no-sync").write_text("force-unsafe-io\n")  # a host that is thrown away
    container = Container(name, root, log, network)
    try:
        container.boot()
        yield container
    finally:
        container.halt()


def _leader(nspawn: subprocess.Popen[bytes], log: Path) -> int:
    """The container's first process: the child of systemd-nspawn, once it is systemd."""
    children = Path(f"/proc/{nspawn.pid}/task/{nspawn.pid}/children")
    deadline = time.monotonic() + BOOT_SECONDS
    while time.monotonic() < deadline:
        assert nspawn.poll() is None, log.read_text(errors="replace")
        for child in children.read_text().split():
            with contextlib.suppress(OSError):  # it has ended meanwhile
                if Path(f"/proc/{child}/comm").read_text().strip() == "systemd":
                    return int(child)
        time.sleep(0.05)
    raise AssertionError(log.read_text(errors="replace"))
