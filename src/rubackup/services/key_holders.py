"""Who can read an encrypted copy: the client that made it, while it is online and has the key."""

from __future__ import annotations

from typing import Any

from rubackup.domain.errors import Conflict, Unavailable

HOLDS = """(r.key_id = '' OR (coalesce(r.key_id = ANY (c.key_ids), false) AND EXISTS (
    SELECT 1 FROM client_presence cp WHERE cp.client_id = c.id AND cp.online)))"""
"""Whether somebody can read the contents of the copy `r` of the client `c` now; both may be null."""

Row = Any


def check(record: Row) -> None:
    """Unavailable when nobody who is online can read the copy (a row with `key_is_held`)."""
    if not record["key_is_held"]:
        raise Unavailable(
            f"key holder offline: the copy is encrypted, and its client {record['client_hwid']} is not online with the "
            f"key {record['key_id']}."
        )


def check_target(record: Row, client: Row) -> None:
    """Conflict when the copy cannot be restored to this client, as the key is not there.

    A client that never came online is not judged.
    """
    if record["key_id"] and client["resource_types"] and record["key_id"] not in client["key_ids"]:
        raise Conflict(
            f"The copy is encrypted with the key {record['key_id']}, which client {client['hostname']} ({client['hwid']}) "
            "does not have; import it there from its recovery sheet."
        )
