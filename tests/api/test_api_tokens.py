"""API tokens: made once, narrower than their user, gone when revoked or expired."""

from __future__ import annotations

import datetime as dt
import hashlib
from typing import Any

import asyncpg
import pytest

from rubackup.domain.permissions import GRANTS, NOT_BY_TOKEN, Permission, Principal, Role
from rubackup.resources import RESOURCES
from rubackup.services.api_tokens import TOKEN_PREFIX
from support.api import Api
from support.fixtures import Stock


def make(owner: Api, **body: Any) -> dict[str, Any]:
    """A new token of this caller, as the answer tells it."""
    answer = owner.post("/tokens", {"data": {"name": "script"} | body})
    assert answer.status_code == 201, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def using(api: Api, made: dict[str, Any]) -> Api:
    """A caller with this token and nothing else."""
    caller = api.another()
    caller.headers = {"Authorization": f"Bearer {made['token']}"}
    return caller


def seen(caller: Api, path: str) -> set[int]:
    """Ids of a list."""
    answer = caller.get(path, params={"limit": 1000})
    assert answer.status_code == 200, answer.text
    return {row["id"] for row in answer.json()["data"]["items"]}


def errors(owner: Api, **body: Any) -> list[str]:
    """The fields that are wrong in a body."""
    answer = owner.post("/tokens", {"data": {"name": "script"} | body})
    assert answer.status_code == 400, answer.text
    return sorted(answer.json()["errors"])


def test_the_text_is_shown_once_and_kept_nowhere(office: Api) -> None:
    """The answer holds it; the list, the row, the audit and the catalogue do not: only its hash is kept."""
    made = make(office)
    row = office.get(f"/tokens/{made['id']}")

    assert made["token"].startswith(TOKEN_PREFIX)
    assert len(made["token"]) == len(TOKEN_PREFIX) + 43
    assert made["prefix"] == made["token"][:10]
    assert row.json()["data"] == {key: value for key, value in made.items() if key != "token"}
    (stored,) = office.fetch("SELECT * FROM api_tokens")
    assert stored["hash"] == hashlib.sha256(made["token"].encode()).digest()
    for text in (str(dict(stored)), row.text, str([dict(r) for r in office.fetch("SELECT * FROM audit")])):
        assert made["token"] not in text


def test_making_one_tells_where_it_is_and_is_never_replayed(office: Api) -> None:
    """Location leads to the row; the same Idempotency-Key makes a second attempt, as the answer holds a secret."""
    key = {"Idempotency-Key": "k"}
    first = office.post("/tokens", {"data": {"name": "a"}}, headers=key)
    second = office.post("/tokens", {"data": {"name": "a"}}, headers=key)

    assert office.get(first.headers["location"].removeprefix("/api/v1")).json()["data"]["name"] == "a"
    assert second.status_code == 409
    assert office.fetch("SELECT 1 FROM idempotency_keys") == []


def test_no_csrf_token_is_needed(office: Api) -> None:
    """The token alone lets in, to read and to change; as a cookie it does not."""
    caller = using(office, make(office))

    assert caller.get("/client_groups").status_code == 200
    assert caller.post("/client_groups", {"data": {"name": "by a token"}}).status_code == 201
    stranger = office.another()
    cookie = {"Cookie": "access_token_cookie=" + caller.headers["Authorization"].removeprefix("Bearer ")}
    assert stranger.get("/client_groups", headers=cookie).status_code == 401


def test_the_audit_names_the_token(office: Api) -> None:
    """Whose it was, and which; a call after a login has none."""
    using(office, make(office, name="nightly")).post("/client_groups", {"data": {"name": "a"}})
    office.post("/client_groups", {"data": {"name": "b"}})

    found = office.fetch("SELECT user_name, token_name FROM audit WHERE resource = 'client_groups' ORDER BY id")
    assert [tuple(row) for row in found] == [("rubackup", "nightly"), ("rubackup", "")]


