"""What is told of pools that the catalogue does not know: the command can be pasted as it stands, whatever they are called."""

from __future__ import annotations

import shlex
from typing import Any

import pytest

from rubackup.cli import unknown_pools
from rubackup.cli.rb.bodies import value
from rubackup.domain.errors import Unavailable
from rubackup.sdk.operations import families
from support import commands

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


def test_what_is_away_has_to_be_there_first(capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody is sent to a command that cannot work."""
    assert "in /srv/a (away). Mount what is away, then take it in: " in told(capsys, pool(storage("/srv/a", away=True)))
    line = told(capsys, pool(storage("/dev/sdb", "device", away=True)))
    assert ("in /dev/sdb (away). " in line, ". Attach what is away, then take it in: rb pools create" in line) == (
        True,
        True,
    )


def steps(line: str) -> list[list[str]]:
    """The commands of a line, each of which its own parser takes; what a shell would do with the line."""
    text = line.partition(" it in: ")[2]
    found = [shlex.split(part) for part in text.split(" && ")]
    assert [wrong for one in found if (wrong := commands.fault(shlex.join(one)))] == []
    return found


def test_devices_are_added_to_a_pool_with_their_uuid(capsys: pytest.CaptureFixture[str]) -> None:
    """With the pool that keeps their metadata, where that is known."""
    found = pool(storage("/dev/sdb", "device"), storage("/dev/disk/by-id/a b", "device"))
    line = told(capsys, found | {"kept_in": "Files"})
    assert (
        f"Later {UUID}, in /dev/sdb, /dev/disk/by-id/a b. If it was made with another block size or hash than " in line
    )
    made = ["rb", "pools", "create", "--pool-name", "Later", "--pool-type", "Block device", "--media-server", "media"]
    assert steps(line) == [
        [*made, "--uuid", UUID, "--meta-data-pool", "Files"],
        ["rb", "block_devices", "create", "--pool", "Later", "--device", "/dev/sdb"],
        ["rb", "block_devices", "create", "--pool", "Later", "--device", "/dev/disk/by-id/a b"],
        ["rubackup", "rebuild-catalogue"],
    ]
    assert "POOL stands for a pool of the type File system of that media server. If" in told(capsys, found)


def test_buckets_are_added_with_all_but_their_keys(capsys: pytest.CaptureFixture[str]) -> None:
    """Endpoint, bucket and folder are as the media server has known them."""
    line = told(capsys, pool(storage("https://s3.example:9000/bucket/a/b", "bucket")))
    assert steps(line)[1] == [
        "rb", "clouds", "create", "--pool", "Later", "--name", "Later-1", "--endpoint", "https://s3.example:9000",
        "--bucket", "bucket", "--prefix", "a/b", "--access-key", "KEY", "--secret-key-file", "FILE",
    ]  # fmt: skip
    assert "--prefix" not in steps(told(capsys, pool(storage("https://s3/bucket", "bucket"))))[1]


def test_pools_of_clients_are_made_anew_by_name(capsys: pytest.CaptureFixture[str]) -> None:
    """The name of the folder is the client's to say; where it has several, somebody has to choose."""
    part = storage(f"{UUID}-{'ab' * 8}", "client") | {"client": "host1", "client_storages": ["local"]}
    line = told(capsys, pool(part, name="") | {"kept_in": "Files"})
    assert f"{UUID}, 3 copies, in folders of client host1. Take it in: " in line
    assert steps(line) == [
        ["rb", "pools", "create", "--pool-name", "Found", "--pool-type", "Client defined", "--media-server", "media", "--uuid", UUID],
        ["rb", "client_defined_storages", "create", "--pool", "Found", "--name", "local", "--metadata-fs-pool", "Files"],
        ["rubackup", "rebuild-catalogue"],
    ]  # fmt: skip
    several = told(capsys, pool(part | {"client_storages": ["b", "a"]}, name="") | {"kept_in": "Files"})
    assert (
        "NAME stands for what the folder is called in CLIENT_DEFINED_STORAGES of the client: a, b. Take it in: "
        in several
    )


def test_no_two_pools_get_one_name(capsys: pytest.CaptureFixture[str]) -> None:
    """What nobody knows the name of is called alike at first."""
    found = [pool(storage(f"/srv/{letter}"), name="") | {"uuid": letter * 32} for letter in "abc"]
    unknown_pools.tell(ONE, lambda _: {"pools": found}, ["Default"], ())
    names = [command(line)[2] for line in capsys.readouterr().err.splitlines()]
    assert names == ["Found=/srv/a", "Found-bbbbbbbb=/srv/b", "Found-cccccccc=/srv/c"]


def test_what_does_not_go_together_is_taken_in_by_hand(capsys: pytest.CaptureFixture[str]) -> None:
    """No pool has both."""
    line = told(capsys, pool(storage("https://s3/bucket/p", "bucket"), storage("/srv/a")))
    assert ("by hand" in line, "--pool" in line) == (True, False)
    assert "by hand" in told(capsys, pool(storage(f"/emergency/{UUID}", "emergency")))


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


def test_the_uuid_is_given_as_it_is() -> None:
    """Not as JSON, although it may be null."""
    (made,) = [one for one in families()["pool_list"]["operations"] if one["verb"] == "create"]
    (field,) = [one for one in made.get("body", {}).get("fields", []) if one["name"] == "uuid"]
    assert value(field, "--uuid", UUID) == UUID
