"""API tokens: what scripts log in with. Design section 5.

A token is 256 random bits; the catalogue keeps their SHA-256, so looking one up is all there is to guess.
Its rights are read for each call: what the token names, as far as its user still has it. A role that covers
everything cannot be narrowed; a superuser or supervisor may give a token a narrower role instead.
"""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rubackup.catalog.database import Connection
from rubackup.domain.errors import Conflict
from rubackup.domain.names import LOGIN
from rubackup.domain.permissions import GLOBAL, Principal, Role
from rubackup.services import scopes
from rubackup.services.change import Change
from rubackup.services.fields import Problems, Ref
from rubackup.services.principals import USER_COLUMNS, principal_of

TOKEN_PREFIX = "rbt_"  # noqa: S105 - what every token begins with
SHOWN_CHARACTERS = 10
"""How much of a token the list shows: enough to tell which one turned up where it should not be."""
DEFAULT_DAYS = 90
MAX_TOKENS = 100
USED_SECONDS = 60
"""`last_used_at` is written at most once in this time."""
_FORM = re.compile(TOKEN_PREFIX + r"[A-Za-z0-9_-]{43}")

_TOKEN = f"""
SELECT {USER_COLUMNS}, t.id AS token_id, t.name AS token_name, t.roles AS token_roles, t.client_group_ids,
    t.media_server_ids, t.strategy_ids, t.expires_at, t.last_used_at
FROM api_tokens t JOIN users u ON u.id = t.user_id WHERE """  # noqa: S608 - constant
_FIND = _TOKEN + "t.hash = $1"
_BY_ID = _TOKEN + "t.id = $1 AND (t.expires_at IS NULL OR t.expires_at > now())"
_USED = """
UPDATE api_tokens SET last_used_at = $2 WHERE id IN (SELECT id FROM api_tokens WHERE id = $1 FOR UPDATE SKIP LOCKED)"""
_LOCK = "SELECT 1 FROM users WHERE id = $1 FOR NO KEY UPDATE"
_COUNT = "SELECT count(*) FROM api_tokens WHERE user_id = $1"
_INSERT = """
INSERT INTO api_tokens (user_id, name, prefix, hash, roles, client_group_ids, media_server_ids, strategy_ids, expires_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT (user_id, name) DO NOTHING RETURNING id"""

RoleName = Literal["superuser", "supervisor", "maintainer", "administrator", "auditor", "strategy administrator"]
Refs = Annotated[list[Ref], Meta(max_length=1000)]


class NewToken(msgspec.Struct, kw_only=True):
    """An API token to be made."""

    name: Annotated[
        str,
        Meta(
            description="What the token is for; unique among the own tokens, and named in the audit.",
            min_length=1, max_length=128, pattern=LOGIN,
        ),
    ]  # fmt: skip
    roles: (
        Annotated[
            list[RoleName],
            Meta(
                description="Roles of the token: own ones, and for a superuser or supervisor also narrower ones. "
                "Left out: the roles that the user has now.",
            ),
        ]
        | UnsetType
    ) = UNSET
    client_groups: (
        Annotated[
            Refs, Meta(description="Client groups that the role administrator covers: names or ids; null: all own.")
        ]
        | None
    ) = None
    media_servers: (
        Annotated[
            Refs, Meta(description="Media servers that the role maintainer covers: host names or ids; null: all own.")
        ]
        | None
    ) = None
    strategies: (
        Annotated[
            Refs,
            Meta(description="Strategies that the role strategy administrator covers: names or ids; null: all own."),
        ]
        | None
    ) = None
    expires_at: (
        Annotated[datetime, Meta(description=f"When the token ends; null: never. Left out: in {DEFAULT_DAYS} days.")]
        | UnsetType
        | None
    ) = UNSET


@dataclass(frozen=True)
class _Limits:
    """What a token names; None narrows nothing."""

    roles: frozenset[Role]
    client_groups: tuple[int, ...] | None
    media_servers: tuple[int, ...] | None
    strategies: tuple[int, ...] | None


_SCOPED = (
    (Role.ADMINISTRATOR, "client_groups", "client_group_ids"),
    (Role.MAINTAINER, "media_servers", "media_server_ids"),
    (Role.STRATEGY_ADMINISTRATOR, "strategies", "strategy_ids"),
)
"""Roles with a scope: its key in a token, its field of a Principal."""


def may_give(roles: frozenset[Role]) -> frozenset[Role]:
    """The roles that a token of a user with these roles may have."""
    if Role.SUPERUSER in roles:
        return frozenset(Role)
    return frozenset(Role) - {Role.SUPERUSER} if Role.SUPERVISOR in roles else roles


def narrowed(user: Principal, limits: _Limits, token_id: int, token_name: str) -> Principal:
    """What is left of the user's rights under the limits of a token."""
    roles = limits.roles & may_give(user.roles)
    covered: dict[str, Any] = {}
    for role, key, field in _SCOPED:
        own: tuple[int, ...] = getattr(user, field)
        named: tuple[int, ...] | None = getattr(limits, key)
        if role not in roles:
            covered[field] = ()
        elif named is None:
            covered[field] = own
        else:
            covered[field] = named if scopes.changes_all(user) else tuple(i for i in own if i in named)
    return replace(user, roles=roles, token_id=token_id, token_name=token_name, **covered)


