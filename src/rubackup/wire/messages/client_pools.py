"""Client defined pools: what a client that brings its own storage is told, and the session in which manifests are kept.

The packs lie with the client; a media server keeps the manifests. Design: `docs/design/pools.md`, Client defined pools.
"""

from __future__ import annotations

import msgspec

from rubackup.wire.messages.base import Message


class ClientPool(msgspec.Struct, frozen=True, kw_only=True):
    """A pool as a client keeps its part of it."""

    id: int
    uuid: str
    """Of the pool in the catalogue, hex; the client's part has an own one, made of this and the client's hardware id."""
    name: str
    storages: list[tuple[int, str]]
    """Ids and names of its storages; the client has folders for some of the names."""
    metadata_pool: int = 0
    """Pool of the media server that keeps the manifests; 0 while the pool has no storage."""
    reserve_bytes: int = 0
    """Free space that a backup must leave."""
    evenly: bool = False


class ConfigureClientPools(Message, tag="configure_client_pools"):
    """The complete list of the pools that the client may bring storages for; answered by PoolStates of those it does."""

    epoch: int
    pools: list[ClientPool]


class OpenKept(Message, tag="open_kept"):
    """Open a session about manifests that are kept for this client: those of the ticket's record, or with none of all."""

    version: int
    ticket: bytes


class AskKept(Message, tag="ask_kept"):
    """How long is the manifest of this record that is kept? Answered by KeptSize."""

    record: str


class KeptSize(Message, tag="kept_size"):
    """In bytes, with its seal; 0 when none is kept."""

    size_bytes: int


class ReadKept(Message, tag="read_kept"):
    """Read a range of a kept manifest; answered by one DATA frame."""

    record: str
    offset: int
    length: int


class Keep(Message, tag="keep"):
    """Keep the sealed manifest of this record: so many bytes follow in MANIFEST frames. Answered by Ack when it is durable."""

    record: str
    size_bytes: int


class ListKept(Message, tag="list_kept"):
    """Ask which records' manifests are kept: those behind `after`, in order. Answered by KeptRecords."""

    after: str = ""


class KeptRecords(Message, tag="kept_records"):
    """Some of them; `more`: there are others behind the last."""

    records: list[str]
    more: bool = False


class DropKept(Message, tag="drop_kept"):
    """Keep the manifest of this record no more (said to a media server). Repeating it changes nothing."""

    epoch: int
    folder: str
    """Pool and client, as `domain.pools.kept_folder` names them."""
    record: str
