"""Reconciling a pool of very many copies by calls that each take a part of it; what one has adopted stays adopted.

Applied, it goes over the pool twice: in the order in which copies were sealed, so that ids ascend with time, then in that of
their uuids, where what the pool has lost shows. Only after the last part the pool belongs to the catalogue, if no storage of
it was away meanwhile. Where the next
call begins is told to the caller, and names the catalogue's last take-over: a catalogue that was set back in between forgets
that, and the caller has to begin anew. `docs/design/catalogue-backup.md`.
"""

from __future__ import annotations

import re
import uuid
from typing import Any, Final, Literal, NamedTuple, cast

import msgspec

from rubackup.catalog.database import Connection
from rubackup.domain.errors import Conflict, Invalid
from rubackup.domain.pools import CLIENT_DEFINED
from rubackup.services import reconciliation
from rubackup.services.change import Change
from rubackup.services.ports import Hosts, PoolRecordsFound, RecordsPage
from rubackup.services.reconciliation import FIRST, LAST, Listing, Reconciliation

Walk = Literal["adopt", "compare", "look"]
_AFTER = re.compile(r"(adopt|compare|look)(-part|)\.([0-9a-f]{32})\.([0-9]{1,19})\.([0-9a-f]{32}|)")
_NOBODY: Final = "0" * 32
_TERM = "SELECT term FROM leadership_terms ORDER BY epoch DESC LIMIT 1"
_KNOWN = "SELECT EXISTS (SELECT 1 FROM leadership_terms WHERE term = $1)"


class Cursor(NamedTuple):
    """Where a call begins: which walk, the last take-over when it began, and the last record before."""

    walk: Walk
    term: str
    at_ns: int = 0
    record: str = ""
    partial: bool = False
    """Whether storages of the pool were away in a call before: not all that it has was seen."""

    def __str__(self) -> str:
        return f"{self.walk}{'-part' if self.partial else ''}.{self.term}.{self.at_ns}.{self.record}"


class Part(msgspec.Struct, frozen=True):
    """What the media server said for a call."""

    cursor: Cursor
    listing: Listing
    more: bool


async def begin(db: Connection, pool: Any, after: str, *, apply: bool) -> Cursor:
    """Where a call begins; Invalid for what no answer said."""
    if not after:
        term = await db.fetchval(_TERM)
        walk: Walk = "look" if not apply else "compare" if pool["pool_type"] == CLIENT_DEFINED else "adopt"
        return Cursor(walk, term.hex if term else _NOBODY)
    found = _AFTER.fullmatch(after)
    if found is None:
        raise Invalid("after must be empty or what the answer before said.")
    if (found[1] == "look") == apply:
        raise Invalid("apply must be as in the call before.")
    return Cursor(cast("Walk", found[1]), found[3], int(found[4]), found[5], bool(found[2]))


async def examine(hosts: Hosts, pool: Any, cursor: Cursor, limit: int) -> Part:
    """The next records of the pool, as its media server has them."""
    by_time, kept_of = cursor.walk == "adopt", ""
    pool_id = pool["id"]
    if pool["pool_type"] == CLIENT_DEFINED:
        pool_id, kept_of = pool["metadata_pool_id"], pool["uuid"].hex
    found = PoolRecordsFound(records=[])
    if pool_id is not None:
        page = RecordsPage(
            limit=limit, after=cursor.record, by_time=by_time, after_ns=cursor.at_ns if by_time else 0, kept_of=kept_of
        )
        found = await hosts.pool_page(pool["hwid"], pool_id, page)
    return Part(cursor, Listing(pool["asked_at"], found.records, found.away), found.more and bool(found.records))


async def reconcile(change: Change, pool_id: int, part: Part, *, apply: bool) -> Reconciliation:
    """This part of what differs, put right with `apply`; Conflict when the catalogue was set back since the first call."""
    cursor = part.cursor
    if not await change.db.fetchval(_KNOWN, uuid.UUID(cursor.term)) and (
        cursor.term != _NOBODY or await change.db.fetchval(_TERM) is not None
    ):
        raise Conflict("The catalogue was set back since this reconciliation began: begin anew, without after.")
    last = part.listing.records[-1] if part.more else None
    within = None
    if cursor.walk != "adopt":
        within = (uuid.UUID(cursor.record or FIRST.hex), uuid.UUID(last.record) if last else LAST)
    partial = cursor.partial or bool(part.listing.away)
    answer = await reconciliation.part(change, pool_id, part.listing, within, apply=apply)
    if last is not None:
        following = cursor._replace(at_ns=max(0, last.sealed_at_ns), record=last.record, partial=partial)
    elif cursor.walk == "adopt":
        following = Cursor("compare", cursor.term, partial=partial)
    else:
        if apply and not partial:
            await reconciliation.finish(change, pool_id)
        return answer
    return msgspec.structs.replace(answer, after=str(following))