async def find(db: Connection, text: str, address: str, now: datetime) -> tuple[Principal, bool] | None:
    """The caller that a token stands for, and whether it has not expired; None when there is no such token."""
    if not _FORM.fullmatch(text):
        return None
    row = await db.fetchrow(_FIND, hash_of(text))
    if row is None:
        return None
    alive = row["expires_at"] is None or row["expires_at"] > now
    used = row["last_used_at"]
    if alive and (used is None or (now - used).total_seconds() >= USED_SECONDS):
        await db.execute(_USED, row["token_id"], now)
    return _principal(row, address), alive


async def find_by_id(db: Connection, token_id: int, address: str) -> Principal | None:
    """The caller that a token stands for now; None when it is gone or has expired."""
    row = await db.fetchrow(_BY_ID, token_id)
    return None if row is None else _principal(row, address)


def _principal(row: Any, address: str) -> Principal:
    limits = _Limits(
        frozenset(Role(name) for name in row["token_roles"]),
        *(None if row[field] is None else tuple(row[field]) for _, _, field in _SCOPED),
    )
    return narrowed(principal_of(row, address), limits, row["token_id"], row["token_name"])


def hash_of(text: str) -> bytes:
    """What is kept of a token."""
    return hashlib.sha256(text.encode()).digest()


async def create(change: Change, new: NewToken) -> tuple[int, str]:
    """A new token of the caller: its id, and its text, which is told this once."""
    problems = Problems()
    roles = _roles(problems, change.principal, new)
    covered = await _covered(change, problems, new, roles)
    expires = datetime.now(UTC) + timedelta(days=DEFAULT_DAYS) if new.expires_at is UNSET else new.expires_at
    if expires is not None and expires <= datetime.now(UTC):
        problems.add("data.expires_at", "must be in the future, or null for never.")
    problems.raise_any()
    user_id = change.principal.user_id
    await change.db.execute(_LOCK, user_id)
    if await change.db.fetchval(_COUNT, user_id) >= MAX_TOKENS:
        raise Conflict(f"A user may have {MAX_TOKENS} API tokens; revoke one first.")
    text = TOKEN_PREFIX + secrets.token_urlsafe(32)
    token_id: int | None = await change.db.fetchval(
        _INSERT, user_id, new.name, text[:SHOWN_CHARACTERS], hash_of(text), [role.value for role in roles],
        *covered, expires,
    )  # fmt: skip
    if token_id is None:
        raise Conflict(f"You have an API token with the name {new.name} already.")
    await change.event("created", "tokens", token_id)
    return token_id, text


def _roles(problems: Problems, user: Principal, new: NewToken) -> list[Role]:
    if new.roles is UNSET:
        return [role for role in Role if role in user.roles]
    allowed = [role.value for role in Role if role in may_give(user.roles)]
    for number, name in enumerate(new.roles):
        if name not in allowed:
            told = f"must be one of: {', '.join(allowed)}." if allowed else "must be left out: you have no role."
            problems.add(f"data.roles.{number}", told)
    return [role for role in Role if role.value in new.roles]


async def _covered(change: Change, problems: Problems, new: NewToken, roles: Sequence[Role]) -> list[list[int] | None]:
    """The ids that the token's scope names, in the order of _SCOPED; what cannot be is noted."""
    user = change.principal
    for role, key, field in _SCOPED:
        named = getattr(new, key)
        if named is not None and role not in roles:
            problems.add(f"data.{key}", f"is only for the role {role.value}, which the token does not have.")
        elif named is not None and GLOBAL & set(roles):
            problems.add(f"data.{key}", "cannot narrow a token whose roles cover everything; give narrower roles.")
        elif named is None and role in roles and not getattr(user, field):
            problems.add(f"data.{key}", f"is required for the role {role.value}: you have none of your own.")
    groups = [
        await problems.client_group(change.db, one, f"data.client_groups.{n}", scopes.clients(user, "x.id", write=True))
        for n, one in enumerate(new.client_groups or ())
    ]
    servers = [
        await problems.media_server(change.db, one, f"data.media_servers.{n}", scopes.storage(user, "x.id", write=True))
        for n, one in enumerate(new.media_servers or ())
    ]
    strategies = [
        await problems.strategy(change.db, one, f"data.strategies.{n}", scopes.strategies(user, write=True))
        for n, one in enumerate(new.strategies or ())
    ]
    return [
        None if new.client_groups is None else _ids(groups),
        None if new.media_servers is None else _ids(servers),
        None if new.strategies is None else _ids(strategies),
    ]


def _ids(rows: Sequence[Any]) -> list[int]:
    return sorted({row["id"] for row in rows if row is not None})


async def delete(change: Change, ids: Sequence[int]) -> None:
    """Revoke tokens: the next call with one of them is a 401."""
    await change.db.execute("DELETE FROM api_tokens WHERE id = ANY ($1::bigint[])", list(ids))
    for token_id in ids:
        await change.event("deleted", "tokens", token_id)
