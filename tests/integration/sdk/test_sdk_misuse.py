"""What a caller of the API's client may get wrong: it is told as the client's own error, and secrets are in none of them."""

from __future__ import annotations

import math
import os
import stat
import traceback
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest

from rubackup.sdk import BadAnswer, Client, FileStore, Misused, SdkError, Session, files
from rubackup.sdk.events import parsed
from support.small_api import SmallApi

TOKEN = "rbt_0123456789abcdef"


@pytest.fixture
def client(api: SmallApi, tmp_path: Path) -> Iterator[Client]:
    """A client that has logged in."""
    with Client(api.url, ca_file=tmp_path / "root") as client:
        client.login("rubackup", "right")
        yield client


@pytest.mark.parametrize(
    "token", [f"{TOKEN}\n", f"{TOKEN} ", f"{TOKEN}\r\nX-Other: 1", f"{TOKEN}ж", "", "\x00" + TOKEN]
)
def test_a_token_that_is_none_is_told_without_it(token: str) -> None:
    """Not even a traceback has it: it would stand in a log."""
    with pytest.raises(Misused, match="This is no token") as caught:
        Client.from_token("https://x", token)

    assert TOKEN not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize("ending", ["\n", "ж"])
def test_a_session_that_is_damaged_is_told_without_its_tokens(api: SmallApi, tmp_path: Path, ending: str) -> None:
    """A file of tokens may have been written by hand."""
    store = FileStore(tmp_path / "kept" / "session.json")
    store.save(Session(api.url, str(tmp_path / "root"), "anna", f"{TOKEN}{ending}", TOKEN, TOKEN))

    with Client.from_store(store) as client, pytest.raises(Misused, match="Authorization") as caught:
        client.call("GET", "/rows")

    assert TOKEN not in "".join(traceback.format_exception(caught.value))
    assert api.calls == []


@pytest.mark.parametrize(
    "url", ["https://anna:hidden@x", "https://anna:hid/den@x", "https://anna@x", "https://:hidden@x:port"]
)
def test_a_password_in_an_address_is_not_told(url: str) -> None:
    """It is refused without being shown."""
    with pytest.raises(Misused) as caught:
        Client(url)

    assert "hid" not in "".join(traceback.format_exception(caught.value))


@pytest.mark.parametrize(
    "url", ["https://a b", "https://a\x7fb", "https://a..b", f"https://{'a' * 64}", "https://a\u200bb c", "https://[x"]
)
def test_a_host_is_a_name(url: str) -> None:
    """Before anything is sent."""
    with pytest.raises(Misused, match="address"):
        Client(url)


@pytest.mark.parametrize("seconds", [0, -1, math.nan, math.inf, 1e9])
def test_a_timeout_is_above_nothing(seconds: float) -> None:
    """The system's own errors for it mean something else."""
    with pytest.raises(Misused, match="timeout_seconds"):
        Client("https://x", timeout_seconds=seconds)


@pytest.mark.parametrize("seconds", [-1, math.nan])
def test_patience_is_nothing_or_more(seconds: float) -> None:
    """For ever is allowed."""
    Client("https://x", patience_seconds=math.inf).close()
    with pytest.raises(Misused, match="patience_seconds"):
        Client("https://x", patience_seconds=seconds)


def test_no_root_certificate_has_such_a_name() -> None:
    """A byte 0 is in no name."""
    with pytest.raises(Misused, match="root certificate"):
        Client("https://x", ca_file="a\0b")


CALLS: list[Callable[[Client], Any]] = [
    lambda client: client.call("GET", "/rows", query={"filter_data": 'hostname="\udcff"'}),
    lambda client: client.call("POST", "/rows", body={"path": "/bad\udcff"}),
    lambda client: client.call("GET", "/a b"),
    lambda client: client.call("GET", "/a\r\nX: 1"),
    lambda client: client.call("GET", "/ж"),
    lambda client: client.call("GE T", "/rows"),
    lambda client: client.call("GET", "/rows", headers={"If-Match": "a\nb"}),
    lambda client: client.client_groups.delete(1, if_match="ж"),
    lambda client: client.repository.file(1, path="/bad\udcff"),
]


@pytest.mark.parametrize("call", CALLS)
def test_what_http_cannot_carry_is_not_sent(api: SmallApi, client: Client, call: Callable[[Client], Any]) -> None:
    """It is told as what it is, and the client can be used on."""
    sent = list(api.calls)

    with pytest.raises(Misused):
        call(client)

    assert api.calls == sent
    assert client.call("GET", "/rows").data["items"]


