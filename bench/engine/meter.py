"""Wall time, CPU of all processes, and their peak memory together.

CPU is what the kernel counted for a control group (version 1 or 2), so children that ended within the time are in it.
Where no group can be made, it is the sum over the processes that were seen (`/proc`), which misses short ones.
Memory is the sum of the proportional set sizes: pages shared by two processes count once. It is sampled up to ten
times a second, as often as costs less than 1 % of a core, at the end once more, and never told as less than what one process has held for itself in between (VmHWM).
"""

from __future__ import annotations

import contextlib
import ctypes
import io
import os
import threading
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

EVERY_SECONDS = 0.1
"""At most; programs that run for half a second are seen, too."""
SHARE = 0.01
"""Of one core is what sampling may take. The kernel walks through all pages of a process for its proportional size: with large
maps, after a sample of 12 ms the next is taken 1.2 s later."""
_TICK = os.sysconf("SC_CLK_TCK")
_libc = ctypes.CDLL(None, use_errno=True)


@dataclass
class Reading:
    """What one operation took; of PostgreSQL apart."""

    wall_s: float = 0.0
    cpu_s: float = 0.0
    peak_mib: float = 0.0
    database_cpu_s: float = 0.0
    database_peak_mib: float = 0.0


class Group:
    """Processes that are measured together; inner groups of it count for it, too, and for themselves."""

    def __init__(self, name: str, within: Group | None = None) -> None:
        self._name = name
        self._seen: dict[int, float] = {}
        self._members: set[int] = set()
        root = within.path if within else _root()
        self.path: Path | None = root / name if root else None
        if self.path:
            try:
                self.path.mkdir()
            except OSError:
                self.path = None

    @property
    def counted_by_kernel(self) -> bool:
        """Whether there is a control group."""
        return self.path is not None

    def command(self, argv: Sequence[str | Path]) -> list[str]:
        """The command, to be started as a member of the group."""
        arguments = [str(one) for one in argv]
        if not self.path:
            return arguments
        return ["/bin/sh", "-c", 'echo 0 >"$0/cgroup.procs" && exec "$@"', str(self.path), *arguments]

    def add(self, pid: int) -> None:
        """Take in a process that runs; its later children follow."""
        if self.path:
            (self.path / "cgroup.procs").write_text(str(pid))
        else:
            self._members.add(pid)

    def pids(self) -> set[int]:
        """Its processes, and those of inner groups."""
        if not self.path:
            return self._members | _descendants(self._members)
        found: set[int] = set()
        for file in (self.path, *(entry for entry in self.path.iterdir() if entry.is_dir())):
            found.update(map(int, (file / "cgroup.procs").read_text().split()))
        return found

    def cpu_s(self) -> float:
        """CPU seconds so far."""
        if self.path:
            if (self.path / "cpuacct.usage").exists():
                return int((self.path / "cpuacct.usage").read_text()) / 1e9
            lines = dict(line.split() for line in (self.path / "cpu.stat").read_text().splitlines())
            return int(lines["usage_usec"]) / 1e6
        for pid in self.pids():
            with contextlib.suppress(OSError, IndexError):
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                self._seen[pid] = sum(map(int, fields[11:13])) / _TICK
        return sum(self._seen.values())

    def close(self) -> None:
        """Remove the control group; its processes have ended."""
        if self.path:
            for _ in range(300):
                with contextlib.suppress(OSError):
                    self.path.rmdir()
                    return
                time.sleep(0.1)


def _root() -> Path | None:
    """The folder of this process' own group, where children of it can be made."""
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        bases = []
        if "cpuacct" in controllers.split(","):
            bases = [Path("/sys/fs/cgroup") / controllers, Path("/sys/fs/cgroup/cpuacct")]
        elif not controllers and Path("/sys/fs/cgroup/cgroup.controllers").exists():
            bases = [Path("/sys/fs/cgroup")]
        for base in bases:
            folder = base / path.lstrip("/")
            if os.access(folder, os.W_OK):
                return folder
    return None


def _descendants(roots: set[int]) -> set[int]:
    """All children of processes, by /proc."""
    children: dict[int, list[int]] = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, IndexError):
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
                children.setdefault(parent, []).append(int(entry.name))
    found: set[int] = set()
    waiting = list(roots)
    while waiting:
        new = [pid for pid in children.get(waiting.pop(), []) if pid not in found]
        found.update(new)
        waiting += new
    return found


