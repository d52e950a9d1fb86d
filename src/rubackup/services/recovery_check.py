"""Checking an entry of the disaster recovery plan: whether a recovery would find what it needs now.

The catalogue says which copies there are; the client and the media servers are asked live, with no connection held.
"""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Sequence
from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.domain.errors import Conflict, RubackupError
from rubackup.domain.identity import client_label
from rubackup.domain.lookups import Crypto, DisasterRecoveryStatus, VerificationStatus
from rubackup.services import configuration, recovery_destination, repository, restores, scopes
from rubackup.services.change import Change
from rubackup.services.disaster_recovery_plan import FAMILY
from rubackup.services.fields import Row
from rubackup.services.ports import Hosts

COPIES_AT_ONCE = 1000
_PLAN = """
SELECT d.id, d.client_hostname, d.client_hwid, d.resource_type, d.resource, d.restore_destination,
    c.id AS client_id, c.hostname, c.resource_types, c.key_ids, c.centralized_restore, coalesce(c.group_id, d.client_group_id) AS group_id
FROM disaster_recovery_plan d LEFT JOIN clients c ON c.id = d.client_id WHERE d.id = $1"""
_COPIES = """
SELECT DISTINCT ON (r.resource) r.id, r.uuid::text AS uuid, r.resource, r.crypto, r.key_id, r.verification_status, r.pool_id, r.size_bytes,
    p.pool_type, p.uuid AS pool_uuid, r.client_hwid,
    (SELECT d.metadata_fs_pool_id FROM client_defined_storages d WHERE d.pool_id = p.id ORDER BY d.id LIMIT 1) AS metadata_pool_id,
    p.pool_name, coalesce(s.problem, 'The media server has not reported yet.') AS pool_problem,
    m.hostname AS media_hostname, m.hwid AS media_hwid, m.local_service_mode, coalesce(o.online, false) AS online
FROM repository r LEFT JOIN clients c ON c.id = r.client_id JOIN pools p ON p.id = r.pool_id
JOIN media_servers m ON m.id = p.media_server_id LEFT JOIN media_presence o ON o.media_server_id = m.id
LEFT JOIN pool_state s ON s.pool_id = p.id
WHERE r.client_hwid = $1 AND r.resource_type = $2 AND ($3 = '' OR r.resource = $3) AND ({limit})
ORDER BY r.resource, r.created_at DESC, r.id DESC LIMIT $4"""
_STORE = """
UPDATE disaster_recovery_plan d SET status = $6, problem = $7, checked_at = now()
WHERE d.id = $1 AND d.client_hwid = $2 AND d.resource_type = $3 AND d.resource = $4 AND d.restore_destination = $5
RETURNING d.checked_at, d.client_group_id"""


class Facts(msgspec.Struct, frozen=True):
    """What the catalogue says: the entry with its client, the newest copy of each resource, the global service mode."""

    plan: Row
    copies: Sequence[Row]
    service_mode: bool


class Finding(msgspec.Struct, frozen=True):
    """What a check found; `facts` is what it was about."""

    facts: Facts
    problems: list[str]


class RecoveryChecked(msgspec.Struct, frozen=True, kw_only=True):
    """The result of a check."""

    id: Annotated[int, Meta(description="Id of the entry.")]
    status: Annotated[str, Meta(description="A name of disaster_recovery_record_status: Ready or Failed.")]
    checked_at: Annotated[dt.datetime, Meta(description="When it was checked.")]
    problems: Annotated[list[str], Meta(description="Everything that a recovery would lack; empty when Ready.")]


async def facts_of(change: Change, plan_id: int) -> Facts:
    """What the catalogue says of an entry that the caller may see."""
    plan = await change.db.fetchrow(_PLAN, plan_id)
    limit = scopes.clients(change.principal, "coalesce(c.group_id, r.client_group_id)")
    copies = await change.db.fetch(
        _COPIES.format(limit=limit.numbered(5)), plan["client_hwid"], plan["resource_type"], plan["resource"],
        COPIES_AT_ONCE, *limit.values,
    )  # fmt: skip
    return Facts(plan, copies, await configuration.enabled(change.db, "service_mode"))