def test_wrong_tokens_are_401(office: Api) -> None:
    """A letter changed, cut off, made up: all the same, whatever they look like."""
    text = make(office)["token"]
    other = "A" if text[-1] != "A" else "B"

    for wrong in (text[:-1] + other, text[:-1], text + "A", TOKEN_PREFIX, TOKEN_PREFIX + "A" * 43, text.upper()):
        caller = office.another()
        caller.headers = {"Authorization": f"Bearer {wrong}"}
        answer = caller.get("/client_groups")
        assert (answer.status_code, answer.json()["message"]) == (401, "Verification failed")


def test_an_expired_token_is_401_and_audited(office: Api) -> None:
    """Its time is over from one call to the next; the audit tells whose it was."""
    made = make(office, expires_at="2999-01-01T00:00:00+00:00")
    caller = using(office, made)
    assert caller.get("/client_groups").status_code == 200

    office.execute("UPDATE api_tokens SET created_at = now() - interval '2 days', expires_at = now() - interval '1 s'")

    assert caller.get("/client_groups").status_code == 401
    assert (
        office.fetch("SELECT user_name FROM audit WHERE outcome = 'refused: the session is over'")[0][0] == "rubackup"
    )


def test_a_token_ends_in_ninety_days_unless_told_otherwise(office: Api) -> None:
    """Left out: 90 days; null: never; the past is refused."""
    ninety = dt.datetime.fromisoformat(make(office, name="a")["expires_at"]) - dt.datetime.now(dt.UTC)

    assert abs(ninety - dt.timedelta(days=90)) < dt.timedelta(minutes=5)
    assert make(office, name="b", expires_at=None)["expires_at"] is None
    assert errors(office, expires_at="2001-01-01T00:00:00") == ["data.expires_at"]


def test_revoking_acts_at_once(office: Api) -> None:
    """By DELETE of one or of several."""
    first, second = make(office, name="a"), make(office, name="b")

    assert office.delete(f"/tokens/{first['id']}").status_code == 200
    assert office.delete("/tokens", {"ids": [second["id"]]}).status_code == 200
    assert [using(office, one).get("/client_groups").status_code for one in (first, second)] == [401, 401]


def test_a_deleted_users_tokens_are_gone(office: Api) -> None:
    """With the user goes every way in."""
    anna = office.user("anna", Role.ADMINISTRATOR)
    caller = using(office, make(anna))
    user = office.fetch("SELECT id FROM users WHERE username = 'anna'")[0]["id"]

    assert office.delete(f"/users/{user}").status_code == 200
    assert caller.get("/client_groups").status_code == 401
    assert office.fetch("SELECT 1 FROM api_tokens") == []


def test_everybody_sees_own_tokens_and_a_superuser_all(office: Api) -> None:
    """Another's token does not exist; the superuser may revoke it."""
    anna, boss = office.user("anna", Role.ADMINISTRATOR), office.user("boss", Role.SUPERVISOR)
    hers, his, root = make(anna)["id"], make(boss)["id"], make(office)["id"]

    assert [seen(caller, "/tokens") for caller in (anna, boss, office)] == [{hers}, {his}, {hers, his, root}]
    assert boss.delete(f"/tokens/{hers}").status_code == 404
    assert office.delete(f"/tokens/{hers}").status_code == 200


def test_names_are_unique_to_their_user(office: Api) -> None:
    """Two users may each have a token `script`; one user may not have two."""
    make(office)
    make(office.user("anna", Role.ADMINISTRATOR))

    assert office.post("/tokens", {"data": {"name": "script"}}).status_code == 409


def test_when_it_was_used_is_written_at_most_once_a_minute(office: Api) -> None:
    """Many calls are one write; the list shows it to the minute."""
    made = make(office)
    caller = using(office, made)
    assert made["last_used_at"] is None

    caller.get("/client_groups")
    first = office.get(f"/tokens/{made['id']}").json()["data"]["last_used_at"]
    caller.get("/client_groups")
    second = office.get(f"/tokens/{made['id']}").json()["data"]["last_used_at"]
    office.execute("UPDATE api_tokens SET last_used_at = now() - interval '61 s'")
    caller.get("/client_groups")

    assert first == second
    assert office.fetch("SELECT last_used_at > now() - interval '30 s' AS fresh FROM api_tokens")[0]["fresh"]


