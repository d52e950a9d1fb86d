"""Login, refresh and logout as the guide shows them, answer key by answer key."""

from __future__ import annotations

import logging
from typing import Annotated, Any

import msgspec
from starlette.requests import Request
from starlette.responses import Response

from rubackup import __version__
from rubackup.api.access import (
    ACCESS_COOKIE,
    CSRF_HEADER,
    REFRESH_COOKIE,
    bearer,
    drop_cookies,
    set_cookies,
    source_address,
)
from rubackup.api.envelope import success
from rubackup.api.kernel import Kernel
from rubackup.api.requests import read_json
from rubackup.api.validate import build
from rubackup.domain.errors import Busy, CallerError, TooManyAttempts, Unauthenticated
from rubackup.domain.permissions import Principal
from rubackup.services.auth import Issued, Revoked
from rubackup.services.change import write_audit

incidents = logging.getLogger("rb_access")
"""The guide's log of who got in and who did not."""

MAX_LOGIN_BYTES = 16 << 10
"""Nobody is known yet, so nobody may make us read much."""
MAX_NAME = 256


_REASONS: dict[type[CallerError], str] = {Unauthenticated: "credentials", TooManyAttempts: "blocked"}


class Login(msgspec.Struct):
    """Who logs in."""

    rubackup_database: Annotated[str, msgspec.Meta(description="Name of the service database.", max_length=128)]
    rubackup_user: Annotated[str, msgspec.Meta(description="Name of the user.", max_length=MAX_NAME)]
    password: Annotated[str, msgspec.Meta(description="Password of the user.", max_length=1024)]


class Refreshed(msgspec.Struct, kw_only=True):
    """A new pair of tokens."""

    access_token: Annotated[str, msgspec.Meta(description="Goes into Authorization: Bearer; lives 15 minutes.")]
    csrf_token: Annotated[str, msgspec.Meta(description="Goes into X-CSRF-TOKEN of every call.")]
    refresh_token: Annotated[str, msgspec.Meta(description="Gets the next pair; lives until 24 hours after login.")]
    role: Annotated[list[str], msgspec.Meta(description="Roles of the user.")]
    rubackup_server_address: Annotated[str, msgspec.Meta(description="Address of the RuBackup server.")]
    user_name: Annotated[str, msgspec.Meta(description="Name of the user.")]


class LoggedIn(Refreshed, kw_only=True):
    """A new session."""

    last_fail_login: (
        Annotated[
            str,
            msgspec.Meta(description="When a login of this user failed last, on the server's clock, where it is told."),
        ]
        | msgspec.UnsetType
        | None
    ) = msgspec.UNSET
    last_success_login: (
        Annotated[
            str, msgspec.Meta(description="When this user logged in before, on the server's clock, where it is told.")
        ]
        | msgspec.UnsetType
        | None
    ) = msgspec.UNSET
    package_version: Annotated[str, msgspec.Meta(description="Version of the software.")]


async def login(kernel: Kernel, request: Request) -> Response:
    """POST /auth/login."""
    address = source_address(request)
    who = Principal(0, "", address=address)
    try:
        body = await read_json(request, MAX_LOGIN_BYTES) or {}
        who = Principal(0, _name_in(body), address=address)
        asked = build(Login, body, "")
        issued = await kernel.sessions.login(asked.rubackup_database, asked.rubackup_user, asked.password, address)
    except Busy:
        kernel.metrics.login_failed("busy")
        raise
    except CallerError as error:
        why = "login" if isinstance(error, Unauthenticated) else error.code.replace("_", " ")
        kernel.metrics.login_failed(_REASONS.get(type(error), "invalid"))
        await _note(kernel, request, who, f"refused: {why}")
        raise
    await _note(kernel, request, who, "done")
    answer = success(
        LoggedIn(
            last_fail_login=issued.last_fail_login if issued.shows_previous else msgspec.UNSET,
            last_success_login=issued.last_success_login if issued.shows_previous else msgspec.UNSET,
            package_version=__version__,
            **_pair(kernel, issued),
        )
    )
    set_cookies(answer, request, kernel.address, issued)
    return answer


def _name_in(body: Any) -> str:
    """The name in a body that may be anything, for the audit."""
    name = body.get("rubackup_user") if isinstance(body, dict) else ""
    return name[:MAX_NAME] if isinstance(name, str) else ""


def _pair(kernel: Kernel, issued: Issued) -> dict[str, Any]:
    return {
        "access_token": issued.access_token,
        "csrf_token": issued.csrf_token,
        "refresh_token": issued.refresh_token,
        "role": issued.roles,
        "rubackup_server_address": kernel.server_address,
        "user_name": issued.name,
    }


async def refresh(kernel: Kernel, request: Request) -> Response:
    """POST /auth/refresh: both tokens from headers, or both from cookies together with X-CSRF-TOKEN."""
    access, old = bearer(request, "authorization-access-token"), bearer(request)
    csrf: str | None = None
    if access is None and old is None:
        access, old = request.cookies.get(ACCESS_COOKIE), request.cookies.get(REFRESH_COOKIE)
        csrf = request.headers.get(CSRF_HEADER, "")
    if not access or not old:
        raise Unauthenticated
    try:
        issued = await kernel.sessions.refresh(access, old, csrf)
    except Revoked as error:
        who = Principal(error.user_id, error.name, address=source_address(request))
        await _note(kernel, request, who, "refused: the session is over, or the refresh token was used before")
        raise
    answer = success(Refreshed(**_pair(kernel, issued)))
    set_cookies(answer, request, kernel.address, issued)
    return answer


async def logout(kernel: Kernel, request: Request) -> Response:
    """DELETE /auth/logout: the access or the refresh token, by header or by cookie."""
    token = bearer(request) or request.cookies.get(ACCESS_COOKIE) or request.cookies.get(REFRESH_COOKIE)
    if not token:
        raise Unauthenticated
    csrf = request.headers.get(CSRF_HEADER, "")
    who = await kernel.sessions.logout(token, csrf, source_address(request))
    await _note(kernel, request, who, "done")
    answer = success({}, "Authentication data has been revoked")
    drop_cookies(answer, request, kernel.address)
    return answer


async def _note(kernel: Kernel, request: Request, who: Principal, outcome: str) -> None:
    """The audit row, and the line of the access log; a name is what a stranger typed, so it cannot break the line."""
    level = logging.INFO if outcome == "done" else logging.WARNING
    verb = request.scope["path"].rstrip("/").rpartition("/")[2]
    incidents.log(level, "%s of %s from %s: %s", verb, ascii(who.name), who.address, outcome)
    async with kernel.database.transaction() as db:
        await write_audit(db, who, method=request.method, path=request.scope["path"], resource="auth", outcome=outcome)