async def examine(hosts: Hosts, facts: Facts) -> Finding:
    """Everything that a recovery would lack; asks hosts, so no connection should be held meanwhile."""
    stopped = ["The service mode is on: there are no new tasks."] if facts.service_mode else []
    client, copies = await asyncio.gather(_client(hosts, facts), _storage(hosts, facts))
    return Finding(facts, stopped + client + copies)


async def store(change: Change, finding: Finding) -> RecoveryChecked:
    """Write down what was found; Conflict when the entry is about something else by now."""
    plan, problems = finding.facts.plan, finding.problems
    status = (DisasterRecoveryStatus.FAILED if problems else DisasterRecoveryStatus.READY).label
    row = await change.db.fetchrow(
        _STORE, plan["id"], plan["client_hwid"], plan["resource_type"], plan["resource"], plan["restore_destination"],
        status, " ".join(problems),
    )  # fmt: skip
    if row is None:
        raise Conflict("The entry was changed while it was checked; check it again.")
    await change.event("changed", FAMILY, plan["id"], client_group_id=plan["group_id"], data={"status": status})
    return RecoveryChecked(id=plan["id"], status=status, checked_at=row["checked_at"], problems=problems)


# --- the client ---


async def _client(hosts: Hosts, facts: Facts) -> list[str]:
    plan = facts.plan
    if plan["client_id"] is None:
        name = client_label(plan["client_hostname"], plan["client_hwid"])
        return [f"The client {name} is not authorised."]
    problems = []
    told = plan["resource_types"]
    if told and plan["resource_type"] not in told:
        problems.append(f"The client does not serve {plan['resource_type']}; it serves: {', '.join(told)}.")
    if told:
        missing = sorted({copy["key_id"] for copy in facts.copies} - {"", *plan["key_ids"]})
        problems += [
            f"The client does not have the key {key_id}, which copies are encrypted with." for key_id in missing
        ]
    try:
        restores.check_centralized({"hostname": plan["hostname"], "hwid": plan["client_hwid"], **plan})
    except Conflict as error:
        problems.append(error.message)
    wanted = recovery_destination.wanted(plan["restore_destination"], facts.copies)
    return problems + await recovery_destination.examine(hosts, plan["client_hwid"], wanted)


# --- copies and where they are ---


async def _storage(hosts: Hosts, facts: Facts) -> list[str]:
    """What is wrong with the copies, their pools and media servers; one copy of each pool is opened."""
    plan = facts.plan
    if not facts.copies:
        what = f"{plan['resource_type']} {plan['resource']}".strip()
        return [f"There is no copy of {what} of the client."]
    problems = [
        f"The newest copy of {copy['resource']} ({copy['id']}) is {copy['verification_status']}."
        for copy in facts.copies
        if copy["verification_status"] == VerificationStatus.NOT_TRUSTED.label
    ]
    pools = {copy["pool_id"]: copy for copy in reversed(facts.copies)}
    found = await asyncio.gather(*(_pool(hosts, copy) for copy in pools.values()))
    return problems + list(dict.fromkeys(problem for pool in found for problem in pool))


async def _pool(hosts: Hosts, copy: Row) -> list[str]:
    media, problems = copy["media_hostname"], []
    if copy["local_service_mode"]:
        problems.append(f"The local service mode of media server {media} is on.")
    if not copy["online"]:
        return [*problems, f"The media server {media} of pool {copy['pool_name']} is offline."]
    if copy["pool_problem"]:
        return [*problems, f"The pool {copy['pool_name']} cannot be used: {copy['pool_problem']}"]
    if copy["crypto"] != Crypto.NOCRYPT.label:
        return problems  # only a client with the key can open it
    try:
        uuid = copy["uuid"].replace("-", "")
        pool_id, kept = repository.manifest_of(copy)
        await hosts.list_record(copy["media_hwid"], pool_id, uuid, copy["resource"], 1, 1, kept)
    except RubackupError as error:
        problems.append(f"The copy {copy['id']} in pool {copy['pool_name']} cannot be opened: {error.message}")
    return problems
