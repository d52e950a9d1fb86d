"""Pools that a media server holds and the catalogue does not know: they come in by an administrator's word alone."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.domain.pools import HeldKind
from rubackup.services.change import Change
from rubackup.services.ports import HeldPool

_HWID = "SELECT hwid FROM media_servers WHERE id = $1"
_KNOWN = "SELECT uuid FROM pools WHERE uuid = ANY ($1::uuid[])"


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


class UnknownPool(msgspec.Struct, frozen=True, kw_only=True):
    """A pool that the media server has served and the catalogue does not know."""

    uuid: Annotated[str, Meta(description="The pool's name in its storages.")]
    name: Annotated[str, Meta(description="What it was called; empty when that is not known.")]
    copies: Annotated[int, Meta(description="How many copies lie in the folders that are there.")]
    storages: Annotated[list[UnknownStorage], Meta(description="Where it lies.")]


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
    return UnknownPools(
        pools=[
            UnknownPool(
                uuid=one.uuid,
                name=one.name,
                copies=sum(storage.copies for storage in one.storages),
                storages=[msgspec.convert(storage, UnknownStorage, from_attributes=True) for storage in one.storages],
            )
            for one in held
            if one.uuid not in known
        ]
    )
