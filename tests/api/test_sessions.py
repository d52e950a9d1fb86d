"""Sessions: cookies, the CSRF token, refresh, logout, revocation."""

from __future__ import annotations

import asyncio
from typing import Any

import jwt
import pytest

from rubackup.domain.permissions import Role
from rubackup.services.auth import Sessions, revoke_sessions
from rubackup.services.tokens import Tokens
from support.api import Api
from support.sessions import Clock, bearer, claims, refresh


def test_cookies_carry_a_session(api: Api) -> None:
    """A browser sends the cookies and, in a header, the CSRF token."""
    pair = api.login("rubackup")
    browser = api.another()
    browser.headers = {"Cookie": f"access_token_cookie={pair['access_token']}"}

    assert browser.get("/crypto").status_code == 403
    assert browser.get("/crypto", headers={"X-CSRF-TOKEN": pair["csrf_token"]}).status_code == 200


@pytest.mark.parametrize("csrf", ["", "0497040f-ac65-a0a0-1e900959bdef", "é"])
def test_every_method_needs_the_csrf_token(api: Api, csrf: str) -> None:
    """Reads too, says the guide; the refusal is on record."""
    answer = api.get("/crypto", headers={"X-CSRF-TOKEN": csrf.encode()})

    assert answer.status_code == 403
    assert "X-CSRF-TOKEN" in api.fetch("SELECT outcome FROM audit ORDER BY id DESC LIMIT 1")[0]["outcome"]


@pytest.mark.parametrize("scheme", ["none", "HS512"])
def test_other_algorithms_are_refused(api: Api, scheme: str) -> None:
    """A token signed in another way is no token."""
    payload = claims(api.headers["Authorization"].split()[1])
    forged = jwt.encode(payload, None if scheme == "none" else "k" * 64, algorithm=scheme)

    assert api.get("/crypto", headers={"Authorization": f"Bearer {forged}"}).status_code == 401


@pytest.mark.parametrize("value", ["", "Bearer", "Bearer x", "Basic eDp5", "Bearer a.b.c", "Bearer " + "x" * 5000])
def test_broken_authorization_is_401(api: Api, value: str) -> None:
    """No form of the header makes a 500."""
    assert api.get("/crypto", headers={"Authorization": value}).status_code == 401


def test_access_ends_after_15_minutes(api: Api, clock: Clock) -> None:
    """An expired access token is a 401, and still good for a refresh."""
    pair = api.login("rubackup")
    clock.ahead = 901

    assert api.get("/crypto").status_code == 401
    assert refresh(api, pair).status_code == 200


def test_refresh_tokens_open_nothing(api: Api) -> None:
    """A refresh token is no access token."""
    pair = api.login("rubackup")

    assert api.get("/crypto", headers={"Authorization": f"Bearer {pair['refresh_token']}"}).status_code == 401


def test_refresh_rotates_and_keeps_the_sessions_end(api: Api, clock: Clock) -> None:
    """The new pair is another one of the same family, and ends when the first would have."""
    old = api.login("rubackup")
    clock.ahead = 39
    new = refresh(api, old).json()["data"]

    assert new.keys() == {
        "access_token", "csrf_token", "refresh_token", "role", "rubackup_server_address", "user_name",
    }  # fmt: skip
    before, after = claims(old["refresh_token"]), claims(new["refresh_token"])
    assert (after["exp"], after["family"]) == (before["exp"], before["family"])
    assert after["jti"] != before["jti"]
    assert api.get("/crypto", headers={"Authorization": f"Bearer {new['access_token']}"}).status_code == 200


def test_a_lost_answer_is_given_once_more(api: Api, clock: Clock) -> None:
    """Within 30 s the predecessor gets the very same successor, once."""
    old = api.login("rubackup")
    first = refresh(api, old).json()["data"]
    clock.ahead = 15  # half of it: the calls take time, too

    assert refresh(api, old).json()["data"] == first
    assert refresh(api, first).status_code == 200


def test_two_tabs_get_the_same_pair(api: Api) -> None:
    """Refreshing at the same moment is no theft."""
    old = api.login("rubackup")
    headers = bearer(old["access_token"], old["refresh_token"])

    async def scenario() -> list[Any]:
        calls = (api.send("POST", "/auth/refresh", headers=headers) for _ in range(2))
        return [answer.json()["data"] for answer in await asyncio.gather(*calls)]

    one, two = api.run(scenario())
    assert one == two
    assert refresh(api, one).status_code == 200


