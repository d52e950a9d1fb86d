"""Media servers: editing, deleting, authorising. How they become known is `services.enrolment`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rubackup.services import enrolment, host_log
from rubackup.services.change import Change
from rubackup.services.fields import given, update_columns
from rubackup.services.host_log import Happened
from rubackup.services.rekeying import FINGERPRINT, REPLACE_KEY, Expected

_READ = "SELECT description, local_service_mode, max_tasks FROM media_servers WHERE id = $1"


MAX_TASKS = Meta(
    description="How many tasks of its pools are at work at a time; 0: as many as the media server takes.",
    ge=0,
    le=100_000,
)


class MediaServerChange(msgspec.Struct, kw_only=True):
    """What to change of a media server."""

    description: Annotated[str, Meta(description="Free text.", max_length=4096)] | UnsetType = UNSET
    max_tasks: Annotated[int, MAX_TASKS] | UnsetType = UNSET
    local_service_mode: (
        Annotated[
            Literal["yes", "no"],
            Meta(description="yes: no new tasks for this media server's pools."),
        ]
        | UnsetType
    ) = UNSET


class MediaServerName(msgspec.Struct):
    """A media server that waits for authorisation."""

    hostname: Annotated[
        str, Meta(description="Host name of an unauthorised media server.", min_length=1, max_length=253)
    ]
    replace_key: REPLACE_KEY = False
    fingerprint: FINGERPRINT = ""


async def update(change: Change, media_id: int, wanted: MediaServerChange) -> None:
    """Change what is given."""
    before = await change.db.fetchrow(_READ, media_id)
    columns = given(description=wanted.description, max_tasks=wanted.max_tasks)
    if wanted.local_service_mode is not UNSET:
        columns["local_service_mode"] = wanted.local_service_mode == "yes"
    await update_columns(change.db, "media_servers", media_id, columns)
    changed = [name for name, value in columns.items() if value != before[name]]
    if changed:
        text = f"Changed: {', '.join(changed)}."
        await host_log.note(change.db, "media", [media_id], Happened.EDITED, text, user=change.principal.name)
    await change.event("changed", "media_servers", media_id, media_server_id=media_id)
    await change.wake("tasks")


async def delete(change: Change, ids: Sequence[int]) -> None:
    """Delete media servers without pools: certificates are revoked, they wait for authorisation again."""
    await enrolment.withdraw_media_servers(change, ids)


async def authorise(change: Change, wanted: MediaServerName) -> int:
    """Authorise the media server that waits under this host name; its id."""
    expected = Expected(wanted.replace_key, wanted.fingerprint)
    return await enrolment.authorise_media_server(change, wanted.hostname, expected)
