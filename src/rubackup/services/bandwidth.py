"""The limits of bandwidth that hold for each client at an instant. Design: `docs/design/dispatch.md`, Bandwidth.

Two kinds of limits may hold for a task: those of its client and those of the rule that it is of. Only one of them
counts: the kind that `bandwidth_limit_advantage` names, or the other when the first has none at that time.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict

import msgspec
from msgspec import Meta

from rubackup.catalog.database import Database
from rubackup.domain.bandwidth import FREE, Choice, Limit, Rates, in_force
from rubackup.services import configuration
from rubackup.services.fields import Problems

CHANNEL = "bandwidth"
"""Told when a limit was changed."""
_CLIENTS = """
SELECT c.hwid, b.backup_bandwidth, b.restore_bandwidth, b.window_start, b.window_end
FROM client_bandwidth b JOIN clients c ON c.id = b.client_id"""
_RULES = """
SELECT c.hwid, b.rule_id, b.backup_bandwidth, b.restore_bandwidth, b.window_start, b.window_end
FROM rule_bandwidth b JOIN global_schedule s ON s.id = b.rule_id
JOIN clients c ON c.id = s.client_id OR c.group_id = s.client_group_id"""

FASTEST = 2**40
BACKUP = Meta(description="Limit of its backups in KiB per second; 0: no limit.", ge=0, le=FASTEST)
RESTORE = Meta(description="Limit of its restores in KiB per second; 0: no limit.", ge=0, le=FASTEST)
START = Meta(description="Local time of day HH:MM:SS from which the limit holds.", max_length=16)
END = Meta(
    description="Local time of day HH:MM:SS until which it holds; equal to window_start: all day, earlier: over midnight.",
    max_length=16,
)


class Allowance(msgspec.Struct, frozen=True):
    """What one client may take: of its own, and of each rule that has a limit now."""

    client: Rates = FREE
    rules: tuple[tuple[int, Rates], ...] = ()
    rule_first: bool = False
    """Whether a rule's limit counts where the client has one, too."""


NO_LIMIT = Allowance()


class Limits(msgspec.Struct, frozen=True):
    """Every limit of the catalogue, and how they go together."""

    clients: dict[str, list[Limit]]
    rules: dict[str, dict[int, list[Limit]]]
    """By client (hwid), then rule."""
    rule_first: bool
    client_choice: Choice
    rule_choice: Choice

    def at(self, now: dt.datetime, zone: dt.tzinfo | None) -> dict[str, Allowance]:
        """For each client (hwid) with a limit that holds now what it may take; `zone` None: the host's."""
        time = now.astimezone(zone).time()
        found = {}
        for hwid in {*self.clients, *self.rules}:
            client = in_force(self.clients.get(hwid, ()), time, self.client_choice)
            rules = {
                rule: in_force(limits, time, self.rule_choice) for rule, limits in self.rules.get(hwid, {}).items()
            }
            held = tuple(sorted((rule, rates) for rule, rates in rules.items() if rates != FREE))
            if client != FREE or held:
                found[hwid] = Allowance(client, held, self.rule_first)
        return found


async def read(database: Database) -> Limits:
    """The limits as the catalogue has them now."""
    async with database.connection() as db:
        rules: dict[str, dict[int, list[Limit]]] = defaultdict(lambda: defaultdict(list))
        for hwid, rule, *limit in await db.fetch(_RULES):
            rules[hwid][rule].append(Limit(*limit))
        clients: dict[str, list[Limit]] = defaultdict(list)
        for hwid, *limit in await db.fetch(_CLIENTS):
            clients[hwid].append(Limit(*limit))
        return Limits(
            clients=dict(clients),
            rules={hwid: dict(found) for hwid, found in rules.items()},
            rule_first=await configuration.value(db, "bandwidth_limit_advantage") == "rule",
            client_choice=Choice(await configuration.value(db, "bandwidth_client_limit")),
            rule_choice=Choice(await configuration.value(db, "bandwidth_rule_limit")),
        )


def time_of_day(problems: Problems, text: str, field: str) -> dt.time:
    """The time of day; midnight after a note."""
    try:
        return dt.datetime.strptime(text, "%H:%M:%S").time()  # noqa: DTZ007 - a time of day has no zone
    except ValueError:
        problems.add(field, "must be a time of day from 00:00:00 to 23:59:59.")
        return dt.time()
