"""What a module of the client is given and what it gives back: jobs, channels, a watch.

A module knows neither the network nor the server: a channel is a data session with a
media server, or in tests the pool itself (`chunkstore.pool` has sessions of this form).
Design section 3.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from typing_extensions import Buffer

from rubackup.chunkstore.group import Sealer
from rubackup.chunkstore.keys import Keys

Phase = Literal["execution", "transmission"]
Level = Literal["info", "warning", "error"]


Answer = Callable[[], tuple[bytes, bytes]]
"""Waits for the answer to `BackupChannel.ask`: one state a chunk (0 send it, 1 stored, 2 prove that you have it) and the nonce
for proofs. Called once; answers come in the order of the questions."""


class Sealed(Protocol):
    """What is known of a record when it is published."""

    @property
    def stored_bytes(self) -> int:
        """What this backup added to the pool."""


class BackupChannel(Protocol):
    """A session that writes one record. One thread at a time uses it."""

    @property
    def parent_bytes(self) -> int:
        """Size of the parent's manifest, 0 when there is none that can be used."""

    @property
    def block_bytes(self) -> int:
        """Files are cut at multiples of this, and no longer chunk is taken; 0: they are cut by content."""

    def read_parent(self, offset: int, length: int) -> bytes:
        """A range of the parent's manifest."""

    def ask(self, ids: bytes) -> Answer:
        """Ask which of these chunks must be sent, without waiting; at most four questions may be open."""

    def prove(self, ids: bytes, proofs: bytes) -> bytes:
        """One byte a chunk: 1 accepted, 0 send it."""

    def put_group(self, *parts: Buffer) -> None:
        """Send an encoded group, whose parts follow one another."""

    def checkpoint(self) -> None:
        """Return when everything sent so far is durable."""

    def put_manifest(self, data: bytes) -> None:
        """Send the next piece of the manifest."""

    def copy_parent(self, first_segment: int, count: int) -> None:
        """The next piece of the manifest is these whole segments of the parent's, as they are."""

    def seal(self, files: int, files_failed: int, size_bytes: int) -> Sealed:
        """Publish the record."""


class RestoreChannel(Protocol):
    """A session that reads one record. One thread at a time uses it."""

    @property
    def manifest_bytes(self) -> int:
        """Size of the record's manifest."""

    @property
    def crypto(self) -> str:
        """Name of the record's cipher; '' when it is in clear."""

    @property
    def key_id(self) -> str:
        """Which key opens it, 32 hex digits; '' when it is in clear."""

    def read_manifest(self, offset: int, length: int) -> bytes:
        """A range of the manifest."""

    def groups(self, runs: Sequence[tuple[int, int]]) -> Iterator[bytes]:
        """Each stored group that holds a chunk of these (first row, count), once; Corrupt for what is damaged."""


class Watch(Protocol):
    """Through which a module tells how far it is, and learns that it must stop. Any thread may call it."""

    def phase(self, name: Phase, /) -> None:
        """What the module does from now on."""

    def progress(
        self, files_done: int, files_total: int, bytes_done: int, bytes_total: int, bytes_sent: int, /
    ) -> None:
        """How far it is; totals are 0 while unknown."""

    def log(self, level: Level, text: str, /) -> None:
        """A line for the task's log."""

    def deliver(self) -> None:
        """Have the lines so far put into the task's log, before what may end the task."""

    def check(self) -> None:
        """Raise domain.errors.Stopped when the task must end."""


@dataclass(frozen=True)
class BackupJob:
    """Make a copy of `resource`."""

    record: str
    """UUID of the record to write, hex without dashes."""
    parent: str
    """UUID of the record whose unchanged files are taken over, or ''."""
    client_hwid: str
    resource: str
    backup_type: str = "full"
    compression: str = "fast"
    """A name of domain.lookups.CompressionType."""
    module_parameters: Mapping[str, Any] = field(default_factory=dict)
    common_parameters: Mapping[str, Any] = field(default_factory=dict)
    sealer: Sealer | None = None
    """Encrypts the copy; None makes one in clear."""


@dataclass(frozen=True)
class RestoreJob:
    """Put a record back."""

    record: str
    client_hwid: str
    resource: str
    destination: str = ""
    """Absolute folder below which everything lands at its full original path; '' with in_place."""
    in_place: bool = False
    paths: tuple[str, ...] = ()
    """Absolute paths to restore, folders with all below; empty: everything."""
    overwrite: str = "if_changed"
    """`if_changed`, `always`, `never`."""
    module_parameters: Mapping[str, Any] = field(default_factory=dict)
    common_parameters: Mapping[str, Any] = field(default_factory=dict)
    task_id: int = 0
    """The same for each attempt of a task: what an attempt that was killed left is known by it."""
    keys: Keys | None = None
    """What encrypted copies can be read with."""


@dataclass(frozen=True)
class BackupSummary:
    """What a backup did; the files that failed stand in the task's log."""

    files: int
    files_failed: int
    size_bytes: int
    stored_bytes: int


@dataclass(frozen=True)
class RestoreSummary:
    """What a restore did; the files that failed stand in the task's log."""

    files: int
    files_failed: int
    size_bytes: int


@dataclass(frozen=True)
class Found:
    """Something that a module can back up; sizes are -1 where they are not known."""

    resource: str
    kind: str
    size_bytes: int = -1
    used_bytes: int = -1


class Module(Protocol):
    """Backs up and restores one type of resource."""

    @property
    def resource_type(self) -> str:
        """A name of domain.lookups.ResourceType."""

    def backup(self, job: BackupJob, channel: BackupChannel, watch: Watch) -> BackupSummary:
        """Copy the resource; Invalid when it is not there, Stopped when the watch says so."""

    def restore(self, job: RestoreJob, channel: RestoreChannel, watch: Watch) -> RestoreSummary:
        """Put files back; Invalid when the order cannot be carried out at all."""

    def resources(self) -> list[Found]:
        """What there is to back up, with what the client's own configuration holds; Invalid when it cannot be told."""

    def clean_up(self) -> None:
        """Undo what a process that was killed has left on the host; called once, before the first task."""
