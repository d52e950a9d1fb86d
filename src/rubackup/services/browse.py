"""Folders of live clients, asked through the servers."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.domain.errors import Invalid
from rubackup.services import scopes
from rubackup.services.change import Change
from rubackup.services.fields import Problems
from rubackup.services.ports import Hosts

FOLDERS_AT_ONCE = 20
_KNOWN = "SELECT x.hwid FROM clients x WHERE x.hwid = ANY ($1::text[]) AND ({limit})"


class LiveFolder(msgspec.Struct):
    """A folder of a live client."""

    client_hwid: Annotated[str, Meta(description="Hardware id of the client: 16 hex digits.", max_length=16)]
    path: Annotated[str, Meta(description="Absolute path of the folder.", min_length=1, max_length=32768)]


class LiveEntry(msgspec.Struct, frozen=True, kw_only=True):
    """An entry of a live folder."""

    client_hwid: Annotated[str, Meta(description="The client that was asked.")]
    path: Annotated[str, Meta(description="The folder that was asked for.")]
    name: Annotated[str, Meta(description="Name of the entry; bytes that are no UTF-8 are escaped.")]
    is_folder: Annotated[bool, Meta(description="Whether it is a folder.")]
    size_bytes: Annotated[int, Meta(description="Size of a file in bytes.")]


async def checked(change: Change, folders: Sequence[LiveFolder]) -> list[tuple[str, str]]:
    """Hardware id and path of each folder; Invalid names unknown clients and paths that are not absolute."""
    problems = Problems()
    if len(folders) > FOLDERS_AT_ONCE:
        problems.add("data", f"may have at most {FOLDERS_AT_ONCE} items.")
    limit = scopes.clients(change.principal, write=True)
    hwids = [folder.client_hwid.lower() for folder in folders]
    rows = await change.db.fetch(_KNOWN.format(limit=limit.numbered(2)), hwids, *limit.values)
    known = {row["hwid"] for row in rows}
    paths = [problems.folder(folder.path, f"data.{number}.path") for number, folder in enumerate(folders)]
    for number, hwid in enumerate(hwids):
        if hwid not in known:
            problems.add(f"data.{number}.client_hwid", "unknown client.")
    problems.raise_any()
    return list(zip(hwids, paths, strict=True))


async def list_filesystem(hosts: Hosts, folders: Sequence[tuple[str, str]]) -> list[LiveEntry]:
    """The entries of all folders, in their order; asks hosts, so no connection should be held meanwhile.

    Invalid names folders that cannot be listed, Unavailable the client that does not answer.
    """
    listed = await asyncio.gather(*(_entries(hosts, n, hwid, path) for n, (hwid, path) in enumerate(folders)))
    return [entry for entries in listed for entry in entries]


async def _entries(hosts: Hosts, number: int, hwid: str, path: str) -> list[LiveEntry]:
    try:
        found = await hosts.list_filesystem(hwid, path)
    except Invalid as error:
        raise Invalid(fields={f"data.{number}.path": error.message}) from error
    return [
        LiveEntry(client_hwid=hwid, path=path, name=e.name, is_folder=e.is_folder, size_bytes=e.size_bytes)
        for e in found
    ]
