"""What happens when a host is authorised again under a hardware id of the disaster recovery plan.

A replaced machine gets back what its entries say, by itself: the newest good copies, in the order of priority, and only
what is missing. Only entries and copies that whoever authorises disposes of count: a hardware id proves nothing.
"""

from __future__ import annotations

from collections.abc import Sequence

from rubackup.domain.errors import Conflict
from rubackup.domain.lookups import DisasterRecoveryStatus, VerificationStatus
from rubackup.services import restores, scopes, tasks
from rubackup.services.change import Change
from rubackup.services.disaster_recovery_plan import FAMILY
from rubackup.services.fields import Row

_BACK = """
UPDATE disaster_recovery_plan d SET client_id = c.id, client_hostname = c.hostname, client_group_id = c.group_id
FROM clients c WHERE c.id = ANY ($1::bigint[]) AND d.client_id IS NULL AND d.client_hwid = c.hwid
    AND ($2 OR d.client_group_id = ANY ($3::bigint[])) RETURNING d.id"""
_THEIRS = """
SELECT id FROM disaster_recovery_plan d
WHERE d.client_id = ANY ($1::bigint[]) AND ($2 OR d.client_group_id = ANY ($3::bigint[]))"""
_RUN = """
SELECT d.id, d.resource_type, d.resource, d.restore_destination, d.priority, c.id AS client_id, c.hwid, c.hostname,
    c.group_id, c.centralized_restore
FROM disaster_recovery_plan d JOIN clients c ON c.id = d.client_id
WHERE d.id = ANY ($1::bigint[]) AND d.autorun ORDER BY d.priority DESC, d.id"""
_COPIES = """
SELECT * FROM (
    SELECT DISTINCT ON (r.resource) r.id, r.uuid::text AS uuid, r.pool_id, p.media_server_id, r.resource_type, r.resource,
        r.backup_type, r.crypto, r.created_at, m.hostname AS media_hostname, m.local_service_mode
    FROM repository r JOIN pools p ON p.id = r.pool_id JOIN media_servers m ON m.id = p.media_server_id
    WHERE r.client_id = $1 AND r.resource_type = $2 AND ($3 = '' OR r.resource = $3) AND r.verification_status <> $4
    ORDER BY r.resource, r.created_at DESC, r.id DESC
) newest ORDER BY created_at DESC, id DESC"""
_FAILED = "UPDATE disaster_recovery_plan SET status = $2, problem = $3, checked_at = now() WHERE id = $1"


async def clients_are_back(change: Change, clients: Sequence[int], *, replaced: bool = False) -> list[int]:
    """The entries of these clients are theirs again, and those with autorun are started; the numbers of the restores.

    Of clients that were `replaced` by a host with another key the entries are theirs still.
    """
    reach = scopes.changes_all(change.principal), list(change.principal.client_group_ids)
    entries = [row["id"] for row in await change.db.fetch(_THEIRS if replaced else _BACK, list(clients), *reach)]
    queued: dict[tuple[int, str], int] = {}
    for plan in await change.db.fetch(_RUN, entries):
        await _start(change, plan, queued)
        await change.event("changed", FAMILY, plan["id"], client_group_id=plan["group_id"])
    return list(queued.values())


async def _start(change: Change, plan: Row, queued: dict[tuple[int, str], int]) -> None:
    """Queue what an entry restores; why it cannot stands in the entry, the authorisation stays good."""
    good = VerificationStatus.NOT_TRUSTED.label
    copies = await change.db.fetch(_COPIES, plan["client_id"], plan["resource_type"], plan["resource"], good)
    problems = [] if copies else ["The client was authorised again, but there is no good copy to restore."]
    for copy in copies:
        where = copy["id"], plan["restore_destination"]
        if where in queued:
            continue
        try:
            queued[where] = await _restore(change, plan, copy)
        except Conflict as error:
            problems.append(f"The client was authorised again, but nothing is restored: {error.message}")
            break
    if problems:
        await change.db.execute(_FAILED, plan["id"], DisasterRecoveryStatus.FAILED.label, " ".join(problems))


async def _restore(change: Change, plan: Row, copy: Row) -> int:
    await tasks.refuse_in_service_mode(change.db, copy["media_hostname"] if copy["local_service_mode"] else None)
    restores.check_centralized(plan)
    destination = plan["restore_destination"]
    client = {"id": plan["client_id"], "hwid": plan["hwid"], "hostname": plan["hostname"]}
    return await restores.queue(
        change, copy, client, priority=plan["priority"], why="by the disaster recovery plan",
        parameters={
            "destination": destination, "in_place": not destination, "paths": [], "overwrite": "never",
            "module": {}, "common": {},
        },
    )  # fmt: skip
