"""A data session between a client and a media server.

Design: `docs/design/wire.md`.
"""

from __future__ import annotations

from rubackup.wire.messages.base import Message


class OpenBackup(Message, tag="open_backup"):
    """Open a session that writes the ticket's record."""

    version: int
    ticket: bytes
    key_id: str = ""
    """Of an encrypted copy: the key that everything in this session is encrypted with, 32 hex digits."""


class BackupOpened(Message, tag="backup_opened"):
    """`parent_bytes`: size of the parent's manifest, 0 when it cannot be used."""

    parent_bytes: int
    block_bytes: int = 0
    """Files are cut at multiples of so many bytes, and no longer chunk is taken; 0: they are cut by content."""


class OpenRestore(Message, tag="open_restore"):
    """Open a session that reads the ticket's record."""

    version: int
    ticket: bytes


class RestoreOpened(Message, tag="restore_opened"):
    """Size of the record's manifest, and how the record is encrypted: '' for one in clear."""

    manifest_bytes: int
    crypto: str = ""
    key_id: str = ""


class ReadManifest(Message, tag="read_manifest"):
    """Read a range of the manifest (in a backup session: the parent's); answered by one DATA frame."""

    offset: int
    length: int


class Query(Message, tag="query"):
    """Ask which of these chunks (32 bytes each, concatenated) must be sent."""

    ids: bytes


class Known(Message, tag="known"):
    """One byte a chunk: 0 send it, 1 stored already, 2 stored by others: prove that you have it."""

    states: bytes
    nonce: bytes = b""


class Prove(Message, tag="prove"):
    """BLAKE3 of each chunk keyed with the nonce (32 bytes each), in the order of the 2s."""

    ids: bytes
    proofs: bytes


class Proved(Message, tag="proved"):
    """One byte a chunk: 1 accepted, 0 send it."""

    states: bytes


class Checkpoint(Message, tag="checkpoint"):
    """Make everything sent so far durable."""


class Checkpointed(Message, tag="checkpointed"):
    """It is durable; a later attempt of this task need not send it again."""


class CopySegments(Message, tag="copy_segments"):
    """The next piece of the manifest: these whole segments of the parent's, as they are. There is no answer."""

    first: int
    count: int


class Renew(Message, tag="renew"):
    """The session goes on under this ticket; answered by Ack."""

    ticket: bytes


class Seal(Message, tag="seal"):
    """The manifest is complete: check it, make it durable, publish it."""

    files: int
    files_failed: int
    size_bytes: int


class Sealed(Message, tag="sealed"):
    """The record exists."""

    record: str
    stored_bytes: int


class ReadChunks(Message, tag="read_chunks"):
    """Rows of the record's chunk table: (first row, count) each. Answered by GROUP frames, then Groups."""

    runs: list[tuple[int, int]]


class Groups(Message, tag="groups"):
    """How many GROUP frames came; unless `problem` says what is damaged they hold every chunk asked for."""

    count: int
    problem: str = ""


class Bye(Message, tag="bye"):
    """The session ends in order."""
