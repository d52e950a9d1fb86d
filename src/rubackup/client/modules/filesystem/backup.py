"""Backs a folder, a file or a link up: walk, compare with the parent, read, send, seal.

Totals come from the parent's summary, else from a count that runs beside the walk.
Order of the manifest: `chunkstore.manifest`. Format and possession: design section 8.
"""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import msgspec

from rubackup.chunkstore.chunker import Chunker
from rubackup.chunkstore.frame_cipher import ManifestCipher
from rubackup.chunkstore.manifest import Entry, Header, ManifestReader, ManifestWriter, Summary
from rubackup.client.modules.filesystem.choose_source import chosen_source
from rubackup.client.modules.filesystem.copier import Copier
from rubackup.client.modules.filesystem.count import Counter
from rubackup.client.modules.filesystem.folders import Folders, Pending, open_following
from rubackup.client.modules.filesystem.listing import list_folder, not_entered
from rubackup.client.modules.filesystem.metadata import forget_names, make_entry, read_xattrs
from rubackup.client.modules.filesystem.mounts import Mounts
from rubackup.client.modules.filesystem.options import BackupOptions
from rubackup.client.modules.filesystem.parent import Parent
from rubackup.client.modules.filesystem.paths import absolute, ancestors, join, printable, reason, split
from rubackup.client.modules.filesystem.protected import WHY, Protected
from rubackup.client.modules.filesystem.reader import FileReader
from rubackup.client.modules.filesystem.report import Report
from rubackup.client.modules.filesystem.snapshots import Snapshots
from rubackup.client.modules.filesystem.source import live
from rubackup.client.modules.filesystem.upload import Uploader
from rubackup.client.ports import BackupChannel, BackupJob, BackupSummary, Watch
from rubackup.client.ranges import whole
from rubackup.domain.errors import Corrupt, Invalid
from rubackup.domain.lookups import BackupType, CompressionType, ResourceType

CHUNKER = (32 << 10, 128 << 10, 512 << 10, 0)
"""Minimum, average, maximum, seed: design section 8."""

