"""What clients' requests and tools need of the global schedule: the one place where they touch it."""

from __future__ import annotations

from rubackup.catalog.database import Connection
from rubackup.services import cron, global_schedule
from rubackup.services.change import Change
from rubackup.services.fields import Row
from rubackup.services.rules import NewRule, RuleFields

MOST_RULES = 1000
"""Rules of one client that its tools are shown."""

_RULES = """
SELECT s.id, s.name, s.resource_type, s.resource, s.backup_type, p.pool_name AS pool, s.status, s.periodic_launch,
    s.min, s.hour, s.dom, s.mon, s.dow, s.storage_duration, s.client_delete_flag
FROM global_schedule s JOIN pools p ON p.id = s.pool_id WHERE s.client_id = $1
    OR s.client_group_id = (SELECT group_id FROM clients WHERE id = $1) ORDER BY s.id LIMIT $2"""
_NAMES_POOL = """
SELECT EXISTS (SELECT 1 FROM global_schedule s JOIN pools p ON p.id = s.pool_id
               WHERE p.pool_name = $2 AND (s.client_id = $1
                   OR s.client_group_id = (SELECT group_id FROM clients WHERE id = $1)))"""
_OWN = "SELECT name FROM global_schedule WHERE id = $1 AND client_id = $2"
_LETS_DELETE = """
SELECT client_delete_flag FROM global_schedule
WHERE id = $1 AND (client_id = $2 OR client_group_id = (SELECT group_id FROM clients WHERE id = $2))
UNION ALL SELECT client_delete_flag FROM backup_strategies WHERE id = $3"""
_THERE = "SELECT 1 FROM global_schedule WHERE id = $1 FOR UPDATE"


async def rules_of(db: Connection, client_id: int) -> list[Row]:
    """The client's rules, and those of its group."""
    return list(await db.fetch(_RULES, client_id, MOST_RULES))


def schedule_of(rule: Row) -> str:
    """When a rule or a request comes due: `every 1 day`, or five cron fields."""
    if rule["periodic_launch"]:
        return f"every {rule['periodic_launch']}"
    return cron.expression({name: rule[name] for name in cron.FIELDS})


async def name_of(db: Connection, client_id: int, rule_id: int) -> str | None:
    """The name of a rule of this client; None when there is no such rule."""
    found: str | None = await db.fetchval(_OWN, rule_id, client_id)
    return found


async def names_pool(db: Connection, client_id: int, pool_name: str) -> bool:
    """Whether a rule of the client stores its copies in the pool."""
    return bool(await db.fetchval(_NAMES_POOL, client_id, pool_name))


async def lets_client_delete(db: Connection, client_id: int, rule_id: int | None, strategy_id: int | None) -> bool:
    """Whether the rule or strategy that made a copy lets its client delete it; one that is none or gone does not."""
    return bool(await db.fetchval(_LETS_DELETE, rule_id, client_id, strategy_id))


async def create(change: Change, request: Row) -> int:
    """The rule that was asked for, stopped (`wait`); its id. Invalid when the catalogue has moved on since."""
    fields = RuleFields(
        name=request["name"],
        client_id=request["client_id"],
        resource_type=request["resource_type"],
        resource=request["resource"],
        backup_type=request["backup_type"],
        pool_id=request["pool_id"],
        storage_duration=request["storage_duration"],
        priority=request["priority"],
        crypto=request["crypto"],
        periodic_launch=request["periodic_launch"] or None,
        status="wait",
        **{name: request[name] for name in cron.FIELDS},
    )
    return await global_schedule.create(change, NewRule(global_schedule=fields))


async def delete(change: Change, rule_id: int) -> None:
    """Delete a rule, if it is still there; its copies stay."""
    if await change.db.fetchval(_THERE, rule_id):
        await global_schedule.delete(change, [rule_id])