# --- rights ---


def test_no_token_decides_who_gets_in(office: Api) -> None:
    """Tokens, users, roles and passwords are the matter of people who logged in, whatever the token's roles."""
    caller = using(office, make(office))
    user = office.add_user("somebody")

    answers = [
        caller.post("/tokens", {"data": {"name": "another"}}),
        caller.get("/tokens"),
        caller.delete("/tokens", {"ids": [1]}),
        caller.patch("/users/change_password", {"new_password": "Another12345*"}),
        caller.patch(f"/users/{user}", {"data": {"new_password": "Another12345*"}}),
        caller.post("/supervisors", {"data": {"supervisor": user}}),
        caller.delete(f"/users/{user}"),
    ]
    assert [answer.status_code for answer in answers] == [403] * len(answers)
    assert "log in" in answers[0].json()["message"]
    assert caller.get("/users").status_code == 200
    assert caller.delete("/auth/logout").status_code == 401
    assert len(office.fetch("SELECT 1 FROM audit WHERE token_name = 'script' AND outcome LIKE 'refused:%'")) == 7


def test_a_token_may_what_its_roles_may(office: Api) -> None:
    """The permissions of its roles, without those that no token has."""
    for role in Role:
        token = Principal(1, "x", frozenset({role}), token_id=1)
        assert token.permissions == (GRANTS[role] | {Permission.READ_LOOKUPS}) - NOT_BY_TOKEN


def test_a_narrower_role_narrows_the_token(office: Api) -> None:
    """A supervisor's token with the role auditor reads everything and changes nothing."""
    boss = office.user("boss", Role.SUPERVISOR)
    caller = using(office, make(boss, roles=["auditor"]))

    assert caller.get("/client_groups").status_code == 200
    assert caller.post("/client_groups", {"data": {"name": "a"}}).status_code == 403
    assert boss.post("/client_groups", {"data": {"name": "a"}}).status_code == 201


def test_a_scope_narrows_the_token(office: Api, rows: Stock) -> None:
    """Of the own client groups and media servers it covers those that it names; the others do not exist for it."""
    one, two, foreign = rows.client_group(), rows.client_group(), rows.client_group()
    anna = rows.administrator(one, two)
    name = rows.named("client_groups", one, "name")
    narrow = make(anna, client_groups=[name], name="narrow")
    caller = using(office, narrow)

    assert (narrow["client_groups"], narrow["client_groups_ref"]) == ([name], [one])
    assert seen(anna, "/client_groups") == {one, two}
    assert seen(caller, "/client_groups") == {one}
    assert caller.get(f"/client_groups/{two}").status_code == 404
    assert seen(using(office, make(anna, client_groups=[], name="none")), "/client_groups") == set()
    assert errors(anna, client_groups=[foreign, one]) == ["data.client_groups.0"]


def test_a_superuser_gives_a_token_a_narrower_role_with_a_scope(office: Api, rows: Stock) -> None:
    """For a script of one group or one media server; without a scope such a role would cover nothing."""
    group, other, media = rows.client_group(), rows.client_group(), rows.media_server()
    pool, elsewhere = rows.pool(media=media), rows.pool()
    made = make(office, roles=["administrator", "maintainer"], client_groups=[group], media_servers=[media])
    maintaining = using(office, make(office, name="m", roles=["maintainer"], media_servers=[media]))
    caller = using(office, made)

    assert seen(caller, "/client_groups") == {group}
    assert caller.get(f"/client_groups/{other}").status_code == 404
    assert caller.get("/users").status_code == 403
    assert seen(maintaining, "/pool_list") == {pool}
    assert maintaining.get(f"/pool_list/{elsewhere}").status_code == 404
    assert errors(office, roles=["administrator"]) == ["data.client_groups"]


