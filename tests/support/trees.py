"""Makes folders full of everything that a file system can hold, and copies them through a pool in memory."""

from __future__ import annotations

import os
import stat
import struct
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from rubackup.client.compare import compare_trees
from rubackup.client.modules.filesystem import FileSystemModule
from rubackup.client.modules.filesystem.backup import Backup
from rubackup.client.ports import BackupJob, BackupSummary, RestoreJob, RestoreSummary
from support.channels import MemoryBackup, MemoryPool, MemoryRestore, RecordingWatch

OLD_NS = 1_500_000_000_123_456_789


def acl(*rows: tuple[int, int, int]) -> bytes:
    """A POSIX ACL as the kernel stores it (linux/posix_acl_xattr.h, version 2): tag, permissions, id."""
    return struct.pack("<I", 2) + b"".join(struct.pack("<HHI", tag, bits, number) for tag, bits, number in rows)


NOBODY_READS = acl((1, 6, 2**32 - 1), (2, 4, 65534), (4, 4, 2**32 - 1), (16, 6, 2**32 - 1), (32, 0, 2**32 - 1))


def make_deep(root: bytes, name: bytes, levels: int) -> None:
    """A chain of folders with a file at the end, each made from the one above: its path may be any length."""
    fd = os.open(root, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=fd)
        below = os.open(name, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = below
    file = os.open(b"bottom", os.O_WRONLY | os.O_CREAT, dir_fd=fd)
    os.write(file, b"deep")
    os.close(file)
    os.close(fd)


def make_rich_tree(root: Path) -> None:
    """Files, folders, links, sparse files, nodes, attributes, ACLs, odd names, odd modes, odd times."""
    raw = os.fsencode(root)
    root.mkdir(parents=True)
    (root / "empty").touch()
    (root / "empty folder").mkdir()
    (root / "small").write_bytes(b"small")
    (root / "large").write_bytes(os.urandom(3_000_000) + bytes(2_000_000) + b"end")
    (root / "a").mkdir()
    (root / "a-b").write_text("sorts between a and a/c in a string order")
    (root / "a" / "c").write_text("c")
    (root / "a.txt").write_text("a")
    (root / "locked").mkdir()
    (root / "locked" / "inside").write_text("x")
    (root / "locked").chmod(0o500)
    Path(os.fsdecode(raw + b"/not utf-8 \xff\xfe")).write_bytes(b"bytes")
    (root / "line\nfeed").write_text("x")
    (root / "link").symlink_to("small")
    (root / "dangling").symlink_to("/nowhere/at all")
    Path(os.fsdecode(raw + b"/link \xff")).symlink_to(os.fsdecode(b"\xff/.."))
    os.link(root / "small", root / "a" / "second name")
    os.link(root / "small", root / "zz third name")
    os.link(root / "dangling", root / "a" / "the link again", follow_symlinks=False)
    with (root / "sparse").open("wb") as file:
        file.seek(5_000_000)
        file.write(b"data")
        file.truncate(12_000_000)
    os.mkfifo(root / "fifo", 0o641)
    os.mknod(root / "socket", stat.S_IFSOCK | 0o600)
    (root / "suid").write_text("x")
    (root / "suid").chmod(0o6755)
    (root / "a").chmod(0o1777)
    os.setxattr(root / "small", "user.note", b"\0\xffvalue")
    os.setxattr(root / "a", "user.folder", b"yes")
    os.setxattr(root / "a.txt", "system.posix_acl_access", NOBODY_READS)
    os.setxattr(root / "empty folder", "system.posix_acl_default", NOBODY_READS)
    if os.geteuid() == 0:
        os.mknod(root / "char", stat.S_IFCHR | 0o620, os.makedev(1, 3))
        os.mknod(root / "block", stat.S_IFBLK | 0o660, os.makedev(7, 200))
        os.chown(root / "a.txt", 12345, 54321)
        os.chown(root / "link", 1, 1, follow_symlinks=False)
        os.setxattr(root / "dangling", "trusted.link", b"1", follow_symlinks=False)
        os.setxattr(root / "suid", "trusted.secret", b"2")
    os.utime(root / "link", ns=(1, 987_654_321), follow_symlinks=False)
    os.utime(root / "empty", ns=(5, -1_000_000_001))
    os.utime(root / "a", ns=(5, OLD_NS))


@dataclass
class Copies:
    """Backs up and restores through one pool in memory."""

    pool: MemoryPool = field(default_factory=MemoryPool)
    watch: RecordingWatch = field(default_factory=RecordingWatch)
    module: FileSystemModule = field(default_factory=FileSystemModule)
    channel: MemoryBackup | None = None

    def told(self) -> list[str]:
        """Warnings and errors of the log, but for the one that tells an ordinary user that it is not root."""
        lines = self.watch.texts("warning") + self.watch.texts("error")
        return [line for line in lines if not line.startswith("Owners of other users")]

    def backup(self, resource: Path | str, record: str = "full", parent: str = "", **more: Any) -> BackupSummary:
        """Copy `resource` as `record`."""
        kind = "incremental" if parent else "full"
        job = BackupJob(record, parent, "hwid", os.fspath(resource), kind, **more)
        self.channel = self.pool.write(record, parent)
        return self.module.backup(job, self.channel, self.watch)

    def backup_later(self, resource: Path, record: str, parent: str = "", seconds: int = 60) -> BackupSummary:
        """The same, by a clock that is ahead: so what was just written counts as old for the next backup."""
        job = BackupJob(record, parent, "hwid", os.fspath(resource), "incremental" if parent else "full")
        self.channel = self.pool.write(record, parent)
        now = resource.stat().st_ctime_ns + seconds * 10**9
        return Backup(job, self.channel, self.watch, now_ns=lambda: now).run()

    def restore(
        self,
        resource: Path | str,
        destination: Path | str = "",
        record: str = "full",
        paths: Sequence[str] = (),
        change: Callable[[MemoryRestore], None] = lambda _: None,
        **more: Any,
    ) -> RestoreSummary:
        """Restore `record`, or some of its `paths`; `change` may spoil the channel first."""
        job = RestoreJob(record, "hwid", os.fspath(resource), os.fspath(destination), paths=tuple(paths), **more)
        channel = self.pool.read(record)
        change(channel)
        return self.module.restore(job, channel, self.watch)


def assert_same(left: Path | str, right: Path | str) -> None:
    """Fail with the differences of two trees."""
    found = compare_trees(os.fspath(left), os.fspath(right))
    assert found.differences == []


def landed(destination: Path, resource: Path) -> Path:
    """Where a resource lies below a destination."""
    return Path(f"{destination}{resource}")
