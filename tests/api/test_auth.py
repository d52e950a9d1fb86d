"""Sessions as the guide shows them, and what an attacker gets."""

from __future__ import annotations

import re
from typing import Any

import httpx
import jwt
import pytest

from rubackup.domain.permissions import Role
from rubackup.services.auth import Sessions, revoke_sessions
from rubackup.services.tokens import Tokens
from support.api import HOST, PASSWORD, SECRET, Api

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


@pytest.fixture
def slept(api: Api, monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The delays that logins were given, instead of waiting for them."""
    delays: list[float] = []

    async def sleep(seconds: float) -> None:
        delays.append(seconds)

    monkeypatch.setattr(api.app.kernel.sessions, "_sleep", sleep)
    return delays


class Clock:
    """A clock that the test moves."""

    def __init__(self, api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
        self.ahead = 0.0
        now = api.app.kernel.sessions._now
        monkeypatch.setattr(api.app.kernel.sessions, "_now", lambda: now() + self.ahead)


@pytest.fixture
def clock(api: Api, monkeypatch: pytest.MonkeyPatch) -> Clock:
    """The clock of the API's sessions."""
    return Clock(api, monkeypatch)


def test_login_answers_exactly_the_guides_keys(api: Api) -> None:
    """Nine keys, roles as a list, times without a zone."""
    data = try_login(api).json()["data"]

    assert data.keys() == {
        "access_token", "csrf_token", "last_fail_login", "last_success_login", "package_version",
        "refresh_token", "role", "rubackup_server_address", "user_name",
    }  # fmt: skip
    assert (data["role"], data["user_name"], data["package_version"]) == (["superuser"], "rubackup", "2.0.0")
    assert data["rubackup_server_address"] == "10.0.0.1"
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{6}", data["last_success_login"])


def test_login_tells_of_the_logins_before(api: Api, slept: list[float]) -> None:
    """The times are those before this login; a failure shows at the next one."""
    first = try_login(api).json()["data"]
    try_login(api, password="wrong")
    second = try_login(api).json()["data"]

    assert first["last_fail_login"] is None
    assert second["last_fail_login"] > first["last_success_login"]
    assert second["last_success_login"] > first["last_success_login"]


def test_tokens_carry_the_guides_claims(api: Api) -> None:
    """HS256, 15 minutes and 24 hours, the CSRF token in both, one family of 16 letters."""
    pair = api.login("rubackup")
    access, renewal = claims(pair["access_token"]), claims(pair["refresh_token"])

    assert list(access) == ["fresh", "iat", "jti", "type", "sub", "nbf", "csrf", "exp", "family"]
    assert (access["exp"] - access["nbf"], renewal["exp"] - renewal["nbf"]) == (900, 86400)
    assert (access["type"], renewal["type"], access["fresh"]) == ("access", "refresh", False)
    assert access["csrf"] == renewal["csrf"] == pair["csrf_token"]
    assert access["family"] == renewal["family"]
    assert re.fullmatch("[a-z]{16}", access["family"])
    assert jwt.get_unverified_header(pair["access_token"])["alg"] == "HS256"


def test_csrf_token_stays_the_same_until_a_restart(api: Api) -> None:
    """The same over logins and refreshes of one user, another for another user or secret."""
    first, second = api.login("rubackup"), api.login("rubackup")
    anna = api.user("anna")

    assert first["csrf_token"] == second["csrf_token"] == refresh(api, second).json()["data"]["csrf_token"]
    assert anna.headers["X-CSRF-TOKEN"] != first["csrf_token"]
    assert Tokens(b"x" * 32).csrf_token(1, "rubackup") != Tokens(SECRET).csrf_token(1, "rubackup")


@pytest.mark.parametrize(
    "changed", [{"password": "wrong"}, {"rubackup_user": "nobody"}, {"rubackup_database": "other"}, {"password": ""}]
)
def test_every_failure_is_the_same(api: Api, slept: list[float], changed: dict[str, str]) -> None:
    """Neither the body nor the headers tell what was wrong."""
    answer = try_login(api, **changed)

    assert answer.status_code == 401
    assert answer.json() == {"data": {}, "errors": {}, "is_error": True, "message": "Verification failed"}
    assert "set-cookie" not in answer.headers


def test_unknown_users_cost_a_hash_too(api: Api, slept: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """One Argon2 verification is done whatever is wrong: the time does not tell either."""
    from rubackup.services import passwords

    hashes: list[str] = []
    verify = passwords._verify
    monkeypatch.setattr(passwords, "_verify", lambda h, p: hashes.append(h) or verify(h, p))
    try_login(api, rubackup_user="nobody")
    try_login(api, password="wrong")

    assert [h.split("$")[1:4] for h in hashes] == [["argon2id", "v=19", "m=19456,t=2,p=1"]] * 2


def test_too_many_failures_block_the_pair(api: Api, slept: list[float], clock: Clock) -> None:
    """Five failures block name and network for 30 minutes, right password or not; then it is over."""
    failed = [try_login(api, password="wrong").status_code for _ in range(5)]
    blocked = try_login(api)
    clock.ahead = 1801

    assert failed == [401] * 5
    assert blocked.status_code == 429
    assert 1790 <= int(blocked.headers["retry-after"]) <= 1801
    assert try_login(api).status_code == 200


def test_unknown_names_are_blocked_alike(api: Api, slept: list[float]) -> None:
    """Whether a name exists cannot be told from the lockout."""
    statuses = [try_login(api, rubackup_user="nobody").status_code for _ in range(6)]

    assert statuses == [401] * 5 + [429]


def test_a_name_alone_is_only_slowed_down(api: Api, slept: list[float]) -> None:
    """From another network the superuser still gets in, after 5 s at most."""
    api.execute(
        """INSERT INTO login_failures (name, network, failures, blocked_until)
           SELECT 'rubackup', '10.0.' || g || '.0/24', 5, now() + interval '1 hour' FROM generate_series(1, 20) g"""
    )

    assert try_login(api).status_code == 200
    assert slept == [5.0]


def test_the_configuration_sets_the_lockout(api: Api, slept: list[float]) -> None:
    """`wrong_auth_attempts_count` and `wrong_auth_block_period` act on what starts afterwards."""
    api.execute(
        """INSERT INTO global_configuration VALUES ('wrong_auth_attempts_count', '1'), ('wrong_auth_block_period', '2')
           ON CONFLICT (key) DO UPDATE SET value = excluded.value"""
    )
    try_login(api, password="wrong")

    assert 110 <= int(try_login(api).headers["retry-after"]) <= 121


def test_logins_and_failures_are_audited(api: Api, slept: list[float]) -> None:
    """Who tried, from where, with what outcome; never the password."""
    try_login(api, password="my wrong secret")

    rows = api.fetch(
        "SELECT user_name, address, outcome, after FROM audit WHERE path = '/api/v1/auth/login' ORDER BY id"
    )
    assert [(r["user_name"], r["address"], r["outcome"]) for r in rows] == [
        ("rubackup", "192.0.2.7", "done"), ("rubackup", "192.0.2.7", "refused: login"),
    ]  # fmt: skip


def test_cookies_are_set_for_our_own_name(api: Api) -> None:
    """Both tokens, HttpOnly, Secure, SameSite=Strict, for this host only, as long as the browser runs."""
    cookies = try_login(api).headers.get_list("set-cookie")

    assert [c.split("=")[0] for c in cookies] == ["refresh_token_cookie", "access_token_cookie"]
    for cookie in cookies:
        attributes = {a.strip().lower() for a in cookie.split(";")[1:]}
        assert attributes == {"httponly", "secure", "path=/", "samesite=strict"}


def test_no_cookies_under_another_name(api: Api) -> None:
    """The guide's warning: who calls by another name than APP_HOST has to use headers."""
    body = GUIDE | {"rubackup_database": api.database.address.database}
    answer = api.another().post("/auth/login", body, headers={"Host": "192.0.2.1:5656"})

    assert answer.status_code == 200
    assert "set-cookie" not in answer.headers
    assert try_login(api).headers.get_list("set-cookie")


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
    clock.ahead = 29

    assert refresh(api, old).json()["data"] == first
    assert refresh(api, first).status_code == 200


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
    clock.ahead = 86390
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


def test_login_body_is_checked(api: Api) -> None:
    """All three keys are asked for at once."""
    answer = api.another().post("/auth/login", {"rubackup_user": 5})

    assert answer.status_code == 400
    assert answer.json()["errors"].keys() == {"rubackup_database", "rubackup_user", "password"}


def test_own_host_is_compared_without_its_port(api: Api) -> None:
    """APP_HOST decides, whatever the port and case."""
    address = api.app.kernel.address

    assert address.is_own(HOST)
    assert address.is_own(f"{HOST.upper()}:1")
    assert not address.is_own(f"x{HOST}:5656")
