"""Pools that a media server holds and the catalogue does not know: they come in by an administrator's word alone."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from rubackup.domain.pools import HeldKind
from rubackup.services.change import Change
from rubackup.services.ports import HeldPool, HeldStorage

_HWID = "SELECT hwid FROM media_servers WHERE id = $1"
_KNOWN = "SELECT uuid FROM pools WHERE uuid = ANY ($1::uuid[])"
_CLIENTS = "SELECT hwid, hostname, storages FROM clients WHERE hwid = ANY ($1::text[])"


class UnknownStorage(msgspec.Struct, frozen=True, kw_only=True):
    """A storage of such a pool."""

    path: Annotated[str, Meta(description="Folder, device, or endpoint and bucket.")]
    kind: Annotated[
        str, Meta(description=f"{', '.join(HeldKind)}; what lies in an emergency storage comes in with its pool.")
    ]
    away: Annotated[bool, Meta(description="Whether a folder is not there now, or has lost the pool's marker.")]
    copies: Annotated[
        int,
        Meta(description="How many copies have their list of files there; of devices and buckets it is not looked at."),
    ]
    client: Annotated[
        str,
        Meta(
            description="Of a client's part of a Client defined pool: the client's host name, or its hardware id when the catalogue does not know it."
        ),
    ] = ""
    client_storages: Annotated[
        list[str],
        Meta(
            description="Of such a part: the names for which that client has folders; which of them is the pool's it does not say."
        ),
    ] = []


class UnknownPool(msgspec.Struct, frozen=True, kw_only=True):
    """A pool that the media server has served and the catalogue does not know."""

    uuid: Annotated[str, Meta(description="The pool's name in its storages.")]
    name: Annotated[str, Meta(description="What it was called; empty when that is not known.")]
    copies: Annotated[int, Meta(description="How many copies lie in the folders that are there.")]
    storages: Annotated[list[UnknownStorage], Meta(description="Where it lies.")]
    kept_in: Annotated[
        str,
        Meta(
            description="Of devices and of clients' parts: the pool that keeps the metadata of its copies; empty when that is not known."
        ),
    ] = ""


class UnknownPools(msgspec.Struct, frozen=True, kw_only=True):
    """Those of a media server."""

    pools: Annotated[list[UnknownPool], Meta(description="By uuid.")]


async def media_server(change: Change, media_id: int) -> str:
    """Hardware id of the media server that is to be asked."""
    return str(await change.db.fetchval(_HWID, media_id))


async def unknown(change: Change, held: Sequence[HeldPool]) -> UnknownPools:
    """Of what a media server said, the pools that the catalogue has with no media server."""
    if not held:
        return UnknownPools(pools=[])
    known = {row["uuid"].hex for row in await change.db.fetch(_KNOWN, [uuid.UUID(one.uuid) for one in held])}
    found = [one for one in held if one.uuid not in known]
    hwids = sorted({storage.client for one in found for storage in one.storages if storage.client})
    clients = {row["hwid"]: row for row in await change.db.fetch(_CLIENTS, hwids)}
    return UnknownPools(
        pools=[
            UnknownPool(
                uuid=one.uuid,
                name=one.name,
                copies=sum(storage.copies for storage in one.storages),
                storages=[_storage(storage, clients.get(storage.client)) for storage in one.storages],
                kept_in=one.kept_in,
            )
            for one in found
        ]
    )


def _storage(held: HeldStorage, client: Any) -> UnknownStorage:
    return UnknownStorage(
        path=held.path,
        kind=held.kind,
        away=held.away,
        copies=held.copies,
        client=client["hostname"] if client else held.client,
        client_storages=list(client["storages"]) if client else [],
    )
