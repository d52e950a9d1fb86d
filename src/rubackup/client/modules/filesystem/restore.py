"""Puts a copy back: walks the manifest, makes folders, queues the rest, writes it in batches.

Files land below the destination at their full original path, or in place. Folders above
what was chosen are made where they are missing, with their recorded metadata, and are left
alone where they exist. A folder's own metadata is set when all below it was written. An
existing file is judged by `overwrite`; a folder in the place of a file is never removed.
What failed is listed one by one and ends nothing else. At the end the destination is synced.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from dataclasses import dataclass, field

import msgspec

from rubackup.chunkstore.manifest import Entry, EntryType
from rubackup.chunkstore.manifest.runs import RunView
from rubackup.client.encrypted import open_manifest
from rubackup.client.memory import MemoryGuard, give_back
from rubackup.client.modules.filesystem.anchor import open_anchor
from rubackup.client.modules.filesystem.apply import Applier, forget_ids, inherits_acls
from rubackup.client.modules.filesystem.backup import positive, worker_count
from rubackup.client.modules.filesystem.batch import Home
from rubackup.client.modules.filesystem.existing import Overwrite, is_same
from rubackup.client.modules.filesystem.fetch import Fetcher
from rubackup.client.modules.filesystem.folders import FOLDER, LIMIT, Folders, open_noatime
from rubackup.client.modules.filesystem.paths import (
    ROOT,
    absolute,
    are_safe_names,
    is_safe_name,
    is_within,
    join,
    reason,
    split,
)
from rubackup.client.modules.filesystem.protected import Protected
from rubackup.client.modules.filesystem.report import Report
from rubackup.client.modules.filesystem.rows import AHEAD, Rows
from rubackup.client.modules.filesystem.selection import DIRECT, Place, Selection, blocks, choose
from rubackup.client.modules.filesystem.sync import Syncer
from rubackup.client.modules.filesystem.target import UNFIT, WHY_UNFIT, Target, Temporaries
from rubackup.client.modules.filesystem.write import Writer
from rubackup.client.ports import RestoreChannel, RestoreJob, RestoreSummary, Watch
from rubackup.domain.errors import Invalid
from rubackup.domain.filenames import printable

KEPT_BYTES = 16 << 20
"""After a restore of more than this the process gives back what it no longer needs."""
ROWS_OF_FEW = 256
"""Rows that are read ahead where only a few files may have been chosen."""
WAITING = 3
"""Threads that write parts of large files where no number was asked for: they wait for the disk more than they compute."""
FOLDERS_OF_THREADS = 128
"""Folders that the writing threads together keep open."""
HOMES_OPEN = 256
"""Folders made by this restore that stay open until all that belongs into them is written."""


def _entries(block: RunView | Sequence[Entry]) -> Sequence[Entry]:
    return block.entries() if isinstance(block, RunView) else block


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode


@dataclass
class Frame:
    """A folder of the manifest that the walk is in or below."""

    home: Home
    blocked: bool = False
    """It could not be made: nothing below it can be restored."""
    unfinished: dict[bytes, bytes] = field(default_factory=dict)
    """Sub-folders that get their metadata when the walk leaves them, as encoded entries: there may be a million."""
    known: set[bytes] = field(default_factory=set)
    """Sub-folders that exist and keep their metadata."""
    made: set[bytes] = field(default_factory=set)
    """Sub-folders that this restore has made, until the walk enters them."""

    @property
    def path(self) -> bytes:
        """In the copy."""
        return self.home.path


class Restore:
    """One restore of one record."""

    def __init__(
        self, job: RestoreJob, channel: RestoreChannel, watch: Watch, protected: Protected | None = None
    ) -> None:
        try:
            self._overwrite = Overwrite(job.overwrite)
        except ValueError:
            raise Invalid(f"overwrite must be one of {', '.join(item.value for item in Overwrite)}.") from None
        self._job = job
        self._protected = protected or Protected()
        self._is_root = os.geteuid() == 0
        self._kept = 0
        self._resource = absolute(job.resource, "resource")
        self._watch = watch
        self._report = Report(watch)
        self._fetcher = Fetcher(channel, job.keys)
        self._reader = open_manifest(channel, job.keys, self._fetcher.read_manifest)
        self._selection = Selection(self._resource, choose(job.paths, self._reader))
        self._applier = Applier(self._report, numeric_owner=job.module_parameters.get("numeric_owner") is True)
        self._guard = MemoryGuard.of(job.common_parameters)
        self._frames: list[Frame] = []
        self._open_homes: set[Home] = set()
        self._made: dict[bytes, Entry | None] = {}

    def run(self) -> RestoreSummary:
        """Restore what was chosen."""
        forget_ids()
        self._watch.phase("execution")
        self._report.sent = lambda: self._fetcher.received_bytes
        if not self._job.paths:
            summary = self._reader.summary
            self._report.totals = lambda: (summary.files, summary.size_bytes)
        anchor, fd = self._open_anchor()
        syncer = self._syncer = Syncer()
        temporaries = Temporaries(self._job.task_id, self._job.record)

        wanted = self._job.common_parameters.get("worker_parallelism")
        workers = worker_count(wanted)
        waiting = 0 if positive(wanted, 0) else WAITING

        def make_target(limit: int = max(4, FOLDERS_OF_THREADS // (workers + waiting))) -> Target:
            folders = Folders(anchor, os.dup(fd), limit, opened=self._opened)
            return Target(folders, self._applier, temporaries, syncer)

        self._anchor = anchor
        self._target = make_target(LIMIT)
        self._writer = Writer(
            self._target,
            make_target,
            self._applier,
            self._fetcher,
            Rows(self._reader, ROWS_OF_FEW if 0 < len(self._job.paths) <= DIRECT else AHEAD),
            self._report,
            self._guard,
            workers=workers,
            waiting=waiting,
            started=lambda: self._watch.phase("transmission"),
            may_write=self._may_write,
        )
        try:
            syncer.saw(fd)
            self._target.sweep(anchor)
            self._walk()
            if self._kept:
                syncer.wrote_other()
            for problem in syncer.sync():
                self._report.failed(anchor, problem)
        finally:
            self._writer.close()
            while self._open_homes:
                os.close(self._open_homes.pop().fd)
            self._target.close()
            os.close(fd)
            syncer.close()
            if self._fetcher.received_bytes > KEPT_BYTES:
                give_back()
        if self._kept:
            self._report.info(f"{self._kept} files were there already and were left as they are.")
        self._report.finish()
        return RestoreSummary(self._report.files, self._report.files_failed, self._report.bytes_done)

    def _opened(self, fd: int) -> None:
        self._protected.check_opened(fd)
        self._syncer.saw(fd)

    def _open_anchor(self) -> tuple[bytes, int]:
        """The path in the copy that the destination's descriptor stands for, and the descriptor."""
        check = self._protected.check_opened
        if not self._job.in_place:
            fd, _ = open_anchor(absolute(self._job.destination, "destination"), check)
            return ROOT, fd
        anchor = split(self._resource)[0]
        fd, made = open_anchor(anchor, check)
        self._made = dict.fromkeys(made)
        return anchor, fd

    def _walk(self) -> None:
        for folder, block in blocks(self._reader, self._selection):
            self._report.tick()
            place = self._selection.folder(folder)
            if folder != self._anchor and is_within(self._anchor, folder):
                self._pass_by(folder, _entries(block), place)
                continue
            frame = self._enter(folder)
            is_simple = place is Place.INSIDE and not self._selection.missing and frame.home.identity is not None
            for entry in self._simple(frame.home, block) if is_simple else _entries(block):
                self._entry(frame, place, entry)
        self._leave_to(b"")
        self._writer.finish()
        for path in sorted(self._made, reverse=True):
            self._finish_made(path)
        for path in sorted(self._selection.missing):
            self._report.failed(path, "is not in the copy")

    def _simple(self, home: Home, block: RunView | Sequence[Entry]) -> Sequence[Entry]:
        """Have restored what needs no look, in a folder of our own of which all was chosen; the other entries."""
        if not isinstance(block, RunView):
            return block
        names = block.names()
        if len(names) == block.count and are_safe_names(names):
            return self._writer.restore_run(home, block, names)
        return block.entries()

    # --- folders ---

    def _pass_by(self, folder: bytes, entries: Sequence[Entry], place: Place) -> None:
        """A folder above the resource, in place: it is left alone unless this restore had to make it."""
        for entry in entries:
            path = join(folder, entry.name)
            self._selection.entry(place, path)
            if path in self._made:
                self._made[path] = entry

    def _finish_made(self, path: bytes) -> None:
        entry = self._made[path]
        if entry is None:
            return
        fd, _ = open_anchor(path)
        try:
            self._problems(path, self._applier.apply(fd, entry))
        finally:
            os.close(fd)

    def _enter(self, folder: bytes) -> Frame:
        """The folder's frame; a blocked one when its parent did not name it or it could not be made."""
        if self._frames and self._frames[-1].path == folder:
            return self._frames[-1]
        self._leave_to(folder)
        frame = Frame(Home(folder))
        if folder != self._anchor:
            parent_path, name = split(folder)
            parent = self._frames[-1] if self._frames else None
            if parent is None or parent.path != parent_path or not is_safe_name(name):
                self._report.failed(folder, "the manifest does not name it in the folder above")
                frame.blocked = True
            else:
                frame.blocked = parent.blocked or (name not in parent.unfinished and name not in parent.known)
                if name in parent.made and not frame.blocked:
                    parent.made.discard(name)
                    self._enter_made(parent.home, name, frame)
        self._frames.append(frame)
        return frame

    def _enter_made(self, parent: Home, name: bytes, frame: Frame) -> None:
        """A folder that nothing can stand in: its files are made under their names at once.

        Not where existing files are never replaced: what a killed attempt leaves under such a name would stay.
        """
        if self._overwrite is Overwrite.NEVER:
            return
        try:
            if parent.fd >= 0 and len(self._open_homes) < HOMES_OPEN:
                fd = open_noatime(name, FOLDER | os.O_NOFOLLOW, parent.fd)
                try:
                    self._opened(fd)
                except BaseException:
                    os.close(fd)
                    raise
            else:
                fd = self._target.open(frame.path)
                if len(self._open_homes) < HOMES_OPEN:
                    fd = os.dup(fd)
            st = os.fstat(fd)
            # What this restore has made has no default ACL until it is finished, unless it got one from above.
            inherits = (parent.identity is None or parent.inherits) and inherits_acls(fd)
            frame.home = home = Home(frame.path, (st.st_dev, st.st_ino), inherits=inherits)
            if len(self._open_homes) < HOMES_OPEN:
                home.fd, home.made_by = fd, (st.st_uid, st.st_gid)
                home.kind = None if inherits else (st.st_dev, st.st_uid, st.st_gid, st.st_mode)
                self._open_homes.add(home)
        except OSError as error:
            self._report.failed(frame.path, f"the folder cannot be opened: {reason(error)}")
            frame.blocked = True

    def _leave_to(self, folder: bytes) -> None:
        """Finish the folders that do not lead to `folder`, deepest first."""
        while self._frames and not (folder and is_within(folder, self._frames[-1].path)):
            frame = self._frames.pop()
            for name in list(frame.unfinished):
                self._finish(frame, name, None)
            if self._frames and self._frames[-1].path == split(frame.path)[0]:
                self._finish(self._frames[-1], split(frame.path)[1], frame.home)

    def _finish(self, parent: Frame, name: bytes, home: Home | None) -> None:
        encoded = parent.unfinished.pop(name, None)
        if encoded is not None:
            path = join(parent.path, name)
            self._writer.then(lambda: self._finish_folder(path, encoded, home))

    def _finish_folder(self, path: bytes, encoded: bytes, home: Home | None) -> None:
        try:
            if home is not None and home in self._open_homes:
                self._open_homes.remove(home)
                try:
                    problems = self._applier.apply_new(home.fd, _decode(encoded), home.made_by, inherits=home.inherits)
                finally:
                    os.close(home.fd)
                    home.fd = -1
            else:
                problems = self._target.finish_folder(path, _decode(encoded))
            self._problems(path, problems)
        except OSError as error:
            self._report.failed(path, f"its metadata cannot be set: {reason(error)}")
        except UNFIT:
            self._report.failed(path, f"its metadata cannot be set: {WHY_UNFIT}")

    def _problems(self, path: bytes, problems: list[str]) -> None:
        if problems:
            self._report.failed(path, "was restored, but not its " + "; ".join(problems))

    # --- entries ---

    def _entry(self, frame: Frame, place: Place, entry: Entry) -> None:
        path = join(frame.path, entry.name)
        if not is_safe_name(entry.name):
            self._report.failed(path, f"the manifest holds the name {printable(entry.name)!r}, which no file can have")
            return
        place = self._selection.entry(place, path)
        is_folder = entry.type == EntryType.FOLDER
        if place is Place.OUTSIDE and not self._job.paths:
            self._report.failed(path, "lies outside the resource of the copy")
        elif place is Place.OUTSIDE or (place is Place.ABOVE and not is_folder):
            return
        elif frame.blocked:
            self._report.failed(path, "its folder could not be restored")
        elif is_folder:
            self._folder(frame, path, entry, chosen=place is Place.INSIDE)
        elif frame.home.identity is not None or self._may_write(frame.home, entry):
            self._writer.restore(frame.home, entry)

    def _folder(self, frame: Frame, path: bytes, entry: Entry, *, chosen: bool) -> None:
        changes = chosen and self._overwrite is not Overwrite.NEVER
        try:
            made = self._made_in(frame.home, entry.name) or self._target.make_folder(path, usable=changes)
        except OSError as error:
            self._report.failed(path, f"the folder cannot be made: {reason(error)}")
            return
        self._report.folders += 1
        if made or changes:
            frame.unfinished[entry.name] = _encode(entry)
        else:
            frame.known.add(entry.name)
        if made:
            frame.made.add(entry.name)

    def _made_in(self, home: Home, name: bytes) -> bool:
        """Whether the folder was made; False where its own folder is not open here, or something stands there."""
        if home.fd < 0:
            return False
        try:
            os.mkdir(name, 0o700, dir_fd=home.fd)
        except FileExistsError:
            return False
        return True

    def _may_write(self, home: Home, entry: Entry) -> bool:
        """Whether an entry that is no folder is to be made: what stands in its place may stay, or cannot go."""
        path = join(home.path, entry.name)
        try:
            existing = self._target.look(path)
            if existing is not None and self._stays(path, entry, existing):
                self._kept += 1
                return False
        except OSError as error:
            self._report.failed(path, f"cannot be restored: {reason(error)}")
            return False
        if existing is not None and stat.S_ISDIR(existing.st_mode):
            self._report.failed(path, "a folder stands in its place")
            return False
        return True

    def _stays(self, path: bytes, entry: Entry, existing: os.stat_result) -> bool:
        """Whether what exists is left as it is; the writer is told."""
        if self._overwrite is Overwrite.ALWAYS:
            return False
        if self._overwrite is Overwrite.IF_CHANGED and self._writer.is_other_name(path, entry):
            return False  # whether it is the same file already shows when it is linked
        owner = self._applier.owner(entry) if self._is_root else None
        same = is_same(entry, existing, owner, lambda: self._target.read_link(path))
        stays = same or self._overwrite is Overwrite.NEVER
        if stays:
            self._writer.keep(path, entry, existing, same=same)
        return stays
