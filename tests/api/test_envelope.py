"""Every answer has the envelope, and errors say what to do about them."""

from __future__ import annotations

import logging

import pytest

from support.api import PASSWORD, Api
from support.widgets import fill


def test_unknown_path_is_404(api: Api) -> None:
    """A path that does not exist is a 404 in the envelope."""
    answer = api.get("/nothing/here")

    assert answer.status_code == 404
    assert answer.json()["is_error"]


def test_a_null_byte_in_a_path_is_404(api: Api) -> None:
    """Not even a place for words takes it."""
    assert api.delete("/widgets/a%00b").status_code == 404


def test_wrong_method_names_the_right_ones(api: Api) -> None:
    """A wrong method is a 405 whose Allow lists the others."""
    answer = api.request("PUT", "/widgets/1")

    assert answer.status_code == 405
    assert answer.headers["allow"] == "DELETE, GET, PATCH"


def test_trailing_slash_is_accepted(api: Api) -> None:
    """The guide's curl writes one where its table has none."""
    assert api.get("/widgets/").json() == api.get("/widgets").json()


def test_head_is_get_without_a_body(api: Api) -> None:
    """HEAD is answered where GET is."""
    assert api.request("HEAD", "/widgets").status_code == 200


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b'"\xff"', "application/json", 400),
        (b'"\\ud800"', "application/json", 400),
        (b"[" * 200_000, "application/json", 400),
        (b'{"data": {"name": "a\\u0000b"}}', "application/json", 400),
        (b'{"data": {"name": 1e999}}', "application/json", 400),
        (b'{"data": {"name": "a", "size": 99999999999999999999}}', "application/json", 400),
        (b"[]", "application/json", 400),
        (b"", "application/json", 400),
        (b'{"data": {"name": "a"}}', "text/plain", 415),
        (b'{"data": {"name": "a"}}', "application/json; charset=latin1", 415),
        (b" " * (5 << 20), "application/json", 413),
    ],
)  # fmt: skip
def test_bad_bodies_are_refused(api: Api, content: bytes, kind: str, status: int) -> None:
    """No body makes a 500: it is named as what it is."""
    answer = api.request("POST", "/widgets", content=content, headers={"Content-Type": kind})

    assert answer.status_code == status, answer.text
    assert api.fetch("SELECT 1 FROM widgets") == []


def test_every_wrong_field_is_told_at_once(api: Api) -> None:
    """Unknown, missing and wrong keys are gathered under their dotted names."""
    answer = api.post("/widgets", {"data": {"size": -1, "color": "red"}, "extra": 1})
    inner = api.post("/widgets", {"data": {"size": -1, "color": "red"}})

    assert answer.json()["errors"].keys() == {"extra"}
    assert inner.json()["errors"].keys() == {"data.size", "data.color", "data.name"}


@pytest.mark.parametrize(
    ("content", "names"),
    [
        (b'{"data": {"name": "a", "size": 1, "name": "b"}}', {"name"}),
        (b'{"data": {"name": "a"}, "data": {"name": "b"}}', {"data"}),
        (b'{"data": {"name": "a", "n\\u0061me": "b"}}', {"name"}),
    ],
)
def test_a_key_that_is_given_twice_is_named(api: Api, content: bytes, names: set[str]) -> None:
    """Which of two values was meant is not guessed."""
    answer = api.request("POST", "/widgets", content=content, headers={"Content-Type": "application/json"})

    assert (answer.status_code, answer.json()["errors"].keys()) == (400, names)
    assert api.fetch("SELECT 1 FROM widgets") == []


def test_a_flood_of_doubled_keys_gets_a_small_answer(api: Api) -> None:
    """The hundred first are told, and looking for them takes no longer than reading."""
    content = b"{" + b",".join(b'"%d":1' % (n % 1000) for n in range(400_000)) + b"}"

    answer = api.request("POST", "/widgets", content=content, headers={"Content-Type": "application/json"})

    assert (answer.status_code, len(answer.json()["errors"])) == (400, 100)


def test_list_bodies_name_the_item(api: Api) -> None:
    """In a list body the number of the item stands in the name."""
    answer = api.patch("/widgets", {"data": [{"name": "a"}, {"name": ""}, {}]})

    assert answer.json()["errors"].keys() == {"data.1.name", "data.2.name"}


def test_a_flood_of_wrong_keys_gets_a_small_answer(api: Api) -> None:
    """The hundred first errors are told, long names cut."""
    body = {"data": {f"{n}{'x' * 500}": 1 for n in range(2000)}}

    answer = api.post("/widgets", body)

    assert answer.status_code == 400
    assert len(answer.json()["errors"]) == 100
    assert len(answer.content) < 100_000


@pytest.mark.parametrize("host", ["[", "a b", "", "x:y:z", "[::1]:5656"])
def test_no_host_header_makes_a_500(api: Api, host: str) -> None:
    """What names us wrongly gets no cookies, and nothing else changes."""
    body = {"rubackup_database": api.database.address.database, "rubackup_user": "rubackup", "password": PASSWORD}

    assert api.get("/widgets", headers={"Host": host}).status_code == 200
    answer = api.another().post("/auth/login", body, headers={"Host": host})
    assert (answer.status_code, "set-cookie" in answer.headers) == (200, False)


def test_own_faults_hide_their_cause(api: Api, caplog: pytest.LogCaptureFixture) -> None:
    """A 500 gives a reference that stands in the log once, with the cause; nothing is changed."""
    fill(api, 2)

    with caplog.at_level(logging.ERROR, "rubackup.api"):
        answer = api.post("/widgets/fail")

    assert answer.status_code == 500
    assert "secret" not in answer.text
    (record,) = caplog.records
    assert record.args is not None
    assert str(record.args[2]) in answer.json()["message"]
    assert [r["active"] for r in api.fetch("SELECT active FROM widgets ORDER BY id")] == [True, False]


def test_service_errors_keep_their_fields(api: Api) -> None:
    """What a service refuses arrives as a 400 with its fields."""
    answer = api.post("/widgets/refuse")

    assert answer.status_code == 400
    assert answer.json()["errors"] == {"data.widget": "is not wanted."}


def test_own_origin_alone_gets_cors_headers(api: Api) -> None:
    """The headers of the guide's samples go to our own pages only."""
    own = api.get("/widgets", headers={"Origin": "https://api.rubackup.local:5656"})
    other = api.get("/widgets", headers={"Origin": "https://evil.example"})

    assert own.headers["access-control-allow-origin"] == "https://api.rubackup.local:5656"
    assert own.headers["access-control-allow-credentials"] == "true"
    assert "access-control-allow-origin" not in other.headers
    assert other.headers["vary"] == "Origin"


def test_answers_cannot_be_framed_or_sniffed(api: Api) -> None:
    """Each answer carries the security headers."""
    answer = api.get("/widgets")

    assert answer.headers["x-content-type-options"] == "nosniff"
    assert "frame-ancestors 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"


def test_health_needs_no_login(api: Api) -> None:
    """/healthz answers anybody."""
    assert api.another().get("//healthz").json()["data"] == {"status": "ok"}
    assert api.another().get("//healthz/").json()["data"] == {"status": "ok"}


@pytest.mark.parametrize("path", ["//healthz", "//healthz/", "//"])
@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_health_and_root_are_read_only(api: Api, path: str, method: str) -> None:
    """Any other method is a 405 that names GET."""
    answer = api.another().request(method, path)

    assert (answer.status_code, answer.headers["allow"]) == (405, "GET")
    assert api.another().request("HEAD", path).status_code in {200, 302}
