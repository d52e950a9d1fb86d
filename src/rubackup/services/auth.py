"""Sessions: login, refresh, logout, and who a call comes from. Design section 6.

A session is a row of `token_families`. Its refresh token is used once; using its predecessor
again within 30 s gives the same successor once more (two tabs, a lost answer), any other
reuse ends the session. Roles are read for each call, never from a token.
"""

from __future__ import annotations

import asyncio
import hmac
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime, tzinfo
from typing import Any
from weakref import WeakValueDictionary

import msgspec

from rubackup.catalog.database import Connection, Database
from rubackup.domain.errors import Busy, Forbidden, Unauthenticated
from rubackup.domain.permissions import Principal, Role
from rubackup.services import api_tokens, configuration, lockout
from rubackup.services.passwords import verify_password
from rubackup.services.principals import find_principal, roles_of
from rubackup.services.tokens import SESSION_SECONDS, Claims, Pair, Tokens, new_family

GRACE_SECONDS = 30
MAX_WAITING = 200
"""Logins that may wait for their turn; more are told to come back."""


@dataclass(frozen=True)
class Issued:
    """A pair of tokens, and whose it is."""

    access_token: str
    refresh_token: str
    csrf_token: str
    name: str
    roles: list[str]
    last_fail_login: str | None = None
    last_success_login: str | None = None
    shows_previous: bool = True
    """Whether the caller is told of the last logins."""


class Revoked(Unauthenticated):
    """Verification failed."""

    code = "revoked"

    def __init__(self, name: str, user_id: int) -> None:
        """A token that we signed was refused: the audit gets its user."""
        super().__init__()
        self.name, self.user_id = name, user_id


