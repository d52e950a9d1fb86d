"""What a console shows first: the servers, and what waits for an administrator."""

from __future__ import annotations

import datetime as dt
from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup import __version__
from rubackup.catalog.database import Connection
from rubackup.domain.permissions import Permission, Principal
from rubackup.services import api_hosts, configuration, rule_log, rule_requests, scopes
from rubackup.services.change import Change

_SERVERS = """
SELECT s.hostname, s.hwid, s.package_version, s.started_at, s.hwid = l.server_hwid AS is_leader
FROM servers s CROSS JOIN leadership l ORDER BY s.hostname, s.hwid"""
_CLIENTS = """
SELECT u.id, u.hostname, u.hwid, u.address, u.fingerprint, u.first_seen_at FROM unauthorised_clients u
ORDER BY u.id LIMIT 1000"""
_MEDIA = """
SELECT u.id, u.hostname, u.hwid, u.address, u.fingerprint, u.first_seen_at FROM unauthorised_media_servers u
WHERE {limit} ORDER BY u.id LIMIT 1000"""
_QUEUE = """
SELECT t.status, count(*) AS tasks FROM task_queue t LEFT JOIN clients c ON c.id = t.client_id
WHERE t.status IN ('New', 'Assigned', 'At_Client', 'Execution', 'Transmission', 'Paused', 'Suspended') AND ({limit})
GROUP BY t.status ORDER BY t.status"""
_EXPIRED_RULES = f"""
SELECT s.id, s.name, {rule_log.WHOSE} AS client, s.status, s.validity_end_period FROM global_schedule s {rule_log.OWNER}
WHERE s.validity_end_period <= now() AND ({{limit}}) ORDER BY s.validity_end_period DESC, s.id LIMIT 1000"""  # noqa: S608 - constants of the code
_EXPIRED = """
SELECT s.id, s.name, s.status, s.validity_end_period FROM backup_strategies s
WHERE s.validity_end_period < now() AND ({limit}) ORDER BY s.validity_end_period, s.id LIMIT 1000"""


class Server(msgspec.Struct, frozen=True, kw_only=True):
    """A RuBackup server."""

    hostname: Annotated[str, Meta(description="Host name.")]
    hwid: Annotated[str, Meta(description="Hardware id: 64 hex digits.")]
    package_version: Annotated[str, Meta(description="Version that runs there.")]
    started_at: Annotated[dt.datetime, Meta(description="When it was started.")]
    is_leader: Annotated[bool, Meta(description="Whether it hands out the tasks.")]


class Hello(msgspec.Struct, frozen=True, kw_only=True):
    """The system as it introduces itself."""

    product: Annotated[str, Meta(description="Name of the product.")]
    package_version: Annotated[str, Meta(description="Version of the API.")]
    timezone: Annotated[str, Meta(description="Zone of instants that are written without one.")]
    server_time: Annotated[dt.datetime, Meta(description="Now, by the service database's clock.")]
    service_mode: Annotated[bool, Meta(description="Whether background work and new tasks are stopped.")]
    servers: Annotated[list[Server], Meta(description="The servers that this installation has had.")]


class WaitingHost(msgspec.Struct, frozen=True, kw_only=True):
    """A host that waits for authorisation."""

    id: Annotated[int, Meta(description="Id of its row.")]
    hostname: Annotated[str, Meta(description="Host name that it told.")]
    hwid: Annotated[str, Meta(description="Hardware id that it told.")]
    address: Annotated[str, Meta(description="Address that it came from.")]
    fingerprint: Annotated[str, Meta(description="SHA-256 fingerprint of its key.")]
    first_seen_at: Annotated[dt.datetime, Meta(description="When it asked first.")]


class ExpiredRule(msgspec.Struct, frozen=True, kw_only=True):
    """A rule of the global schedule whose validity has ended."""

    id: Annotated[int, Meta(description="Id of the rule.")]
    name: Annotated[str, Meta(description="Name of the rule.")]
    client: Annotated[str, Meta(description="Its client as `hostname (hwid)`.")]
    status: Annotated[str, Meta(description="A name of status_of_rule.")]
    validity_end_period: Annotated[dt.datetime, Meta(description="When its validity ended.")]


