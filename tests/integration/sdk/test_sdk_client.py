"""The API's client for Python, against an API of a few routes: sessions, shared files of tokens, answers that got lost."""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from rubackup.sdk import BadAnswer, Client, FileStore, LoggedOut, Misused, Refused, Unreachable, condition
from rubackup.sdk.caller import rows
from support.small_api import SmallApi, certificates, small_api


@pytest.fixture
def api(tmp_path: Path) -> Iterator[SmallApi]:
    """A running API whose root is `tmp_path/root`."""
    with small_api(tmp_path) as server:
        yield server


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