class Sessions:
    """The sessions of one service database."""

    def __init__(
        self,
        database: Database,
        tokens: Tokens,
        *,
        zone: tzinfo | None = None,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._database = database
        self._tokens = tokens
        self._zone = zone
        self._now = now
        self._sleep = sleep
        self._turns = asyncio.Semaphore(2)
        self._waiting = 0
        self._pairs: WeakValueDictionary[tuple[str, str], asyncio.Lock] = WeakValueDictionary()

    async def login(self, database_name: str, name: str, password: str, address: str) -> Issued:
        """A new session. Every failure is the same Unauthenticated after the same time; TooManyAttempts."""
        network = lockout.network_of(address)
        async with self._database.connection() as db:
            await lockout.refuse_blocked(db, name, network, self._instant())
            delay = await lockout.delay_seconds(db, name, self._instant())
        if delay:
            await self._sleep(delay)
        if self._waiting >= MAX_WAITING:
            raise Busy("Too many logins are waiting; try again later.")
        self._waiting += 1
        try:
            # one at a time for each pair, here and, by `take_turn`, in other workers: right passwords that come at once
            # do not count against each other; and two at most wait with a connection in their hands
            async with self._pairs.setdefault((name, network), asyncio.Lock()), self._turns:
                return await self._login(database_name == self._database.address.database, name, password, network)
        finally:
            self._waiting -= 1

    async def _login(self, right_database: bool, name: str, password: str, network: str) -> Issued:
        async with self._database.connection() as db:
            await lockout.take_turn(db, name, network)
            await lockout.reserve(db, name, network, self._instant())
            user = await db.fetchrow(
                "SELECT id, password_hash, last_success_login_at, last_fail_login_at FROM users WHERE username = $1",
                name,
            )
            usable = user["password_hash"] if user is not None and right_database else None
            verified = await verify_password(usable, password)
            now = self._instant()
            async with db.transaction():
                if verified:
                    await lockout.forgive(db, name, network, now)
                    return await self._begin(db, user, name, now)
                await db.execute("UPDATE users SET last_fail_login_at = $2 WHERE username = $1", name, now)
        raise Unauthenticated

    async def _begin(self, db: Connection, user: Any, name: str, now: datetime) -> Issued:
        started = int(now.timestamp())
        family = new_family()
        pair = self._tokens.new_pair(user["id"], name, family, started, started + SESSION_SECONDS)
        await db.execute("UPDATE users SET last_success_login_at = $2 WHERE id = $1", user["id"], now)
        await db.execute("DELETE FROM token_families WHERE user_id = $1 AND ends_at < $2", user["id"], now)
        await db.execute(
            """INSERT INTO token_families (family, user_id, started_at, ends_at, refresh_jti, pair)
               VALUES ($1, $2, $3, $4, $5, $6)""",
            family, user["id"], now, datetime.fromtimestamp(pair.refresh.exp, UTC), pair.refresh.jti,
            msgspec.to_builtins(pair),
        )  # fmt: skip
        last_fail, last_success = (self._written(user[k]) for k in ("last_fail_login_at", "last_success_login_at"))
        issued = await self._issued(db, pair, last_fail, last_success)
        shows = await configuration.enabled(db, "show_previous_login_attempts_after_logging_in")
        return replace(issued, shows_previous=shows)

    async def refresh(self, access_token: str, refresh_token: str, csrf: str | None = None) -> Issued:
        """The session's next pair. The access token may have expired.

        `csrf` is given when the tokens came from cookies; Forbidden when it is not the session's.
        """
        access, old = self._tokens.read(access_token), self._tokens.read(refresh_token)
        if access.type != "access" or old.type != "refresh" or access.family != old.family or access.sub != old.sub:
            raise Unauthenticated
        if csrf is not None:
            require_csrf(csrf, old.csrf)
        async with self._database.transaction() as db:
            family = await _lock_family(db, old)
            issued = await self._rotate(db, family, old)
            if issued is not None:
                return issued
            await db.execute("UPDATE token_families SET revoked_at = $2 WHERE family = $1", old.family, self._instant())
        raise Revoked(old.sub, family["user_id"])

    async def _rotate(self, db: Connection, family: Any, old: Claims) -> Issued | None:
        """The next pair, the last one once more, or None: the token was used before."""
        now = self._instant()
        if family["revoked_at"] is not None or family["ends_at"] <= now:
            raise Revoked(old.sub, family["user_id"])
        if old.jti == family["refresh_jti"]:
            ends = int(family["ends_at"].timestamp())
            pair = self._tokens.new_pair(family["user_id"], old.sub, old.family, int(now.timestamp()), ends)
            await db.execute(
                """UPDATE token_families SET refresh_jti = $2, previous_jti = $3, rotated_at = $4, pair = $5
                   WHERE family = $1""",
                old.family, pair.refresh.jti, old.jti, now, msgspec.to_builtins(pair),
            )  # fmt: skip
            return await self._issued(db, pair)
        rotated = family["rotated_at"]
        if old.jti != family["previous_jti"] or rotated is None or (now - rotated).total_seconds() > GRACE_SECONDS:
            return None
        await db.execute("UPDATE token_families SET rotated_at = NULL WHERE family = $1", old.family)
        return await self._issued(db, msgspec.convert(family["pair"], Pair))

    async def logout(self, token: str, csrf: str, address: str) -> Principal:
        """End the session of a live access or refresh token; who it was. Forbidden for a wrong CSRF token."""
        claims = self._tokens.read(token)
        now = self._instant()
        async with self._database.transaction() as db:
            found = await find_principal(db, claims.family, claims.sub, address, now)
            if found is None or (claims.type == "access" and claims.exp <= now.timestamp()):
                raise Unauthenticated
            principal, alive = found
            if not alive:
                raise Revoked(principal.name, principal.user_id)
            require_csrf(csrf, claims.csrf)
            await db.execute(
                "UPDATE token_families SET revoked_at = $2 WHERE family = $1 AND revoked_at IS NULL", claims.family, now
            )
        return principal

    async def authenticate(self, token: str, address: str) -> tuple[Principal, str]:
        """Who a live access token belongs to, with the roles of this moment, and the CSRF token that must come with it."""
        claims = self._tokens.read(token)
        if claims.type != "access" or not claims.nbf <= self._now() + 1 or claims.exp <= self._now():
            raise Unauthenticated
        async with self._database.connection() as db:
            found = await find_principal(db, claims.family, claims.sub, address, self._instant())
        if found is None:
            raise Unauthenticated
        principal, alive = found
        if not alive:
            raise Revoked(principal.name, principal.user_id)
        return principal, claims.csrf

    async def identify(self, token: str, address: str) -> Principal:
        """Who a token of either kind stands for at this moment."""
        if token.startswith(api_tokens.TOKEN_PREFIX):
            return await self.authenticate_token(token, address)
        return (await self.authenticate(token, address))[0]

    async def authenticate_token(self, text: str, address: str) -> Principal:
        """Who an API token stands for, with what is left of its rights now; Unauthenticated, Revoked once expired."""
        now = self._instant()
        async with self._database.connection() as db:
            found = await api_tokens.find(db, text, address, now)
        if found is None:
            raise Unauthenticated
        principal, alive = found
        if not alive:
            raise Revoked(principal.name, principal.user_id)
        return principal

    async def _issued(self, db: Connection, pair: Pair, fail: str | None = None, success: str | None = None) -> Issued:
        roles = await roles_of(db, pair.access.family)
        return Issued(
            self._tokens.sign(pair.access),
            self._tokens.sign(pair.refresh),
            pair.access.csrf,
            pair.access.sub,
            [role.value for role in Role if role in roles],
            fail,
            success,
        )

    def _instant(self) -> datetime:
        return datetime.fromtimestamp(self._now(), UTC)

    def _written(self, instant: datetime | None) -> str | None:
        """An instant as the guide's login answer has it: the server's clock, microseconds, no zone."""
        if instant is None:
            return None
        return instant.astimezone(self._zone).replace(tzinfo=None).isoformat(timespec="microseconds")


def require_csrf(given: str, wanted: str) -> None:
    """Forbidden unless the CSRF token is the session's; the time taken does not tell where they differ."""
    if not hmac.compare_digest(given.encode(), wanted.encode()):
        raise Forbidden("The X-CSRF-TOKEN header does not hold the CSRF token of this session.")


async def _lock_family(db: Connection, claims: Claims) -> Any:
    """The session's row, locked; Unauthenticated when there is none of this user."""
    family = await db.fetchrow(
        """SELECT f.* FROM token_families f JOIN users u ON u.id = f.user_id
           WHERE f.family = $1 AND u.username = $2 FOR UPDATE OF f""",
        claims.family, claims.sub,
    )  # fmt: skip
    if family is None:
        raise Unauthenticated
    return family


async def revoke_sessions(db: Connection, user_id: int) -> None:
    """End every session of a user: a password or a role has changed, or the user is gone."""
    await db.execute("UPDATE token_families SET revoked_at = now() WHERE user_id = $1 AND revoked_at IS NULL", user_id)