def test_a_role_that_covers_everything_cannot_be_narrowed(office: Api, rows: Stock) -> None:
    """It would promise a limit that does not hold; nor can a scope be given without its role."""
    group = rows.client_group()

    assert errors(office, roles=["superuser", "administrator"], client_groups=[group]) == ["data.client_groups"]
    assert errors(office, client_groups=[group]) == ["data.client_groups"]
    assert errors(office, roles=["auditor"], media_servers=[]) == ["data.media_servers"]
    assert errors(rows.administrator(group), strategies=[1]) == ["data.strategies", "data.strategies.0"]


def test_nobody_gives_away_what_he_has_not(office: Api, rows: Stock) -> None:
    """Roles of a token are own ones; each wrong one is named with those that may be given."""
    anna = rows.administrator(rows.client_group())
    answer = anna.post("/tokens", {"data": {"name": "x", "roles": ["superuser", "administrator", "auditor"]}})

    assert answer.status_code == 400
    assert answer.json()["errors"] == {f"data.roles.{n}": "must be one of: administrator." for n in (0, 2)}
    assert errors(office.user("boss", Role.SUPERVISOR), roles=["superuser"]) == ["data.roles.0"]
    assert errors(office, roles=["root"]) == ["data.roles.0"]


def test_rights_are_those_of_the_moment(office: Api, rows: Stock) -> None:
    """What the user loses the token loses at the next call; what the user gains the token does not get."""
    one, two = rows.client_group(), rows.client_group()
    anna = rows.administrator(one, two)
    caller = using(office, make(anna))
    user = rows.row("SELECT user_id FROM api_tokens")["user_id"]
    assert seen(caller, "/client_groups") == {one, two}

    office.execute("DELETE FROM administrators WHERE client_group_id = $1", two)
    assert seen(caller, "/client_groups") == {one}
    office.execute("INSERT INTO supervisors (user_id) VALUES ($1)", user)
    assert seen(caller, "/client_groups") == {one}
    assert caller.get("/users").status_code == 403
    office.execute("DELETE FROM supervisors")
    office.execute("DELETE FROM administrators")
    assert caller.get("/client_groups").status_code == 403
    assert caller.get("/crypto").status_code == 200


def test_a_demoted_superusers_token_is_demoted(office: Api, rows: Stock) -> None:
    """A narrower role that only a superuser could give goes with the superuser."""
    group = rows.client_group()
    caller = using(office, make(office, roles=["administrator"], client_groups=[group]))
    assert seen(caller, "/client_groups") == {group}

    office.execute("UPDATE users SET is_superuser = false")

    assert caller.get("/client_groups").status_code == 403


def test_keys_of_a_token_are_its_own(office: Api) -> None:
    """Under one Idempotency-Key the user and the token get their own answers, and the token its own again."""
    caller, key = using(office, make(office)), {"Idempotency-Key": "k"}

    assert office.post("/client_groups", {"data": {"name": "a"}}, headers=key).status_code == 201
    assert caller.post("/client_groups", {"data": {"name": "a"}}, headers=key).status_code == 409
    first = caller.post("/client_groups", {"data": {"name": "b"}}, headers=key)
    assert caller.post("/client_groups", {"data": {"name": "b"}}, headers=key).content == first.content


def test_a_user_has_a_limited_number_of_tokens(office: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has too many is told to revoke one."""
    monkeypatch.setattr("rubackup.services.api_tokens.MAX_TOKENS", 1)
    make(office)

    assert office.post("/tokens", {"data": {"name": "b"}}).status_code == 409


def test_the_catalogue_refuses_a_narrowed_role_that_covers_everything(office: Api) -> None:
    """Whatever the code does, such a row cannot be: the limit would be none."""
    with pytest.raises(asyncpg.CheckViolationError):
        office.execute(
            """INSERT INTO api_tokens (user_id, name, prefix, hash, roles, client_group_ids)
               VALUES (1, 'x', 'x', sha256('x'), '{superuser}', '{1}')"""
        )


def test_the_family_is_declared() -> None:
    """Rows of our own, beside those of the guide."""
    assert "tokens" in {resource.path for resource in RESOURCES}
