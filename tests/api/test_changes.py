"""Changes: answers, scope, audit, conditions, replays."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from rubackup.domain.permissions import Role
from support.api import Api
from support.catalogue import waiting_for_locks
from support.widgets import fill

FORM = "application/x-www-form-urlencoded"


def audits(api: Api) -> list[dict[str, Any]]:
    """Audit rows of widgets, oldest first."""
    return [dict(r) for r in api.fetch("SELECT * FROM audit WHERE resource = 'widgets' ORDER BY id")]


def test_create_says_what_and_where(api: Api) -> None:
    """201, an empty `data`, the guide's sentence, and a Location that can be read."""
    answer = api.post("/widgets", {"data": {"name": "one"}})

    assert answer.status_code == 201
    assert answer.json()["data"] == {}
    assert answer.json()["message"] == "Resource with name 'Widgets' was created successfully!"
    assert api.get(answer.headers["location"].removeprefix("/api/v1")).json()["data"]["name"] == "one"


def test_create_names_its_tasks(api: Api) -> None:
    """The message ends with the numbers of the new tasks."""
    answer = api.post("/widgets", {"data": {"name": "one", "tasks": 2}})

    assert answer.json()["message"].endswith("was created successfully! TASK WAS ADDED TO QUEUE:70,71")


def test_create_is_audited_with_the_row(api: Api) -> None:
    """Who, whence, what and the new row; nothing before."""
    api.post("/widgets", {"data": {"name": "one"}})

    (row,) = audits(api)
    assert (row["user_name"], row["address"], row["method"], row["path"]) == (
        "rubackup", "192.0.2.7", "POST", "/api/v1/widgets",
    )  # fmt: skip
    assert (row["outcome"], row["before"], row["after"]["name"]) == ("done", None, "one")


def test_secrets_are_stars_in_the_audit(api: Api) -> None:
    """What was asked is told without them."""
    api.post("/widgets/secret", {"data": {"name": "one", "password": "top secret"}})

    (row,) = audits(api)
    assert row["after"]["password"] == "*****"
    assert "top secret" not in str(row)


def test_a_taken_name_is_409(api: Api) -> None:
    """What the catalogue refuses as double is a conflict, and leaves no audit of a change."""
    api.post("/widgets", {"data": {"name": "one"}})

    assert api.post("/widgets", {"data": {"name": "one"}}).status_code == 409
    assert len(audits(api)) == 1


def test_update_changes_only_what_is_given(api: Api) -> None:
    """Absent is left alone, null is null, an instant without zone is the server's."""
    row = fill(api, 2)[1]

    assert api.patch(f"/widgets/{row}", {"data": {"made_at": None}}).status_code == 200
    after = api.get(f"/widgets/{row}").json()["data"]

    assert (after["name"], after["made_at"]) == ("w1", None)
    assert [a["before"]["made_at"] is None for a in audits(api)] == [False]
    assert [a["after"]["made_at"] for a in audits(api)] == [None]


def test_if_match_guards_against_lost_updates(api: Api) -> None:
    """A change under an old ETag is a 412; under the present one it goes through."""
    (row,) = fill(api, 1)
    tag = api.get(f"/widgets/{row}").headers["etag"]
    api.patch(f"/widgets/{row}", {"data": {"name": "new"}})

    late = api.patch(f"/widgets/{row}", {"data": {"name": "late"}}, headers={"If-Match": tag})
    fresh = {"If-Match": api.get(f"/widgets/{row}").headers["etag"]}

    assert late.status_code == 412
    assert api.delete(f"/widgets/{row}", headers=fresh).status_code == 200


def test_bulk_delete_is_all_or_nothing(api: Api) -> None:
    """One missing id keeps every row, and the answer names the missing ones."""
    rows = fill(api, 3)

    answer = api.delete("/widgets", {"ids": [rows[0], 987654, rows[1], 987655]})

    assert answer.status_code == 404
    assert "987654, 987655" in answer.json()["message"]
    assert api.get("/widgets").json()["data"]["total"] == 3


def test_bulk_delete_takes_each_id_once(api: Api) -> None:
    """Doubled ids are one; what went is in the audit."""
    rows = fill(api, 3)

    assert api.delete("/widgets", {"ids": [rows[0], rows[1], rows[0]]}).status_code == 200
    assert [w["name"] for w in audits(api)[0]["before"]] == ["w0", "w1"]
    assert api.get("/widgets").json()["data"]["total"] == 1


def test_empty_ids_are_refused(api: Api) -> None:
    """A bulk delete of nothing is a mistake of the caller."""
    for body in ({"ids": []}, {"ids": ["1"]}, {"ids": [0]}, {}, {"ids": [1], "data": {}}):
        assert api.delete("/widgets", body).status_code == 400


