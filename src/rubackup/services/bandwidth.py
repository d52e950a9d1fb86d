"""The limits of bandwidth that hold for each client at an instant. Design: `docs/design/dispatch.md`, Bandwidth.

Two kinds of limits may hold for a task: those of its client and those of the rule that it is of. Only one of them
counts: the kind that `bandwidth_limit_advantage` names, or the other when the first has none at that time.
"""

from __future__ import annotations

import datetime as dt
from collections import defaultdict

import msgspec

from rubackup.catalog.database import Database
from rubackup.domain.bandwidth import FREE, Choice, Limit, Rates, in_force
from rubackup.services import configuration

CHANNEL = "bandwidth"
"""Told when a limit was changed."""
_CLIENTS = """
SELECT c.hwid, b.backup_bandwidth, b.restore_bandwidth, b.window_start, b.window_end
FROM client_bandwidth b JOIN clients c ON c.id = b.client_id"""


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
        clients: dict[str, list[Limit]] = defaultdict(list)
        for hwid, *limit in await db.fetch(_CLIENTS):
            clients[hwid].append(Limit(*limit))
        return Limits(
            clients=dict(clients),
            rules={},
            rule_first=await configuration.value(db, "bandwidth_limit_advantage") == "rule",
            client_choice=Choice(await configuration.value(db, "bandwidth_client_limit")),
            rule_choice=Choice(await configuration.value(db, "bandwidth_rule_limit")),
        )
