"""Logging in as the guide shows it, and what an attacker gets."""

from __future__ import annotations

import asyncio
import re
from datetime import UTC, datetime
from typing import Any

import jwt
import pytest

from rubackup.domain.errors import TooManyAttempts
from rubackup.services import lockout
from rubackup.services.tokens import Tokens
from support.api import HOST, PASSWORD, SECRET, Api
from support.sessions import GUIDE, Clock, claims, refresh, try_login


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
    assert 1500 <= int(blocked.headers["retry-after"]) <= 1801
    assert try_login(api).status_code == 200


def test_attempts_at_once_are_limited_too(api: Api, slept: list[float], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of 31 wrong passwords at once five are looked at, the others are told to wait."""
    statuses = at_once(api, 31, "wrong", monkeypatch)

    assert sorted(statuses) == [401] * 5 + [429] * 26
    assert try_login(api).status_code == 429


def test_right_passwords_at_once_block_nobody(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve scripts that log in at the same moment all get in."""
    assert at_once(api, 12, PASSWORD, monkeypatch) == [200] * 12


def at_once(api: Api, count: int, password: str, monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The statuses of logins of which none is looked at before all have passed the door."""
    sessions, let_in, all_in = api.app.kernel.sessions, [], asyncio.Event()
    login = sessions._login

    async def delay_seconds(*_given: Any) -> float:
        let_in.append(1)
        if len(let_in) == count:
            all_in.set()
        return 0.0

    async def after_all(*given: Any) -> Any:
        await asyncio.wait_for(all_in.wait(), 300)
        return await login(*given)

    monkeypatch.setattr(lockout, "delay_seconds", delay_seconds)
    monkeypatch.setattr(sessions, "_login", after_all)
    body = GUIDE | {"rubackup_database": api.database.address.database, "password": password}

    async def work() -> list[int]:
        answers = await asyncio.gather(*(api.another().send("POST", "/auth/login", json=body) for _ in range(count)))
        return [answer.status_code for answer in answers]

    return api.run(work())


def test_a_block_is_never_shortened(api: Api, slept: list[float], clock: Clock) -> None:
    """An attempt that was let in before the block finds it in force, and leaves it as it is."""
    for _ in range(5):
        try_login(api, password="wrong")
    before = api.fetch("SELECT * FROM login_failures")

    async def late() -> None:
        async with api.database.connection() as db:
            await lockout.reserve(db, "rubackup", before[0]["network"], datetime.now(UTC))

    with pytest.raises(TooManyAttempts):
        api.run(late())
    assert api.fetch("SELECT * FROM login_failures") == before


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

    assert 60 <= int(try_login(api).headers["retry-after"]) <= 121


def test_logins_and_failures_are_audited(api: Api, slept: list[float]) -> None:
    """Who tried, from where, with what outcome; never the password."""
    try_login(api, password="my wrong secret")

    rows = api.fetch(
        "SELECT user_name, address, outcome, after FROM audit WHERE path = '/api/v1/auth/login' ORDER BY id"
    )
    assert [(r["user_name"], r["address"], r["outcome"]) for r in rows] == [
        ("rubackup", "192.0.2.7", "done"), ("rubackup", "192.0.2.7", "refused: login"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("body", "name", "status", "outcome"),
    [
        ([1], "", 400, "refused: invalid"), ({"rubackup_user": "anna"}, "anna", 400, "refused: invalid"),
        ({"rubackup_user": "x" * 999}, "x" * 256, 400, "refused: invalid"),
        (" " * 20_000, "", 413, "refused: too large"),
    ],
)  # fmt: skip
def test_a_login_that_cannot_be_read_is_audited(api: Api, body: Any, name: str, status: int, outcome: str) -> None:
    """Whoever tries with a body of another form leaves a trace as well."""
    assert api.another().post("/auth/login", body).status_code == status

    row = api.fetch("SELECT user_name, address, outcome FROM audit ORDER BY id DESC LIMIT 1")[0]
    assert tuple(row) == (name, "192.0.2.7", outcome)


def test_a_blocked_login_is_audited(api: Api, slept: list[float]) -> None:
    """Who is told to wait stands in the audit."""
    for _ in range(6):
        try_login(api, rubackup_user="nobody", password="wrong")

    rows = api.fetch("SELECT outcome FROM audit WHERE user_name = 'nobody' ORDER BY id")
    assert [row["outcome"] for row in rows] == ["refused: login"] * 5 + ["refused: too many attempts"]


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


def test_a_login_tells_the_last_ones_only_where_it_is_configured_so(api: Api) -> None:
    """Without `show_previous_login_attempts_after_logging_in` the two fields are not in the answer."""
    two = {"last_fail_login", "last_success_login"}
    assert two <= try_login(api).json()["data"].keys()
    api.execute("INSERT INTO global_configuration VALUES ('show_previous_login_attempts_after_logging_in', '\"no\"')")

    data = try_login(api).json()["data"]

    assert not two & data.keys()
    assert data["access_token"]