def test_a_body_may_have_any_text(api: SmallApi, client: Client) -> None:
    """As UTF-8."""
    assert client.call("POST", "/rows", body={"name": "имя 😀 \u2028"}, repeatable=True).status == 201


def test_after_its_with_a_client_is_closed(api: SmallApi, client: Client, tmp_path: Path) -> None:
    """What is called later by mistake is told, and a session that is kept stays good."""
    store = FileStore(tmp_path / "kept" / "session.json")
    with Client(api.url, ca_file=tmp_path / "root", store=store) as ended:
        ended.login("rubackup", "right")
    sent = list(api.calls)

    for call in (lambda: ended.call("GET", "/rows"), lambda: ended.login("rubackup", "right"), ended.follow):
        with pytest.raises(Misused, match="closed"):
            call()

    assert api.calls == sent
    with Client.from_store(store) as other:
        assert other.call("GET", "/rows").data["items"]


@pytest.mark.parametrize("data", ["{", "[]", "7", "no"])
def test_an_event_that_is_none_is_told(data: str) -> None:
    """Not as an error of a parser."""
    with pytest.raises(BadAnswer, match="not from this API"):
        list(parsed([f"data: {data}", ""]))


def test_lines_that_are_no_text_are_told(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    """A stream of bytes read as one of lines."""
    with client.repository.file(1, path="/x") as stream:
        monkeypatch.setattr(stream, "_answer", BytesIO(b"one\n\xff\n"))
        with pytest.raises(BadAnswer, match="no text"):
            list(stream.lines())


# --- files ---


def test_a_file_that_is_there_is_not_replaced(tmp_path: Path) -> None:
    """Unless told so."""
    target = tmp_path / "file"
    assert files.save([b"one", b"two"], target, replace=False) == 6
    with pytest.raises(Misused, match="is there already"):
        files.save([b"other"], target, replace=False)
    assert target.read_bytes() == b"onetwo"

    files.save([b"other"], target, replace=True)

    assert target.read_bytes() == b"other"
    assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert list(tmp_path.iterdir()) == [target]


def test_a_file_that_comes_meanwhile_is_not_replaced(tmp_path: Path) -> None:
    """Between the look and the end of the download."""
    target = tmp_path / "file"

    def pieces() -> Iterator[bytes]:
        yield b"ours"
        target.write_bytes(b"theirs")

    with pytest.raises(Misused, match="is there already"):
        files.save(pieces(), target, replace=False)
    assert target.read_bytes() == b"theirs"
    assert list(tmp_path.iterdir()) == [target]


@pytest.mark.parametrize("kind", ["link", "dangling", "fifo", "folder"])
@pytest.mark.parametrize("replace", [False, True])
def test_what_is_no_ordinary_file_stays(tmp_path: Path, kind: str, replace: bool) -> None:
    """A link, a device, a folder: whoever names one by mistake would lose it."""
    target, other = tmp_path / "target", tmp_path / "other"
    other.write_bytes(b"kept")
    if kind in {"link", "dangling"}:
        target.symlink_to(other if kind == "link" else tmp_path / "nothing")
    elif kind == "fifo":
        os.mkfifo(target)
    else:
        target.mkdir()
    before = target.lstat()

    with pytest.raises(Misused, match="no ordinary file"):
        files.save([b"new"], target, replace=replace)

    assert (target.lstat().st_ino, target.lstat().st_mode) == (before.st_ino, before.st_mode)
    assert other.read_bytes() == b"kept"
    assert sorted(tmp_path.iterdir()) == [other, target]


def test_a_device_stays() -> None:
    """The stream itself is asked for nothing."""
    with pytest.raises(Misused, match="no ordinary file"):
        files.save(iter(()), Path("/dev/full"), replace=True)
    assert stat.S_ISCHR(os.lstat("/dev/full").st_mode)


@pytest.mark.parametrize("name", ["missing/file", "taken/file", "a\0b", "n" * 300])
def test_a_file_that_cannot_be_is_the_clients_error(tmp_path: Path, name: str) -> None:
    """By its name, for downloads and for sessions."""
    (tmp_path / "taken").write_bytes(b"")

    with pytest.raises(SdkError):
        files.save([b"x"], tmp_path / name, replace=False)
    if name == "taken/file":
        store = FileStore(tmp_path / name)
        for call in (
            lambda: store.save(Session("https://x", None, "anna", "a", "r", "c")),
            lambda: store.locked().__enter__(),
        ):
            with pytest.raises(Misused, match="taken"):
                call()
