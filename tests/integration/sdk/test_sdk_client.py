"""The API's client for Python, against an API of a few routes: sessions, shared files of tokens, answers that got lost."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rubackup.sdk import BadAnswer, Client, FileStore, LoggedOut, Misused, Refused, Unreachable, condition, events
from rubackup.sdk import client as client_module
from rubackup.sdk.caller import rows
from support.small_api import SmallApi, certificates


@pytest.fixture
def store(tmp_path: Path) -> FileStore:
    """A file for tokens in a folder that is not there yet."""
    return FileStore(tmp_path / "kept" / "session.json")


@pytest.fixture
def client(api: SmallApi, store: FileStore, tmp_path: Path) -> Iterator[Client]:
    """A client that has logged in."""
    with Client(api.url, ca_file=tmp_path / "root", store=store) as client:
        client.login("rubackup", "right")
        yield client


def test_tokens_lie_in_a_file_that_is_its_owners_alone(client: Client, store: FileStore):
    """Whatever the umask says."""
    mask = os.umask(0)
    try:
        client.login("rubackup", "right")
    finally:
        os.umask(mask)

    assert stat.S_IMODE(store.file.stat().st_mode) == 0o600
    assert [file.name for file in store.file.parent.iterdir()] == ["session.json"]


def test_a_file_that_others_can_read_is_refused(client: Client, store: FileStore):
    """Its tokens may be known to somebody else."""
    store.file.chmod(0o640)

    with pytest.raises(Misused, match="can be read by others: chmod go="):
        client.call("GET", "/rows")


def test_a_session_shows_no_token():
    """In no log and no traceback."""
    from rubackup.sdk import Session

    assert "secret" not in repr(Session("https://x", None, "anna", "secret-a", "secret-r", "secret-c"))


def test_another_program_goes_on_with_the_session(client: Client, store: FileStore):
    """It needs no password, address or certificate."""
    with Client.from_store(store) as other:
        assert [row["id"] for row in rows(other, "/rows")] == [1, 2, 3, 4, 5]


def test_of_two_programs_one_renews_the_tokens(api: SmallApi, client: Client, store: FileStore):
    """A refresh token is good once: the other takes what the first one got."""
    api.issued += 1  # the access token has run out

    def read(_: int) -> int:
        with Client.from_store(store) as mine:
            return len(list(rows(mine, "/rows")))

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(read, range(4))) == [5] * 4
    assert api.calls.count("/api/v1/auth/refresh") == 1


def test_a_session_that_is_over_is_forgotten(api: SmallApi, client: Client, store: FileStore):
    """The next call says that nobody is logged in."""
    api.issued += 1
    api.refreshable = False

    with pytest.raises(LoggedOut):
        client.call("GET", "/rows")
    assert store.load() is None


def test_a_logout_ends_the_session_on_both_sides(api: SmallApi, client: Client, store: FileStore):
    """The API revokes it, the file goes."""
    client.logout()

    assert "/api/v1/auth/logout" in api.calls
    with pytest.raises(LoggedOut):
        Client.from_store(store)


def test_a_lost_answer_is_asked_for_again_under_its_key(api: SmallApi, client: Client):
    """So that a thing is made once, however often the call was sent."""
    api.cut = 1

    answer = client.call("POST", "/rows", body={}, repeatable=True)

    assert (answer.status, list(api.made.values())) == (201, [2])


def test_a_call_without_a_key_is_not_sent_twice(api: SmallApi, client: Client):
    """It might be done twice."""
    api.cut = 1

    with pytest.raises(Unreachable) as caught:
        client.call("POST", "/rows", body={})

    assert (caught.value.lost, api.made) == (True, {"none": 1})


def test_an_answer_tells_what_was_made(client: Client):
    """The row, its version, and the tasks."""
    answer = client.call("POST", "/rows", body={}, repeatable=True)

    assert (answer.row_id, answer.etag, answer.tasks) == (42, '"one"', [7, 8])


def test_a_refusal_names_fields_and_how_long_to_wait(client: Client):
    """What the API says is what the caller gets."""
    with pytest.raises(Refused) as caught:
        client.call("POST", "/rows", body={}, headers={"Idempotency-Key": "taken"})

    told = caught.value
    assert (told.status, told.errors, told.retry_after) == (409, {"data.name": "is taken."}, 7)


def test_what_is_no_api_is_told(client: Client):
    """Not a traceback of a parser."""
    with pytest.raises(BadAnswer, match="not from this API"):
        client.call("GET", "/garbage")


def test_half_a_file_is_not_taken_for_a_whole_one(client: Client):
    """A connection that breaks off is an error."""
    with client.repository.file(1, path="/x") as stream:
        got = stream.read(64) + stream.read(64)
        with pytest.raises(Unreachable, match="100 bytes before the end"):
            stream.read(64)

    assert got == b"x" * 100


def test_an_api_of_another_root_gets_no_password(api: SmallApi, tmp_path: Path):
    """There is no way not to verify it."""
    other = tmp_path / "other"
    other.mkdir()
    certificates(other)

    with (
        Client(api.url, ca_file=other / "root") as stranger,
        pytest.raises(Unreachable, match="certificate verify failed"),
    ):
        stranger.login("rubackup", "right")
    assert api.calls == []


@pytest.mark.parametrize(
    "url", ["http://x", "https://", "https://a:b@x", "https://x/other", "https://x:port", "x:5656"]
)
def test_an_address_is_one_of_an_api(url: str):
    """Nothing is sent in clear, and no secret stands in an address."""
    with pytest.raises(Misused):
        Client(url)


def test_a_root_certificate_is_one(tmp_path: Path):
    """A file that is none is told by its name."""
    (tmp_path / "empty").write_text("")

    for name in ("empty", "missing"):
        with pytest.raises(Misused, match=name):
            Client("https://x", ca_file=tmp_path / name)


def test_a_condition_is_escaped():
    """A name cannot become another condition."""
    assert condition("name", "=", 'a"b\\c') == 'name="a\\"b\\\\c"'


def test_many_threads_share_a_client(api: SmallApi, tmp_path: Path):
    """Each call gets its own answer, and one of them renews the tokens for all."""
    with Client(api.url, ca_file=tmp_path / "root") as client, ThreadPoolExecutor(8) as pool:
        client.login("rubackup", "right")
        api.issued += 1  # the access token has run out

        found = list(pool.map(lambda _: [row["id"] for row in rows(client, "/rows")], range(40)))

        assert found == [[1, 2, 3, 4, 5]] * 40
        assert api.calls.count("/api/v1/auth/refresh") == 1
        assert len(client._connection._idle) <= 8


@pytest.mark.parametrize(("status", "wait"), [(503, ""), (503, "0"), (429, "0")])
def test_a_busy_api_is_asked_again(
    api: SmallApi, client: Client, status: int, wait: str, monkeypatch: pytest.MonkeyPatch
):
    """After as long as it says, else after a pause that grows."""
    monkeypatch.setattr(client_module, "FIRST_PAUSE_SECONDS", 0.01)
    api.busy = [(status, wait)] * 3

    assert client.call("GET", "/rows").data["items"]
    assert client.call("POST", "/rows", body={}, repeatable=True).status == 201
    assert api.busy == []


def test_patience_is_bounded(api: SmallApi, client: Client, store: FileStore):
    """A wait that is longer than it is not begun; none at all is a choice."""
    api.busy = [(503, "3600"), (503, "0")]

    with pytest.raises(Refused) as caught:
        client.call("GET", "/rows")
    assert (caught.value.status, caught.value.retry_after) == (503, 3600)
    with Client.from_store(store, patience_seconds=0) as hasty, pytest.raises(Refused):
        hasty.call("GET", "/rows")
    assert api.busy == []


def test_what_may_have_been_done_is_not_done_again(api: SmallApi, client: Client):
    """A 503 may come after the deed, so that without a key it is the caller's to decide; a 429 comes before it."""
    api.busy = [(503, "0")]
    with pytest.raises(Refused):
        client.call("POST", "/rows", body={})

    api.busy = [(429, "0")]
    assert client.call("POST", "/rows", body={}).status == 201
    assert api.made == {"none": 1}


def test_events_are_followed_over_streams_that_end(api: SmallApi, client: Client, monkeypatch: pytest.MonkeyPatch):
    """None is lost, none comes twice, and where a silent stream was is remembered, too."""
    monkeypatch.setattr(events, "PAUSE_SECONDS", 0.01)
    following = client.follow()

    found = [next(following).data["row_id"] for _ in range(5)]
    following.close()

    assert found == [11, 12, 13, 14, 15]
    assert api.seen_events == ["", "12", "14"]
    once = client.follow(after="20", reconnect=False)
    assert [event.id for event in once] == ["21", "22"]


def test_a_download_is_there_only_when_it_is_whole(client: Client, tmp_path: Path):
    """Half a file is not taken for a whole one, and what was there stays."""
    target = tmp_path / "kept" / "file"
    target.write_text("before")

    with client.repository.file(1, path="/x") as stream, pytest.raises(Unreachable):
        stream.save(target, replace=True)

    assert target.read_text() == "before"
    assert sorted(file.name for file in target.parent.iterdir()) == ["file", "session.json"]
