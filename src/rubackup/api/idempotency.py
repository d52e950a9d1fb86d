"""`Idempotency-Key`: a mutating call that is repeated under its key gets the first answer again.

The answer is stored in the effect's own transaction, so it is there exactly when the effect
is. Scope: user, method, path. Another body under the key, or a call still running: 409.
Calls whose body may hold a secret are neither stored nor replayed: `Route.replayable`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
from starlette.responses import Response

from rubackup.api.kernel import Asked
from rubackup.domain.errors import Conflict, Invalid
from rubackup.services.change import Change

KEPT_HOURS = 24
MAX_KEY = 255


class Replay(Exception):
    """The call was done before: `answer` is what was said then. Raised to leave the transaction without a trace."""

    def __init__(self, answer: Response) -> None:
        self.answer = answer
        super().__init__("answered before")


async def once(change: Change, asked: Asked, body: Any, work: Callable[[], Awaitable[Response]]) -> Response:
    """The answer of `work`; Replay when the key's call was done before, Conflict when it was another or still runs."""
    key = asked.request.headers.get("idempotency-key", "")
    if not key or not asked.route.replayable:
        return await work()
    if len(key) > MAX_KEY or not key.isprintable():
        raise Invalid(fields={"Idempotency-Key": f"must have 1 to {MAX_KEY} printable characters."})
    told = msgspec.json.encode([body, asked.request.scope["query_string"]], order="sorted")
    digest = hashlib.sha256(told).hexdigest()
    if change.principal.token_id:  # another token of the user, or the user, has keys of its own
        key = f"{change.principal.token_id}\x1f{key}"
    scope = (change.principal.user_id, asked.method, asked.path.rstrip("/"), key)
    await _refuse_other(change, scope, digest)
    answer = await work()
    await change.db.execute(
        """INSERT INTO idempotency_keys (user_id, method, path, key, body_hash, status, body, location)
           VALUES ($1, $2, $3, $4, $5, $6, $7, $8)""",
        *scope, digest, answer.status_code, bytes(answer.body), answer.headers.get("location", ""),
    )  # fmt: skip
    return answer


async def _refuse_other(change: Change, scope: tuple[int, str, str, str], digest: str) -> None:
    locked = await change.db.fetchval(
        "SELECT pg_try_advisory_xact_lock(hashtextextended($1, 0))", "idempotency:" + "\x1f".join(map(str, scope))
    )
    if not locked:
        raise Conflict("A call with this Idempotency-Key is still running.")
    await change.db.execute(
        f"DELETE FROM idempotency_keys WHERE created_at < now() - interval '{KEPT_HOURS} hours'"  # noqa: S608 - constant
    )
    found = await change.db.fetchrow(
        """SELECT body_hash, status, body, location FROM idempotency_keys
           WHERE user_id = $1 AND method = $2 AND path = $3 AND key = $4""",
        *scope,
    )
    if found is None:
        return
    if found["body_hash"] != digest:
        raise Conflict("This Idempotency-Key was used with another body.")
    headers = {"location": found["location"]} if found["location"] else None
    raise Replay(Response(found["body"], found["status"], headers, "application/json"))
