"""Which rows a caller may see, and which change, as SQL conditions: the matrix of the design, section 6.

Roles add up for reading. What one role lets see another may not let change: an auditor who is
an administrator too sees everything and changes only what belongs to the own groups.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from rubackup.domain.permissions import GLOBAL, Principal, Role

CHANGES_ALL = frozenset({Role.SUPERUSER, Role.SUPERVISOR})
"""Roles that may change rows of every group and every media server."""


@dataclass(frozen=True)
class Limit:
    """A SQL condition. `{}` in `sql` stands for each of `values`, in order."""

    sql: str
    values: tuple[Any, ...] = ()

    def numbered(self, first: int) -> str:
        """The condition with placeholders that count from `first`."""
        parts = self.sql.split("{}")
        return parts[0] + "".join(f"${first + number}{part}" for number, part in enumerate(parts[1:]))


EVERYTHING = Limit("true")
NOTHING = Limit("false")


def changes_all(principal: Principal) -> bool:
    """Whether every row may be changed that a permission covers."""
    return bool(principal.roles & CHANGES_ALL)


def _all(principal: Principal, *, write: bool) -> bool:
    return changes_all(principal) if write else bool(principal.roles & GLOBAL)


def _of(column: str, ids: tuple[int, ...]) -> Limit:
    return Limit(f"{column} = ANY({{}}::bigint[])", (list(ids),)) if ids else NOTHING


def clients(principal: Principal, group: str = "x.group_id", *, write: bool = False) -> Limit:
    """Clients and client groups; `group` is the column with the client group's id."""
    return EVERYTHING if _all(principal, write=write) else _of(group, principal.client_group_ids)


def storage(principal: Principal, media: str = "x.media_server_id", *, write: bool = False) -> Limit:
    """Media servers, pools, storages; `media` is the column with the media server's id.

    Administrators of clients see all storage: they choose pools for their copies.
    """
    if _all(principal, write=write) or (not write and Role.ADMINISTRATOR in principal.roles):
        return EVERYTHING
    return _of(media, principal.media_server_ids)


def work(principal: Principal, group: str, media: str, *, write: bool = False) -> Limit:
    """Tasks and copies: those of own clients; those on own media servers can be seen, too."""
    if _all(principal, write=write):
        return EVERYTHING
    own = _of(group, principal.client_group_ids)
    there = NOTHING if write else _of(media, principal.media_server_ids)
    return Limit(f"({own.sql} OR {there.sql})", own.values + there.values)


def strategies(principal: Principal, strategy: str = "x.id", *, write: bool = False) -> Limit:
    """Strategies and their rules; `strategy` is the column with the strategy's id."""
    return EVERYTHING if _all(principal, write=write) else _of(strategy, principal.strategy_ids)


def strategy_rules(
    principal: Principal, strategy: str = "x.strategy_id", group: str = "c.group_id", *, write: bool = False
) -> Limit:
    """Rules of strategies: those of own strategies; those of own clients can be seen, too."""
    own = strategies(principal, strategy, write=write)
    return own if write or own == EVERYTHING else either(own, clients(principal, group))


def strategies_seen(principal: Principal, strategy: str = "x.id") -> Limit:
    """Strategies: the own ones, and those that back up own clients."""
    own, theirs = strategies(principal, strategy), clients(principal, "sc.group_id")
    if own == EVERYTHING or theirs == NOTHING:
        return own
    rules = "SELECT sr.strategy_id FROM strategy_rules sr JOIN clients sc ON sc.id = sr.client_id WHERE"
    return either(own, Limit(f"{strategy} IN ({rules} {theirs.sql})", theirs.values))


def notifications(principal: Principal, row: str = "n", group: str = "n.client_group_id") -> Limit:
    """Notifications of own clients, media servers and strategies, and those for the own user group."""
    if _all(principal, write=False):
        return EVERYTHING
    to_me = Limit(
        f"{row}.user_group_id = (SELECT u.group_id FROM users u JOIN user_groups ug ON ug.id = u.group_id "  # noqa: S608 - an alias of the code
        "WHERE u.id = {} AND ug.name <> 'Nobody')",
        (principal.user_id,),
    )
    about = either(work(principal, group, f"{row}.media_server_id"), strategies(principal, f"{row}.strategy_id"))
    return either(about, to_me)


def either(one: Limit, other: Limit) -> Limit:
    """What one of two conditions allows."""
    return Limit(f"({one.sql} OR {other.sql})", one.values + other.values)


def authorises_media(principal: Principal) -> Limit:
    """Media servers that wait: for those who may authorise them, and for auditors."""
    return EVERYTHING if _all(principal, write=False) else NOTHING
