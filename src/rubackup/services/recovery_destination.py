"""Where a recovery would write to: what the client says of the folders, held against the copies that come there."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from rubackup.domain.errors import RubackupError
from rubackup.services.fields import Row
from rubackup.services.ports import Destination, Hosts

MOST_FOLDERS = 1000
"""As many resources as a check looks at (`recovery_check.COPIES_AT_ONCE`), each in a folder of its own."""


class Wanted:
    """Folders that copies are restored below, with the bytes that come into each."""

    def __init__(self, folders: Mapping[str, int], *, in_place: bool) -> None:
        self.folders = folders
        self.in_place = in_place


def wanted(destination: str, copies: Sequence[Row]) -> Wanted:
    """One folder for everything; without one, in place: what each resource lies in."""
    if destination:
        return Wanted({destination: sum(copy["size_bytes"] for copy in copies)}, in_place=False)
    folders: dict[str, int] = {}
    for copy in copies:
        above = copy["resource"].rstrip("/").rpartition("/")[0] or "/"
        folders[above] = folders.get(above, 0) + copy["size_bytes"]
    return Wanted(folders or {"/": 0}, in_place=True)


async def examine(hosts: Hosts, hwid: str, aim: Wanted) -> list[str]:
    """What keeps the client from writing there; asks it, so no connection should be held meanwhile."""
    try:
        found = await hosts.check_destinations(hwid, list(aim.folders)[:MOST_FOLDERS])
    except RubackupError as error:
        return [error.message]
    problems = [problem for one in found if (problem := _unusable(one))]
    return problems or _too_small(found, aim)


def _unusable(one: Destination) -> str:
    what = f"The client cannot restore to {one.path}: "
    if one.problem:
        return what + one.problem
    if one.pseudo:
        return f"{what}{one.folder} is on a {one.filesystem} file system, which keeps no data."
    if one.read_only:
        return f"{what}the file system of {one.folder} is mounted read-only."
    return "" if one.writable else f"{what}{one.folder} is not writable for it."


def _too_small(found: Sequence[Destination], aim: Wanted) -> list[str]:
    """File systems without room. In place the files may be there already: then the whole of it counts, not what is free."""
    sizes: dict[str, int] = {}
    disks: dict[str, Destination] = {}
    for one in found:
        sizes[one.device] = sizes.get(one.device, 0) + aim.folders[one.path]
        disks.setdefault(one.device, one)
    problems = []
    for device, one in disks.items():
        room, word = (one.size_bytes, "in all") if aim.in_place else (one.free_bytes, "free")
        if sizes[device] > room:
            problems.append(
                f"The file system of {one.folder} has {room} bytes {word}; the copies to restore there have {sizes[device]}."
            )
    return problems