def test_a_huge_id_is_just_not_there(api: Api) -> None:
    """Numbers beyond 64 bits are a 404 in a path and a 400 in a body."""
    assert api.get(f"/widgets/{10**30}").status_code == 404
    assert api.delete(f"/widgets/{2**63}").status_code == 404
    assert api.delete("/widgets", {"ids": [2**63]}).status_code == 400


def test_out_of_scope_is_404_and_audited(api: Api) -> None:
    """The service is never called for a foreign row; that somebody tried is on record."""
    (foreign,) = fill(api, 1)
    anna = api.user("anna", Role.ADMINISTRATOR)

    answers = [
        anna.patch(f"/widgets/{foreign}", {"data": {"name": "x"}}),
        anna.delete(f"/widgets/{foreign}"),
        anna.delete("/widgets", {"ids": [foreign]}),
        anna.post(f"/widgets/{foreign}/polish"),
    ]

    assert [a.status_code for a in answers] == [404] * 4
    assert {a["outcome"] for a in audits(api)} == {"refused: out of scope"}
    assert [r["name"] for r in api.fetch("SELECT name FROM widgets")] == ["w0"]


def test_a_missing_permission_is_403_and_audited(api: Api) -> None:
    """A role that lacks the verb is told which permission it would need."""
    auditor = api.user("olga", Role.AUDITOR)

    answer = auditor.post("/widgets", {"data": {"name": "x"}})

    assert answer.status_code == 403
    assert [(a["user_name"], a["outcome"][:8]) for a in audits(api)] == [("olga", "refused:")]


def test_actions_run_under_the_same_rules(api: Api) -> None:
    """An action on one row changes, answers and is audited with the row before it."""
    row = fill(api, 2)[1]

    answer = api.post(f"/widgets/{row}/polish")

    assert answer.json()["message"] == f"Widget {row} shines."
    assert audits(api)[0]["before"]["active"] is False
    assert api.post("/widgets/4711/polish").status_code == 404


def test_words_and_ids_share_a_place(api: Api) -> None:
    """`DELETE widgets/{id}` takes digits, `DELETE widgets/{status}` all else."""
    (row,) = fill(api, 1)

    assert api.delete("/widgets/Done").json()["message"] == "word Done"
    assert api.delete(f"/widgets/{row}").json()["message"].startswith("Resource with name 'Widgets' was deleted")


def test_queries_are_checked_like_bodies(api: Api) -> None:
    """A declared query is typed; every wrong parameter is named."""
    good = api.get("/widgets/echo?word=a&times=3&loud=yes&many=1&many=2").json()["data"]["items"]
    bad = api.get("/widgets/echo?times=9&loud=maybe&word=a&word=b&what=1")

    assert good == [{"word": "a", "times": 3, "loud": True, "many": [1, 2]}]
    assert bad.json()["errors"].keys() == {"times", "loud", "word", "what"}


def test_what_hosts_say_meets_the_catalogue_again(api: Api) -> None:
    """An action that asked hosts without holding a connection gets one to go on with their answer."""
    assert api.get("/widgets/relay").json()["data"]["items"][0]["word"] == "42"


def test_a_replayed_call_is_done_once(api: Api) -> None:
    """Under one Idempotency-Key the second call gets the first answer and changes nothing."""
    key = {"Idempotency-Key": "k1"}
    first = api.post("/widgets", {"data": {"name": "one"}}, headers=key)
    second = api.post("/widgets/", {"data": {"name": "one"}}, headers=key)

    assert (second.status_code, second.content) == (first.status_code, first.content)
    assert second.headers["location"] == first.headers["location"]
    assert len(audits(api)) == 1


def test_a_key_belongs_to_one_body_and_one_user(api: Api) -> None:
    """Another body under the key is a 409; another user's key is another key."""
    key = {"Idempotency-Key": "k1"}
    api.post("/widgets", {"data": {"name": "one"}}, headers=key)
    boss = api.user("boss", Role.SUPERVISOR)

    assert api.post("/widgets", {"data": {"name": "two"}}, headers=key).status_code == 409
    assert boss.post("/widgets", {"data": {"name": "two"}}, headers=key).status_code == 201


def test_a_call_with_a_secret_is_never_replayed(api: Api) -> None:
    """Each is done under the same key too, and nothing of it is stored."""
    key = {"Idempotency-Key": "k1"}
    for name in ("one", "two"):
        body = {"data": {"name": name, "password": f"secret of {name}"}}
        assert api.post("/widgets/secret", body, headers=key).status_code == 201

    assert [row["name"] for row in api.fetch("SELECT name FROM widgets ORDER BY id")] == ["one", "two"]
    assert api.fetch("SELECT 1 FROM idempotency_keys") == []