class StatusCount(msgspec.Struct, frozen=True):
    """How many tasks have a status."""

    status: Annotated[str, Meta(description="A name of task_status.")]
    tasks: Annotated[int, Meta(description="Number of tasks.")]


class ExpiredStrategy(msgspec.Struct, frozen=True, kw_only=True):
    """A strategy that does not act any more."""

    id: Annotated[int, Meta(description="Id of the strategy.")]
    name: Annotated[str, Meta(description="Name of the strategy.")]
    status: Annotated[str, Meta(description="A name of status_of_rule; run: it was not stopped, its time is over.")]
    validity_end_period: Annotated[dt.datetime, Meta(description="When it ended.")]


class State(msgspec.Struct, frozen=True, kw_only=True):
    """What waits for somebody."""

    unauthorised_clients: Annotated[list[WaitingHost], Meta(description="Clients that wait for authorisation.")]
    unauthorised_media_servers: Annotated[
        list[WaitingHost], Meta(description="Media servers that wait for authorisation.")
    ]
    expired_global_schedule_rules: Annotated[
        list[ExpiredRule], Meta(description="Rules whose validity has ended, the last first; at most 1,000.")
    ]
    expired_strategies: Annotated[list[ExpiredStrategy], Meta(description="Strategies whose validity has ended.")]
    unfinished_tasks: Annotated[list[StatusCount], Meta(description="Tasks that have not ended, by status.")]
    new_rule_requests: Annotated[
        list[rule_requests.RequestState], Meta(description="Rules that clients ask for, oldest first, at most 1,000.")
    ]
    delete_rule_requests: Annotated[
        list[rule_requests.RequestState],
        Meta(description="Rules that clients ask to have deleted, oldest first, at most 1,000."),
    ]
    ending_certificates: Annotated[
        list[api_hosts.EndingCertificate],
        Meta(description="Certificates of APIs on hosts of their own that end within 30 days."),
    ]


async def hello(change: Change, timezone: str) -> Hello:
    """Versions, servers, clock and mode."""
    db = change.db
    return Hello(
        product="RuBackup",
        package_version=__version__,
        timezone=timezone,
        server_time=await db.fetchval("SELECT now()"),
        service_mode=await configuration.enabled(db, "service_mode"),
        servers=[Server(**row) for row in await db.fetch(_SERVERS)],
    )


async def state(change: Change) -> State:
    """What waits, as far as the caller may see it."""
    db, principal = change.db, change.principal
    clients = await db.fetch(_CLIENTS) if principal.may(Permission.READ_CLIENTS) else []
    media = scopes.authorises_media(principal)
    work = scopes.work(principal, "c.group_id", "t.media_server_id")
    new, deletions = await rule_requests.waiting(change)
    return State(
        unauthorised_clients=[WaitingHost(**row) for row in clients],
        unauthorised_media_servers=await _waiting_media(db, media),
        expired_global_schedule_rules=await _expired_rules(change),
        expired_strategies=await _expired_strategies(db, principal),
        unfinished_tasks=[
            StatusCount(**row) for row in await db.fetch(_QUEUE.format(limit=work.numbered(1)), *work.values)
        ],
        new_rule_requests=new,
        delete_rule_requests=deletions,
        ending_certificates=await api_hosts.ending(db),
    )


async def _waiting_media(db: Connection, limit: scopes.Limit) -> list[WaitingHost]:
    rows = await db.fetch(_MEDIA.format(limit=limit.numbered(1)), *limit.values)
    return [WaitingHost(**row) for row in rows]


async def _expired_rules(change: Change) -> list[ExpiredRule]:
    if not change.principal.may(Permission.READ_POLICIES):
        return []
    limit = scopes.clients(change.principal, "og.id")
    rows = await change.db.fetch(_EXPIRED_RULES.format(limit=limit.numbered(1)), *limit.values)
    return [ExpiredRule(**row) for row in rows]


async def _expired_strategies(db: Connection, principal: Principal) -> list[ExpiredStrategy]:
    if not principal.may(Permission.READ_POLICIES):
        return []
    limit = scopes.strategies_seen(principal, "s.id")
    rows = await db.fetch(_EXPIRED.format(limit=limit.numbered(1)), *limit.values)
    return [ExpiredStrategy(**row) for row in rows]