LEVELS: dict[str, int | None] = {
    CompressionType.NONE.label: None,
    CompressionType.FAST.label: 1,
    CompressionType.OPTIMAL.label: 3,
    CompressionType.BEST.label: 9,
}
ENTRIES_HELD = 1000
"""Entries of one folder held back before they go to the manifest."""
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
        self._mounts = Mounts()
        self._options = BackupOptions.of(job.module_parameters)
        self._snapshots = snapshots or Snapshots()
        self._protected = protected or Protected()
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
        )
        counter = Counter(self._resource, self._protected)
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
        finally:
            counter.stop()
            uploader.close()
            tree.close()

    def _open(self) -> tuple[Folders, bool]:
        """The tree, and whether the resource is a folder. Invalid when it is not there or cannot be read."""
        folder, name = split(self._resource)
        try:
            tree = self._source.open()
            try:
                st = os.stat(name or b".", dir_fd=tree.open(folder), follow_symlinks=False)
                if stat.S_ISDIR(st.st_mode):
                    tree.open(self._resource)
                return tree, stat.S_ISDIR(st.st_mode)
            except OSError:
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
        header = Header(
            record=self._job.record,
            parent=self._job.parent,
            client_hwid=self._job.client_hwid,
            resource_type=ResourceType.FILE_SYSTEM.label,
            resource=self._resource.decode("utf-8", "backslashreplace"),
            backup_type=self._job.backup_type,
            created_ns=self._source.as_of_ns or self._now_ns(),
            chunker=CHUNKER,
            key_id=self._job.sealer.key.id.hex() if self._job.sealer else "",
        )
        writer = ManifestWriter(uploader.put_manifest, header, self._cipher)
        minimum, average, maximum, seed = CHUNKER
        if self._job.sealer is not None:  # kept out of the header, which is in clear
            seed = self._job.sealer.key.chunker_seed(self._job.sealer.suite)
        copier = Copier(
            add_chunk=uploader.add,
            add_rows=writer.add_rows,
            reader=FileReader(Chunker(minimum, average, maximum, seed), minimum, maximum, self._report.tick),
            parent=parent,
            report=self._report,
        )
        self._copy_tree(tree, writer, copier, is_folder=is_folder)
        self._source.check()
        report = self._report
        size = report.bytes_done
        writer.finish(Summary(report.files, report.files_failed, report.folders, size))
        uploader.flush()
        sealed = uploader.seal(report.files, report.files_failed, size)
        report.finish()
        return BackupSummary(report.files, report.files_failed, size, sealed.stored_bytes)

    def _copy_tree(self, tree: Folders, writer: ManifestWriter, copier: Copier, *, is_folder: bool) -> None:
        above = ancestors(self._resource)
        for folder, below in pairwise(above):
            copier.enter(folder)
            self._add(writer, folder, [self._ancestor(below)])
        if above:
            self._copy_resource(tree, above[-1], writer, copier)
        if not is_folder:
            return
        pending = Pending()
        path: bytes | None = self._resource
        while path is not None:
            self._copy_folder(tree, path, writer, copier, pending)
            path = pending.pop()

    def _ancestor(self, path: bytes) -> Entry:
        """The entry of a folder above the resource, as it is seen through links."""
        fd = open_following(path)
        try:
            xattrs = read_xattrs(fd, lambda why: self._report.warn(path, why))
            return make_entry(split(path)[1], os.fstat(fd), xattrs=xattrs)
        finally:
            os.close(fd)

    def _copy_resource(self, tree: Folders, folder: bytes, writer: ManifestWriter, copier: Copier) -> None:
        """The entry of the resource itself; that it cannot be read ends the backup."""
        fd = tree.open(folder)
        name = split(self._resource)[1]
        try:
            st = os.stat(name, dir_fd=fd, follow_symlinks=False)
        except OSError as error:
            raise Invalid(f"The resource {printable(self._resource)} cannot be read: {reason(error)}.") from error
        if stat.S_ISLNK(st.st_mode):
            self._report.info("The resource is a symbolic link: the link itself is copied, not what it points to.")
        copier.enter(folder)
        entry = copier.copy(fd, folder, name, st)
        if entry is None:
            raise Invalid(f"The resource {printable(self._resource)} cannot be read.")
        self._add(writer, folder, [entry])

    def _add(self, writer: ManifestWriter, folder: bytes, entries: list[Entry]) -> None:
        if self._options.numeric_owner:
            entries = [msgspec.structs.replace(entry, user="", group="") for entry in entries]
        writer.add_folder(folder, entries)

    def _copy_folder(
        self, tree: Folders, path: bytes, writer: ManifestWriter, copier: Copier, pending: Pending
    ) -> None:
        folders: list[bytes] = []
        entries: list[Entry] = []
        written = False
        copier.enter(path)
        try:
            fd = tree.open(path)
            device = os.fstat(fd).st_dev
            for name, st in list_folder(fd):
                self._report.tick()
                if isinstance(st, OSError):
                    copier.lost(join(path, name), st)
                    continue
                if self._is_protected(join(path, name), st):
                    continue
                entry = self._entry(copier, fd, path, name, st)
                if entry is None:
                    continue
                entries.append(entry)
                if stat.S_ISDIR(st.st_mode) and self._enters(device, st, join(path, name)):
                    folders.append(name)
                if len(entries) >= ENTRIES_HELD:
                    self._add(writer, path, entries)
                    entries, written = [], True
        except OSError as error:
            copier.lost(path, error)
        if entries or not written:
            self._add(writer, path, entries)
        pending.push(path, folders)

    def _entry(self, copier: Copier, fd: int, path: bytes, name: bytes, st: os.stat_result) -> Entry | None:
        """The entry of `name`; of a folder that is read elsewhere the one that stands there."""
        graft = self._source.grafts.get(join(path, name))
        if graft is None or not stat.S_ISDIR(st.st_mode):
            return copier.copy(fd, path, name, st)
        above = open_following(split(graft)[0])
        try:
            return copier.copy(above, path, name, os.stat(name, dir_fd=above, follow_symlinks=False))
        finally:
            os.close(above)

    def _is_protected(self, path: bytes, st: os.stat_result) -> bool:
        if not stat.S_ISDIR(st.st_mode):
            return False
        graft = self._source.grafts.get(path)
        found = self._protected.holds(Path(os.fsdecode(graft)).stat() if graft else st)
        if found:
            self._report.warn(path, f"is not copied: {WHY}")
        return found

    def _enters(self, device: int, st: os.stat_result, path: bytes) -> bool:
        if (st.st_dev, st.st_ino) == self._private:
            self._report.info(f"{printable(path)}: snapshots are mounted here while they are read; it is not entered.")
            return False
        kind = not_entered(self._mounts, device, st)
        if kind:
            self._report.info(f"{printable(path)}: a file system of type {kind} is mounted here; it is not entered.")
        return not kind


def _identity(folder: Path) -> tuple[int, int] | None:
    """Device and inode of a folder, None when it is not there."""
    try:
        st = folder.stat()
    except OSError:
        return None
    return st.st_dev, st.st_ino


def worker_count(wanted: object) -> int:
    """How many threads compress: what the task asks for, within reason, else as many as there are processors."""
    if isinstance(wanted, int) and not isinstance(wanted, bool) and wanted > 0:
        return min(wanted, MOST_WORKERS)
    return min(WORKERS, os.cpu_count() or 1)
