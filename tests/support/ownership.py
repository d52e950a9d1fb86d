"""To whom a row belongs: the client groups, media servers and strategies that foreign keys lead to.

Found in the catalogue's schema, so that a model of who may see what need not ask the product. Where keys do not tell it
(a copy outlives its client, a log has no keys), `TOLD` does, in SQL.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from rubackup.api.resource import Resource
from support.api import Api

ENDS = {"client_groups": "group", "media_servers": "media", "backup_strategies": "strategy"}

_KEYS = """
SELECT c.conrelid::regclass::text AS source, a.attname AS column, c.confrelid::regclass::text AS target
FROM pg_constraint c JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = c.conkey[1]
WHERE c.contype = 'f' AND array_length(c.conkey, 1) = 1 ORDER BY c.conrelid, c.conkey[1]"""

TOLD = {
    "repository": """
        SELECT r.id, coalesce(c.group_id, r.client_group_id) AS group, p.media_server_id AS media
        FROM repository r LEFT JOIN clients c ON c.id = r.client_id JOIN pools p ON p.id = r.pool_id""",
    "repository_log": """
        SELECT l.id, coalesce(c.group_id, r.client_group_id, l.client_group_id) AS group, p.media_server_id AS media
        FROM repository_log l LEFT JOIN repository r ON r.id = l.record_id LEFT JOIN clients c ON c.id = r.client_id
        LEFT JOIN pools p ON p.id = l.pool_id""",
    "global_schedule": """
        SELECT s.id, coalesce(s.client_group_id, c.group_id) AS group
        FROM global_schedule s LEFT JOIN clients c ON c.id = s.client_id""",
    "global_schedule_log": """
        SELECT l.id, coalesce(c.group_id, l.client_group_id) AS group
        FROM global_schedule_log l LEFT JOIN clients c ON c.id = l.client_id""",
    "disaster_recovery_plan": """
        SELECT d.id, coalesce(c.group_id, d.client_group_id) AS group
        FROM disaster_recovery_plan d LEFT JOIN clients c ON c.id = d.client_id""",
    "backup_strategies": """
        SELECT s.id, s.id AS strategy, c.group_id AS group FROM backup_strategies s
        LEFT JOIN strategy_rules r ON r.strategy_id = s.id LEFT JOIN clients c ON c.id = r.client_id""",
    "notifications": """
        SELECT n.id, coalesce(c.group_id, n.client_group_id) AS group, n.media_server_id AS media,
            n.strategy_id AS strategy, n.user_group_id AS addressed
        FROM notifications n LEFT JOIN clients c ON c.id = n.client_id""",
    "clients_log": 'SELECT l.id, l.client_group_id AS "group" FROM clients_log l',
    "media_servers_log": "SELECT l.id, l.media_server_id AS media FROM media_servers_log l",
    "servers_hw_id_tmp": """
        SELECT 2 * m.id AS id, m.id AS media FROM media_servers m UNION ALL SELECT 2 * s.id + 1, NULL FROM servers s""",
    "pool_substitution": """
        SELECT s.id, p.media_server_id AS media FROM pool_substitutions s
        JOIN pools p ON p.id IN (s.pool_id, s.substitution_id)""",
    "dynamic_pool_groups": """
        SELECT g.id, p.media_server_id AS media FROM dynamic_pool_groups g
        LEFT JOIN dynamic_pool_groups_records r ON r.group_id = g.id LEFT JOIN pools p ON p.id = r.pool_id""",
}
"""By path: what keys do not tell. A row may come more than once, with another owner each time."""


@dataclass
class Owners:
    """To whom a row belongs, by kind."""

    group: set[int] = field(default_factory=set)
    media: set[int] = field(default_factory=set)
    strategy: set[int] = field(default_factory=set)
    addressed: set[int] = field(default_factory=set)
    """The user groups that it is for."""

    def of(self, kind: str) -> set[int]:
        """The owners of a kind."""
        found: set[int] = getattr(self, kind)
        return found


def owners(api: Api, resource: Resource) -> dict[int, Owners]:
    """Every row of the resource's table with its owners."""
    found: dict[int, Owners] = {}
    for statement in [TOLD[resource.path]] if resource.path in TOLD else _statements(api, table_of(resource)):
        for row in api.fetch(statement):
            here = found.setdefault(row["id"], Owners())
            for kind in (*ENDS.values(), "addressed"):
                if row.get(kind) is not None:
                    here.of(kind).add(row[kind])
    return found


def table_of(resource: Resource) -> str:
    """The table whose rows the resource shows."""
    assert resource.source is not None
    names = re.findall(r"\w+", re.sub(r"SELECT .*? FROM", "", resource.source.table, flags=re.DOTALL))
    return names[0]


def _statements(api: Api, table: str) -> Iterable[str]:
    """For each kind of owner, the joins of the shortest way to it."""
    yield f"SELECT id FROM {table}"
    keys: dict[str, list[tuple[str, str]]] = {}
    for key in api.fetch(_KEYS):
        keys.setdefault(key["source"], []).append((key["column"], key["target"]))
    for end, kind in ENDS.items():
        if table == end:
            yield f'SELECT id, id AS "{kind}" FROM {table}'
        for way in _shortest(keys, table, end):
            joins, last = f"{table} t0", "t0"
            for number, (column, target) in enumerate(way[:-1], 1):
                joins += f" JOIN {target} t{number} ON t{number}.id = {last}.{column}"
                last = f"t{number}"
            yield f'SELECT t0.id, {last}.{way[-1][0]} AS "{kind}" FROM {joins}'


def _shortest(keys: dict[str, list[tuple[str, str]]], start: str, end: str) -> list[list[tuple[str, str]]]:
    """The first of the shortest ways along foreign keys; none when there is none, or when start is the end."""
    if start == end:
        return []
    ways: list[list[tuple[str, str]]] = [[]]
    seen = {start}
    while ways:
        longer = []
        for way in ways:
            for key in keys.get(way[-1][1] if way else start, []):
                if key[1] == end:
                    return [[*way, key]]
                if key[1] not in seen and key[1] not in {"users", "user_groups"}:
                    seen.add(key[1])
                    longer.append([*way, key])
        ways = longer
    return []
