"""Logins and refreshes as the guide's curl lines send them."""

from __future__ import annotations

from typing import Any

import httpx
import jwt
import pytest

from support.api import PASSWORD, Api

GUIDE = {"rubackup_user": "rubackup", "password": PASSWORD}


def claims(token: str) -> dict[str, Any]:
    """The claims of a token, unverified."""
    found: dict[str, Any] = jwt.decode(token, options={"verify_signature": False})
    return found


def try_login(api: Api, **changed: str) -> httpx.Response:
    """A login with something changed, without touching the caller's tokens."""
    body = GUIDE | {"rubackup_database": api.database.address.database} | changed
    return api.another().post("/auth/login", body)


def bearer(access: str, refresh: str) -> dict[str, str]:
    """The guide's headers of a refresh."""
    return {"Authorization-Access-Token": f"Bearer {access}", "Authorization": f"Bearer {refresh}"}


def refresh(api: Api, pair: dict[str, Any]) -> httpx.Response:
    """A refresh with both headers and `-d ''`, as the guide's curl sends it."""
    headers = bearer(pair["access_token"], pair["refresh_token"])
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    return api.another().request("POST", "/auth/refresh", content=b"", headers=headers | kind)


class Clock:
    """A clock that the test moves."""

    def __init__(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        now = api.app.kernel.sessions._now
        monkeypatch.setattr(api.app.kernel.sessions, "_now", lambda: now() + self.ahead)
