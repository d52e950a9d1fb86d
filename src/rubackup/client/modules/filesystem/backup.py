"""Backs a folder, a file or a link up: walk, compare with the parent, read, send, seal.

Totals come from the parent's summary, else from a count that runs beside the walk.
Order of the manifest: `chunkstore.manifest`. Format and possession: design section 8.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, nullcontext
from itertools import pairwise
from pathlib import Path

from rubackup.chunkstore.frame_cipher import ManifestCipher
from rubackup.chunkstore.manifest import Header, ManifestReader, ManifestWriter, Summary
from rubackup.client.memory import MemoryGuard
from rubackup.client.modules.filesystem.ahead import AHEAD_BYTES
from rubackup.client.modules.filesystem.choose_source import chosen_source
from rubackup.client.modules.filesystem.copier import Copier
from rubackup.client.modules.filesystem.count import Counter
from rubackup.client.modules.filesystem.early import SMALL_BYTES, EarlyReader
from rubackup.client.modules.filesystem.folders import Folders, open_following
from rubackup.client.modules.filesystem.kind import check_kind
from rubackup.client.modules.filesystem.metadata import forget_names, read_xattrs
from rubackup.client.modules.filesystem.options import BackupOptions
from rubackup.client.modules.filesystem.parent import Parent
from rubackup.client.modules.filesystem.paths import absolute, ancestors, reason, split
from rubackup.client.modules.filesystem.pieces import stat_record
from rubackup.client.modules.filesystem.protected import Protected
from rubackup.client.modules.filesystem.reader import FLEXIBLE, READ_BYTES, USUAL, FileReader
from rubackup.client.modules.filesystem.report import Report
from rubackup.client.modules.filesystem.snapshots import Snapshots
from rubackup.client.modules.filesystem.source import live
from rubackup.client.modules.filesystem.streams import NETWORK
from rubackup.client.modules.filesystem.takeover import Output
from rubackup.client.modules.filesystem.tree import TreeCopier
from rubackup.client.modules.filesystem.upload import ASKED, Uploader
from rubackup.client.ports import BackupChannel, BackupJob, BackupSummary, Watch
from rubackup.client.ranges import whole
from rubackup.domain.errors import Corrupt, Invalid, Stopped
from rubackup.domain.filenames import printable
from rubackup.domain.lookups import BackupType, CompressionType, ResourceType

CHUNKER = (*USUAL, 0)
"""Minimum, average, maximum, seed."""

LEVELS: dict[str, int | None] = {
    CompressionType.NONE.label: None,
    CompressionType.FAST.label: 1,
    CompressionType.OPTIMAL.label: 3,
    CompressionType.BEST.label: 9,
}
COUNT_AFTER_SECONDS = 2.0
WORKERS = 4
MOST_WORKERS = 32


class Backup:
    """One backup of one resource."""

    def __init__(
        self,
        job: BackupJob,
        channel: BackupChannel,
        watch: Watch,
        now_ns: Callable[[], int] = time.time_ns,
        snapshots: Snapshots | None = None,
        protected: Protected | None = None,
    ) -> None:
        if job.compression not in LEVELS:
            raise Invalid(f"The compression {job.compression!r} is not known.")
        self._job = job
        self._watch = watch
        self._now_ns = now_ns
        self._resource = absolute(job.resource, "resource")
        self._cipher = ManifestCipher(job.sealer.key, job.sealer.suite) if job.sealer else None
        self._channel = channel
        self._report = Report(watch)
        self._options = BackupOptions.of(job.module_parameters)
        self._snapshots = snapshots or Snapshots()
        self._protected = protected or Protected()
        self._memory = MemoryGuard.of(job.common_parameters)
        self._source = live(self._resource)
        self._private: tuple[int, int] | None = None

    def run(self) -> BackupSummary:
        """Copy everything and seal the record."""
        forget_names()
        self._watch.phase("execution")
        self._protected.check_resource(self._resource)
        with chosen_source(self._resource, self._job, self._options, self._snapshots, self._watch) as self._source:
            return self._run()

    def _run(self) -> BackupSummary:
        self._private = _identity(self._snapshots.base)
        tree, is_folder = self._open()
        if self._source.as_of_ns and is_folder:
            live_device = Path(os.fsdecode(self._resource)).stat().st_dev
            self._protected.also_on(live_device, os.fstat(tree.open(self._resource)).st_dev)
        uploader = Uploader(
            self._channel,
            level=LEVELS[self._job.compression],
            workers=worker_count(self._job.common_parameters.get("worker_parallelism")),
            check=self._report.tick,
            started=lambda: self._watch.phase("transmission"),
            sealer=self._job.sealer,
            asked=positive(self._job.common_parameters.get("network_parallelism"), ASKED),
            memory=self._memory,
        )
        counter = Counter(self._resource, self._protected, COUNT_AFTER_SECONDS)
        try:
            if not Path("/proc/self/fd").is_dir():
                self._report.warn_once(
                    "proc", "/proc is not mounted: extended attributes of folders and links are not copied."
                )
            self._report.sent = lambda: uploader.sent_bytes
            parent = self._parent(uploader)
            if parent:
                totals = parent.summary.files, parent.summary.size_bytes
                self._report.totals = lambda: totals
            else:
                self._report.totals = lambda: counter.totals
                counter.start()
            return self._copy(tree, uploader, parent, is_folder=is_folder)
        except Stopped:
            uploader.close()
            self._report.left()
            raise
        finally:
            counter.stop()
            uploader.close()
            tree.close()

    def _open(self) -> tuple[Folders, bool]:
        """The tree, and whether the resource is a folder. Invalid when it is not there, is of another kind or cannot be read."""
        folder, name = split(self._resource)
        try:
            tree = self._source.open()
            try:
                above = tree.open(folder)
                st = os.stat(name or b".", dir_fd=above, follow_symlinks=False)
                check_kind(self._resource, st, lambda: os.stat(name, dir_fd=above))
                if stat.S_ISDIR(st.st_mode):
                    tree.open(self._resource)
                return tree, stat.S_ISDIR(st.st_mode)
            except (OSError, Invalid):
                tree.close()
                raise
        except OSError as error:
            raise Invalid(f"The resource {printable(self._resource)} cannot be read: {reason(error)}.") from error

    def _parent(self, uploader: Uploader) -> Parent | None:
        """The earlier copy to build on; None for a full backup or where it cannot be read."""
        if self._job.backup_type == BackupType.FULL.label:
            return None
        if not self._channel.parent_bytes:
            self._report.info("There is no earlier copy to build on: everything is read.")
            return None
        try:
            read, size = whole(uploader.read_parent), self._channel.parent_bytes
            return Parent(ManifestReader(read, size, self._cipher))
        except Corrupt as error:
            self._report.warn_once("parent", f"The earlier copy cannot be used: {error} Everything is read.")
            return None

    def _copy(self, tree: Folders, uploader: Uploader, parent: Parent | None, *, is_folder: bool) -> BackupSummary:
        block_bytes = self._channel.block_bytes
        header = Header(
            record=self._job.record,
            parent=self._job.parent,
            client_hwid=self._job.client_hwid,
            resource_type=ResourceType.FILE_SYSTEM.label,
            resource=self._resource.decode("utf-8", "backslashreplace"),
            backup_type=self._job.backup_type,
            created_ns=self._source.as_of_ns or self._now_ns(),
            chunker=(block_bytes, block_bytes, block_bytes, 0) if block_bytes else CHUNKER,
            key_id=self._job.sealer.key.id.hex() if self._job.sealer else "",
        )
        output = Output(
            lambda sink: ManifestWriter(sink, header, self._cipher), uploader.put_manifest, uploader.copy_parent
        )
        seed = CHUNKER[3]
        if self._job.sealer is not None:  # kept out of the header, which is in clear
            seed = self._job.sealer.key.chunker_seed(self._job.sealer.suite)
        read_bytes = self._memory.room(READ_BYTES, FLEXIBLE[2])
        ahead = ThreadPoolExecutor(1, "read") if read_bytes == READ_BYTES else None
        copier = Copier(
            add_chunk=uploader.add,
            reader=FileReader(
                self._report.tick,
                seed=seed,
                flexible=self._job.common_parameters.get("enable_flexible_dedup") is True,
                read_bytes=read_bytes,
                block_bytes=block_bytes,
                ahead=ahead,
            ),
            report=self._report,
        )
        copier.parent = output.parent = parent
        early = EarlyReader(
            most=positive(self._job.common_parameters.get("worker_parallelism"), NETWORK),
            ahead_bytes=self._memory.room(AHEAD_BYTES, SMALL_BYTES),
        )
        folders = TreeCopier(
            source=self._source,
            tree=tree,
            protected=self._protected,
            private=self._private,
            numeric_owner=self._options.numeric_owner,
            copier=copier,
            output=output,
            report=self._report,
            early=early,
        )
        with closing(early), ahead or nullcontext():
            self._copy_tree(tree, copier, folders, is_folder=is_folder)
        self._source.check()
        report = self._report
        size = report.bytes_done
        output.writer.finish(Summary(report.files, report.files_failed, report.folders, size))
        uploader.flush()
        report.finish()
        report.deliver()
        sealed = uploader.seal(report.files, report.files_failed, size)
        return BackupSummary(report.files, report.files_failed, size, sealed.stored_bytes)

    def _copy_tree(self, tree: Folders, copier: Copier, folders: TreeCopier, *, is_folder: bool) -> None:
        above = ancestors(self._resource)
        for folder, below in pairwise(above):
            self._ancestor(folders, folder, below)
        if above:
            self._copy_resource(tree, above[-1], copier, folders)
        if is_folder:
            folders.copy(self._resource)

    def _ancestor(self, folders: TreeCopier, folder: bytes, path: bytes) -> None:
        """The entry of a folder above the resource, as it is seen through links."""
        fd = open_following(path)
        try:
            st = os.fstat(fd)
            xattrs = read_xattrs(fd, lambda why: self._report.warn(path, why))
        finally:
            os.close(fd)
        builder = folders.builder(folder, st.st_dev)
        builder.add_with(split(path)[1], stat_record(st), st.st_dev, [], xattrs=xattrs)
        builder.flush()

    def _copy_resource(self, tree: Folders, folder: bytes, copier: Copier, folders: TreeCopier) -> None:
        """The entry of the resource itself; that it cannot be read ends the backup."""
        fd = tree.open(folder)
        name = split(self._resource)[1]
        try:
            st = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except OSError as error:
            raise Invalid(f"The resource {printable(self._resource)} cannot be read: {reason(error)}.") from error
        if stat.S_ISLNK(st.st_mode):
            self._report.info("The resource is a symbolic link: the link itself is copied, not what it points to.")
        folders.enter(folder)
        builder = folders.builder(folder, st.st_dev)
        if not copier.copy(fd, folder, name, st, builder):
            raise Invalid(f"The resource {printable(self._resource)} cannot be read.")
        builder.flush()


def _identity(folder: Path) -> tuple[int, int] | None:
    """Device and inode of a folder, None when it is not there."""
    try:
        st = folder.stat()
    except OSError:
        return None
    return st.st_dev, st.st_ino


def positive(wanted: object, default: int) -> int:
    """A parameter that is a positive integer, else the default."""
    return wanted if isinstance(wanted, int) and not isinstance(wanted, bool) and wanted > 0 else default


def worker_count(wanted: object) -> int:
    """How many threads compress: what the task asks for, within reason, else as many as there are processors."""
    return min(positive(wanted, min(WORKERS, os.cpu_count() or 1)), MOST_WORKERS)