def test_a_failed_call_frees_its_key(api: Api) -> None:
    """Only effects are stored: after an error the key can be used again."""
    key = {"Idempotency-Key": "k1"}

    assert api.post("/widgets/refuse", headers=key).status_code == 400
    assert api.post("/widgets/refuse", headers=key).status_code == 400
    assert api.fetch("SELECT 1 FROM idempotency_keys") == []


def test_a_call_that_still_runs_holds_its_key(api: Api) -> None:
    """A second call under the key is a 409 as long as the first is not through; then it is the first's answer."""
    (row,) = fill(api, 1)
    key = {"Idempotency-Key": "k1"}

    async def scenario() -> list[int]:
        async with api.database.transaction() as db:
            await db.execute("SELECT 1 FROM widgets FOR UPDATE")
            first = asyncio.create_task(api.send("POST", f"/widgets/{row}/polish", headers=key))
            await waiting_for_locks(db, 1)
            second = await api.send("POST", f"/widgets/{row}/polish", headers=key)
        third = await first, await api.send("POST", f"/widgets/{row}/polish", headers=key)
        return [second.status_code, *(answer.status_code for answer in third)]

    assert api.run(scenario()) == [409, 200, 200]
    assert len(audits(api)) == 1


def test_two_editors_of_one_row_wait_for_each_other(api: Api) -> None:
    """Of two changes under the same ETag only the first is done."""
    (row,) = fill(api, 1)
    tag = {"If-Match": api.get(f"/widgets/{row}").headers["etag"]}

    async def scenario() -> set[int]:
        calls = [
            api.send("PATCH", f"/widgets/{row}", json={"data": {"name": name}}, headers=tag) for name in ("a", "b", "c")
        ]
        return {answer.status_code for answer in await asyncio.gather(*calls)}

    assert api.run(scenario()) == {200, 412}
    assert len(audits(api)) == 1


@pytest.mark.parametrize("body", [b"", b" ", b"{}", b'{"data": {}}'])
def test_a_call_without_a_body_takes_one_that_says_nothing(api: Api, body: bytes) -> None:
    """As `curl -d ''` sends it, whatever its content type."""
    (row,) = fill(api, 1)

    answer = api.request("POST", f"/widgets/{row}/polish", content=body, headers={"Content-Type": FORM})

    assert answer.status_code == 200, answer.text


@pytest.mark.parametrize("body", [b"[]", b"null", b"0", b'{"a": 1}', b'{"data": {"a": 1}}', b"not JSON", b"\xff"])
def test_a_call_without_a_body_swallows_none(api: Api, body: bytes) -> None:
    """What it asks for would not be done: 400 names the body, and nothing is changed."""
    (row,) = fill(api, 1)

    answer = api.request("POST", f"/widgets/{row}/polish", content=body, headers={"Content-Type": FORM})

    assert answer.status_code == 400
    assert answer.json()["errors"].keys() == {"body"}
    assert not audits(api)


@pytest.mark.parametrize("tag", ["", " ", ",", "abc", '"a', '"a" "b"', '*, "a"', 'w/"a"'])
def test_an_if_match_that_is_none_is_refused(api: Api, tag: str) -> None:
    """RFC 9110 knows `*` and entity tags: a condition that nobody can judge is not passed over."""
    (row,) = fill(api, 1)

    answer = api.patch(f"/widgets/{row}", {"data": {"name": "x"}}, headers={"If-Match": tag})

    assert answer.status_code == 400
    assert answer.json()["errors"].keys() == {"If-Match"}
    assert not audits(api)


def test_an_if_match_may_list_tags(api: Api) -> None:
    """One of them must be the row's; a weak one never is."""
    (row,) = fill(api, 1)
    tag, body = api.get(f"/widgets/{row}").headers["etag"], {"data": {"name": "x"}}

    assert api.patch(f"/widgets/{row}", body, headers={"If-Match": f"W/{tag}"}).status_code == 412
    assert api.patch(f"/widgets/{row}", body, headers={"If-Match": f'"a,b" ,{tag}'}).status_code == 200
    assert api.patch(f"/widgets/{row}", body, headers={"If-Match": "*"}).status_code == 200


@pytest.mark.parametrize("method", ["GET", "DELETE"])
@pytest.mark.parametrize("number", ["99999999999999999999", "9" * 5000])
def test_an_id_beyond_all_is_told_as_it_was_asked(api: Api, method: str, number: str) -> None:
    """404 that names it, as far as it can be read."""
    answer = api.request(method, f"/widgets/{number}")

    assert answer.status_code == 404
    assert answer.json()["message"] == f"Resource with name 'Widgets' was not found: {number[:100]}."
