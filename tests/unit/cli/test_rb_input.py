"""What is typed twice, or is no text: told as it was typed, and nothing is sent."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from rubackup.cli.rb import access
from rubackup.cli.rb.names import find
from rubackup.cli.rb.status import Named, naming
from rubackup.cli.rb.tools import tool_of
from rubackup.sdk import Answer, Client, FileStore, Misused, Refused
from rubackup.sdk.caller import condition
from rubackup.sdk.connection import as_typed
from rubackup.sdk.store import Session
from support.rb import rb

BYTES = os.fsdecode(b"\xff\xfe")


@pytest.fixture(autouse=True)
def somebody(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A session of an API that nobody needs: what is typed wrong is refused before."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv(access.PROFILE, "default")
    for name in (access.API, access.CA, access.TOKEN_FILE):
        monkeypatch.delenv(name, raising=False)
    store = FileStore(tmp_path / "rubackup" / "default" / "session.json")
    store.save(
        Session(
            url="https://localhost:1", ca_file=None, user="rubackup", access_token="a", refresh_token="b",
            csrf_token="c", roles=("superuser",), logged_in_at=0.0,
        )
    )  # fmt: skip


@pytest.mark.parametrize(
    ("line", "option"),
    [
        (("client_group", "create", "--name", "A", "--name", "B"), "--name"),
        (("client_group", "create", "--name=A", "--name", "A"), "--name"),
        (("pools", "list", "--sort", "id", "--limit", "1", "--sort", "id"), "--sort"),
        (("pools", "--limit", "1", "--limit", "2"), "--limit"),
        (("--profile", "default", "--profile", "default", "version"), "--profile"),
        (("backup", "/a", "--pool", "A", "--pool", "B"), "--pool"),
        (("call", "GET", "/rows", "--data", "-", "--data", "-"), "--data"),
    ],
)
def test_an_option_of_one_value_is_given_once(line: tuple[str, ...], option: str) -> None:
    """Else the first value would be dropped without a word."""
    status, out, said = rb(*line)

    assert (status, out) == (2, "")
    assert f"Invalid value for {option}: it is given twice, and takes one value." in said


def test_an_option_of_many_values_and_a_flag_may_be_given_again() -> None:
    """They are refused by nobody but the API, which is not there."""
    status, _, said = rb("pools", "list", "--filter", 'id="1"', "--filter", 'id="2"', "--json", "--json")

    assert (status, "does not answer" in said) == (3, True)


def test_a_name_that_is_no_text_is_told_as_it_was_typed() -> None:
    """Not as Python has it, and not as the filter that it would have become."""
    assert rb("pools", "get", BYTES) == (2, "", "rb: \\xff\\xfe is not UTF-8, as every name in pool_list is.\n")


def test_a_value_that_is_no_text_is_told_with_its_option() -> None:
    """The body has many."""
    status, _, said = rb("client_group", "create", "--name", f"a{BYTES}")

    assert status == 2
    assert "Invalid value for --name: a\\xff\\xfe is not UTF-8." in said


def test_a_filter_that_is_no_text_is_told_as_it_was_typed() -> None:
    """With its quotes."""
    status, _, said = rb("pools", "list", "--filter", f'pool_name="{BYTES}"')

    assert status == 2
    assert said.startswith('rb: pool_name="\\xff\\xfe" is not UTF-8.')


def test_what_is_no_character_at_all_is_escaped() -> None:
    """A program may hand over half a pair."""
    assert as_typed("a\ud800\udc80é") == "a\\ud800\\x80é"
    with pytest.raises(Misused, match="is not UTF-8"), Client("https://localhost:1", token="t") as api:
        api.call("GET", "/pool_list", query={"filter_data": condition("pool_name", "=", "\ud800")})


def test_a_refused_name_is_told_as_the_row(monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever else is being carried out: the filter was made of it, and never typed."""

    def refuse(*_: object, **__: object) -> Answer[object]:
        raise Refused("", 414, {"filter_data": "is too long: …"})

    tool = tool_of("pools")
    assert tool is not None
    with Client("https://localhost:1", token="t") as api:
        monkeypatch.setattr(api, "call", refuse)
        with pytest.raises(Named) as told, naming({"filter_data": "--filter"}):
            find(api, tool, "a" * 100_000)
    assert told.value.label("filter_data") == "ROW (filter_data)"