@pytest.mark.parametrize(("uses", "wait"), [(1, 31), (2, 0)])
def test_reuse_ends_the_session(api: Api, clock: Clock, uses: int, wait: float) -> None:
    """Later, or a second time, it was stolen: the whole family is revoked, and that is on record."""
    old = api.login("rubackup")
    answers = [refresh(api, old) for _ in range(uses)]
    clock.ahead = wait

    assert refresh(api, old).status_code == 401
    assert refresh(api, answers[0].json()["data"]).status_code == 401
    assert api.get("/crypto").status_code == 401
    assert api.fetch("SELECT outcome FROM audit WHERE path LIKE '%refresh' AND outcome LIKE 'refused:%'")


def test_a_session_ends_after_24_hours(api: Api, clock: Clock) -> None:
    """No refresh prolongs it."""
    old = api.login("rubackup")
    clock.ahead = 86400 - 300
    new = refresh(api, old).json()["data"]
    clock.ahead = 86401

    assert claims(new["access_token"])["exp"] == claims(old["refresh_token"])["exp"]
    assert refresh(api, new).status_code == 401


def test_refresh_needs_tokens_of_one_session(api: Api) -> None:
    """Both headers, each of its kind, both of one family."""
    one, two = api.login("rubackup"), api.login("rubackup")
    mixed = bearer(one["access_token"], two["refresh_token"])
    swapped = bearer(one["refresh_token"], one["access_token"])
    alone = {"Authorization": f"Bearer {one['refresh_token']}"}

    for headers in (mixed, swapped, alone, {}):
        assert api.another().post("/auth/refresh", headers=headers).status_code == 401


def test_refresh_by_cookie_needs_the_csrf_token(api: Api) -> None:
    """By headers it does not, as the guide's curl sends none."""
    pair = api.login("rubackup")
    cookies = f"access_token_cookie={pair['access_token']}; refresh_token_cookie={pair['refresh_token']}"
    browser = api.another()
    browser.headers = {"Cookie": cookies}

    assert browser.post("/auth/refresh").status_code == 403
    answer = browser.post("/auth/refresh", headers={"X-CSRF-TOKEN": pair["csrf_token"]})
    assert answer.status_code == 200
    assert len(answer.headers.get_list("set-cookie")) == 2


@pytest.mark.parametrize("kind", ["access_token", "refresh_token"])
def test_logout_revokes_both_tokens(api: Api, kind: str) -> None:
    """Either token ends the session; the cookies are taken back."""
    pair = api.login("rubackup")
    answer = api.delete("/auth/logout", headers={"Authorization": f"Bearer {pair[kind]}"})

    assert answer.json() == {
        "data": {}, "errors": {}, "is_error": False, "message": "Authentication data has been revoked",
    }  # fmt: skip
    assert all("Max-Age=0" in c for c in answer.headers.get_list("set-cookie"))
    assert api.get("/crypto").status_code == 401
    assert refresh(api, pair).status_code == 401
    assert api.delete("/auth/logout").status_code == 401


def test_logout_needs_the_csrf_token(api: Api) -> None:
    """No foreign page can end a session."""
    assert api.delete("/auth/logout", headers={"X-CSRF-TOKEN": "x"}).status_code == 403
    assert api.get("/crypto").status_code == 200


def test_logout_ends_one_session_only(api: Api) -> None:
    """Another login of the same user goes on."""
    other = api.another()
    other.login("rubackup")
    api.delete("/auth/logout")

    assert other.get("/crypto").status_code == 200


def test_revoking_a_user_ends_every_session(api: Api) -> None:
    """A changed password or role takes effect at once."""
    anna = api.user("anna")
    (row,) = api.fetch("SELECT id FROM users WHERE username = 'anna'")

    async def revoke() -> None:
        async with api.database.transaction() as db:
            await revoke_sessions(db, row["id"])

    api.run(revoke())
    assert anna.get("/crypto").status_code == 401
    assert api.get("/crypto").status_code == 200


def test_roles_are_read_for_each_call(api: Api) -> None:
    """A role that is taken away is gone with the next call, whatever the token was issued for."""
    olga = api.user("olga", Role.AUDITOR)
    before = olga.get("/widgets").status_code
    api.execute("DELETE FROM auditors")

    assert (before, olga.get("/widgets").status_code) == (200, 403)


def test_a_deleted_user_is_gone_at_once(api: Api) -> None:
    """With the user go the sessions."""
    anna = api.user("anna")
    api.execute("DELETE FROM users WHERE username = 'anna'")

    assert anna.get("/crypto").status_code == 401


def test_tokens_of_another_run_are_void(api: Api) -> None:
    """After a restart with a fresh secret everybody logs in again."""
    kernel = api.app.kernel
    object.__setattr__(kernel, "sessions", Sessions(api.database, Tokens(b"another secret, also of 32 bytes")))

    assert api.get("/crypto").status_code == 401


def test_401_comes_before_403(api: Api) -> None:
    """Without a session nobody learns whether the CSRF token would have been right."""
    assert api.another().get("/crypto", headers={"X-CSRF-TOKEN": "x"}).status_code == 401
