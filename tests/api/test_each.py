"""Calls that treat each id by itself: what can be done is done, and each id gets its result."""

from __future__ import annotations

from typing import Any

from rubackup.domain.permissions import Role
from support.api import Api
from support.widgets import fill


def active(api: Api) -> list[int]:
    """Widgets that shine."""
    return [row["id"] for row in api.fetch("SELECT id FROM widgets WHERE active ORDER BY id")]


def dull(api: Api, *names: str, owner: str = "rubackup") -> list[int]:
    """Widgets with these names that do not shine yet."""
    rows = fill(api, len(names), owner)
    for row, name in zip(rows, names, strict=True):
        api.execute("UPDATE widgets SET active = false, name = $2 WHERE id = $1", row, name)
    return rows


def audits(api: Api) -> list[dict[str, Any]]:
    """Audit rows of widgets."""
    return [dict(r) for r in api.fetch("SELECT * FROM audit WHERE resource = 'widgets' ORDER BY id")]


def test_when_all_went_well_the_status_is_the_declared_one(api: Api) -> None:
    """200 with a message, or 204 without a body."""
    rows = dull(api, "a", "b", "c")

    first = api.post("/widgets/shine", {"ids": [*rows[:2], rows[0]]})
    silent = api.delete("/widgets/shine", {"ids": rows[2:]})

    assert (first.status_code, first.json()["message"]) == (200, "Done: 2.")
    assert (silent.status_code, silent.content) == (204, b"")
    assert active(api) == rows


def test_when_only_some_went_well_each_id_has_its_result(api: Api) -> None:
    """207; what failed is undone alone, and one that is not there is a result too."""
    rows = dull(api, "a", "x", "b")

    answer = api.post("/widgets/shine", {"ids": [rows[1], 4711, *rows]})

    assert answer.status_code == 207
    assert answer.json()["data"]["items"] == [
        {"id": rows[1], "ok": False, "message": "x does not shine."},
        {"id": 4711, "ok": False, "message": "Resource with name 'Widgets' was not found: 4711."},
        {"id": rows[0], "ok": True, "message": "a shines."},
        {"id": rows[2], "ok": True, "message": "b shines."},
    ]
    assert active(api) == [rows[0], rows[2]]
    assert [a["row_ids"] for a in audits(api)] == [[rows[0], rows[2]]]


def test_when_none_exists_it_is_404(api: Api) -> None:
    """Nothing to do is nothing done; the missing are named."""
    for call in (api.post, api.delete):
        answer = call("/widgets/shine", {"ids": [4711, 4712]})
        assert answer.status_code == 404
        assert "4711, 4712" in answer.json()["message"]
    assert audits(api) == []


def test_when_none_could_be_done_it_is_409_with_the_reasons(api: Api) -> None:
    """An answer that says yes needs at least one that went well."""
    rows = dull(api, "x1", "x2")

    answer = api.post("/widgets/shine", {"ids": rows})

    assert answer.status_code == 409
    assert "x1 does not shine." in answer.json()["message"]
    assert "x2 does not shine." in answer.json()["message"]
    assert active(api) == []


def test_foreign_rows_do_not_exist_here_either(api: Api) -> None:
    """A row out of scope has the result of one that is not there, stays as it was, and the attempt is audited."""
    anna = api.user("anna", Role.ADMINISTRATOR)
    (own,) = dull(api, "own", owner="anna")
    (foreign,) = dull(api, "foreign")

    answer = anna.post("/widgets/shine", {"ids": [foreign, own]})

    assert answer.status_code == 207
    assert answer.json()["data"]["items"][0] == {
        "id": foreign, "ok": False, "message": f"Resource with name 'Widgets' was not found: {foreign}.",
    }  # fmt: skip
    assert anna.post("/widgets/shine", {"ids": [foreign]}).status_code == 404
    assert active(api) == [own]
    assert [a["row_ids"] for a in audits(api) if a["outcome"] == "refused: out of scope"] == [[foreign], [foreign]]


def test_a_partial_answer_is_replayed_as_it_was(api: Api) -> None:
    """Under one Idempotency-Key nothing is done twice, whatever the status was."""
    rows = dull(api, "a", "x")
    key = {"Idempotency-Key": "k"}

    first = api.post("/widgets/shine", {"ids": rows}, headers=key)
    again = api.post("/widgets/shine", {"ids": rows}, headers=key)

    assert (first.status_code, first.content) == (again.status_code, again.content)
    assert len(audits(api)) == 1