def _pss_mib(pids: set[int]) -> float:
    total = 0
    for pid in pids:
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1])
                    break
    return total / 1024


def _own_peak_mib(pids: set[int]) -> float:
    """The highest that one of them has held for itself: its peak (VmHWM) without what it has mapped of files and shares now."""
    highest = 0
    for pid in pids:
        with contextlib.suppress(OSError, KeyError):
            told = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
            peak, file, shared = (int(told[key].split()[0]) for key in ("VmHWM", "RssFile", "RssShmem"))
            highest = max(highest, peak - file - shared)
    return highest / 1024


def _forget_peaks(pids: set[int]) -> None:
    """VmHWM of processes that run begins anew."""
    for pid in pids:
        with contextlib.suppress(OSError):
            Path(f"/proc/{pid}/clear_refs").write_text("5")


class _Sampler(threading.Thread):
    """Keeps the highest memory of a group and of its database, with little work of its own."""

    def __init__(self, group: Group, database: Group | None) -> None:
        super().__init__(daemon=True)
        self._group, self._database = group, database
        self._end = threading.Event()
        self.peak_mib = self.database_peak_mib = 0.0

    def run(self) -> None:
        """Sample until told to end."""
        _forget_peaks(self._group.pids())
        last = False
        while not last:
            last = self._end.is_set()
            begin = time.thread_time()
            others = self._database.pids() if self._database else set()
            own = self._group.pids() - others
            self.peak_mib = max(self.peak_mib, _pss_mib(own), _own_peak_mib(own))
            if others:
                self.database_peak_mib = max(self.database_peak_mib, _pss_mib(others))
            if not self._group.counted_by_kernel:
                self._group.cpu_s()
            self._end.wait(max(EVERY_SECONDS, (time.thread_time() - begin) / SHARE))

    def end(self) -> None:
        """Stop after a last sample."""
        self._end.set()
        self.join()


@contextlib.contextmanager
def measured(group: Group, database: Group | None, disk: Path) -> Iterator[Reading]:
    """What the block takes; what others left to write on the disk is written first, what the block left is within the time."""
    reading = Reading()
    sync(disk)
    sampler = _Sampler(group, database)
    cpu, database_cpu = group.cpu_s(), database.cpu_s() if database else 0.0
    sampler.start()
    begin = time.monotonic()
    try:
        yield reading
        sync(disk)
        reading.wall_s = time.monotonic() - begin
    finally:
        sampler.end()
    reading.database_cpu_s = database.cpu_s() - database_cpu if database else 0.0
    reading.cpu_s = group.cpu_s() - cpu - reading.database_cpu_s
    reading.peak_mib, reading.database_peak_mib = sampler.peak_mib, sampler.database_peak_mib


def sync(folder: Path) -> None:
    """Write everything of the folder's file system to the disk."""
    fd = os.open(folder, os.O_RDONLY)
    try:
        if _libc.syncfs(fd):
            raise OSError(ctypes.get_errno(), "syncfs")
    finally:
        os.close(fd)


def disk_speed(folder: Path, mib: int) -> float:
    """MB/s of writing one file of 1 MiB blocks, with its fsync."""
    block = os.urandom(1 << 20)
    path = folder / "speed"
    sync(folder)
    begin = time.monotonic()
    with path.open("wb", buffering=0) as file:
        for _ in range(mib):
            file.write(block)
        os.fsync(file.fileno())
    taken = time.monotonic() - begin
    path.unlink()
    return mib * 1.048576 / taken


def warm(folder: Path) -> None:
    """Bring the contents of a tree into the page cache."""
    buffer = bytearray(1 << 20)
    for file in _files(folder):
        while file.readinto(buffer):
            pass


def chill(folder: Path) -> None:
    """Put the contents of a repository out of the page cache, but for what somebody has mapped."""
    sync(folder)
    for file in _files(folder):
        os.posix_fadvise(file.fileno(), 0, 0, os.POSIX_FADV_DONTNEED)


def _files(folder: Path) -> Iterator[io.FileIO]:
    """Each file of a tree, open; systems that run may take some away meanwhile."""
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            if path.is_file() and not path.is_symlink():
                with path.open("rb", buffering=0) as file:
                    yield file
