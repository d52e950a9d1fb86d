"""Hosts that wait for authorisation: forgetting them. One that still asks comes back as a new row."""

from __future__ import annotations

from collections.abc import Sequence

from rubackup.services import host_log
from rubackup.services.change import Change
from rubackup.services.host_log import Happened

REPLACES_KEY = (
    "Whether a host is known under this hardware id with another key: it lost that one, or somebody poses as it. "
    "Authorising then needs `replace_key`."
)


def replaces_key(family: str) -> str:
    """The column that says so of a row `u` that waits; `family` is clients or media_servers."""
    return f"EXISTS (SELECT 1 FROM {family} k WHERE k.hwid = u.hwid AND k.fingerprint <> u.fingerprint)"  # noqa: S608


async def forget_clients(change: Change, ids: Sequence[int]) -> None:
    """Delete clients that wait."""
    await _forget(change, "client", "unauthorised_clients", ids)


async def forget_media_servers(change: Change, ids: Sequence[int]) -> None:
    """Delete media servers that wait."""
    await _forget(change, "media", "unauthorised_media_servers", ids)


async def _forget(change: Change, role: str, family: str, ids: Sequence[int]) -> None:
    await host_log.note_waiting(change.db, role, ids, Happened.FORGOTTEN, user=change.principal.name)
    await change.db.execute(f"DELETE FROM {family} WHERE id = ANY ($1::bigint[])", list(ids))  # noqa: S608 - one of two names
    for row_id in ids:
        await change.event("deleted", family, row_id)
