"""What is told of pools that the catalogue does not know: the command can be pasted as it stands, whatever they are called."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from rubackup.cli import unknown_pools
from rubackup.domain.errors import Unavailable

UUID = "ab" * 16
ONE = [{"id": 1, "hostname": "media"}]


def storage(path: str, kind: str = "folder", *, away: bool = False) -> dict[str, Any]:
    """As the API tells it."""
    return {"path": path, "kind": kind, "away": away, "copies": 1}


def pool(*storages: dict[str, Any], name: str = "Later") -> dict[str, Any]:
    return {"uuid": UUID, "name": name, "copies": 3, "storages": list(storages)}


def told(capsys: pytest.CaptureFixture[str], found: dict[str, Any], servers: list[dict[str, Any]] | None = None) -> str:
    """The line for one pool."""
    unknown_pools.tell(servers or ONE, lambda number: {"pools": [found] if number == 1 else []}, ["Default"], ())
    out, line = capsys.readouterr()
    assert (out, line.count("\n")) == ("", 1)
    return line.strip()


def command(line: str) -> list[str]:
    return shlex.split(line.partition(": rubackup ")[2])


def test_the_command_takes_in_what_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """Every folder of it, on the media server that has it."""
    spare = storage(f"/emergency/{UUID}", "emergency")
    line = told(capsys, pool(storage("/srv/a b"), storage("/srv/c"), spare))
    assert line.startswith(
        f"media holds a pool that the catalogue does not know: Later {UUID}, 3 copies, in /srv/a b, /srv/c."
    )
    assert command(line) == ["rebuild-catalogue", "--pool", "Later=/srv/a b", "--pool", "Later=/srv/c"]
    several = told(capsys, pool(storage("/srv/c")), [*ONE, {"id": 2, "hostname": "other"}])
    assert command(several) == ["rebuild-catalogue", "--pool", "Later=/srv/c", "--media-server", "media"]


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("", "Found"),
        ("Default", f"Default-{UUID[:8]}"),
        ("a=b", f"a-b-{UUID[:8]}"),
        ("$(reboot); 'x'", "$(reboot); 'x'"),
    ],
)
def test_no_name_breaks_the_command(capsys: pytest.CaptureFixture[str], name: str, expected: str) -> None:
    """One that is taken gets another; what a shell would act on is quoted."""
    assert command(told(capsys, pool(storage("/srv/`id`"), name=name)))[2] == f"{expected}=/srv/`id`"


def test_what_is_away_has_to_be_there_first_and_devices_go_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody is sent to a command that cannot work."""
    assert "in /srv/a (away). Mount what is away, then take it in: " in told(capsys, pool(storage("/srv/a", away=True)))
    line = told(capsys, pool(storage("https://s3/bucket/p", "bucket"), storage("/srv/a")))
    assert "by hand" in line
    assert "--pool" not in line


def test_a_media_server_that_cannot_be_asked_is_named(capsys: pytest.CaptureFixture[str]) -> None:
    """The others are asked."""

    def ask(number: int) -> dict[str, Any]:
        if number == 1:
            raise Unavailable("It is not connected.")
        return {"pools": [pool(storage("/srv/c"))]}

    unknown_pools.tell([*ONE, {"id": 2, "hostname": "other"}], ask, [], (Unavailable,))
    lines = capsys.readouterr().err.splitlines()
    assert lines[0] == "media: pools that the catalogue does not know could not be asked for: It is not connected."
    assert lines[1].startswith("other holds a pool")
