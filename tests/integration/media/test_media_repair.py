"""`rubackup media repair`: what it finds in a pool, on real folders."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from typer.testing import CliRunner

from rubackup.chunkstore import pack
from rubackup.chunkstore.backends.block import BlockBackend, format_device
from rubackup.chunkstore.backends.local import LocalBackend
from rubackup.chunkstore.digests import DigestSpec
from rubackup.chunkstore.locations import Device, folders
from rubackup.chunkstore.pool import Pool
from rubackup.cli.main import app
from rubackup.cli.media import DAMAGED
from support import buckets
from support.chunkstore import POOL, Client, begin, noise, record_id
from support.s3server import S3Server

TREE = {"/home/big": noise(200_000), "/home/a\nb": b"text " * 300}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A closed pool in `store` with its metadata in `meta`, and two copies."""
    (tmp_path / "store").mkdir()
    pool = opened(tmp_path)
    for number in (1, 2):
        Client(group_bytes=1).backup(begin(pool, number), TREE | {f"/{number}": b"x" * number})
    pool.close()
    return tmp_path


def opened(folder: Path) -> Pool:
    """The pool as its media server opens it."""
    return Pool.open(
        uuid=POOL,
        metadata=folder / "meta",
        storages=folders([folder / "store"]),
        reserve_bytes=0,
        level=1,
        map_bytes=1 << 20,
    )


def run(*arguments: str | Path) -> tuple[int, str]:
    """Exit status and what was printed."""
    result = CliRunner().invoke(app, ["media", "repair", *map(str, arguments)])
    return result.exit_code, result.output


def test_everything_is_listed_from_the_storages_alone(folder: Path) -> None:
    """With an empty metadata folder the index is filled anew, and every copy is in it and whole."""
    status, text = run(folder / "store", "--metadata", folder / "empty", "--verify")

    assert status == 0
    assert [line.split()[1] for line in text.splitlines() if line.startswith("copy ")] == [record_id(1), record_id(2)]
    assert text.count("  whole") == 2


def test_damage_is_named_and_tells_by_the_status(folder: Path) -> None:
    """Files and places, each on one line, whatever a file is called; what a backup mends is mended for both."""
    name = max((folder / "store" / "packs").rglob("*.pack"), key=lambda file: file.stat().st_size)
    relative = str(name.relative_to(folder / "store"))
    last = pack.read_extents(LocalBackend(folder / "store"), relative)[-2]
    data = bytearray(name.read_bytes())
    data[last.offset + last.length - 1] ^= 1
    name.write_bytes(data)
    status, text = run(folder / "store", "--metadata", folder / "meta", "--verify")

    assert status == DAMAGED
    assert f"{relative} is damaged at offset {last.offset}" in text
    assert "  damaged file: /home/a\\x0ab" in text


def test_an_index_is_set_aside_when_asked(folder: Path) -> None:
    """Whatever it says; nothing of the storages changes."""
    before = {path: path.read_bytes() for path in (folder / "store").rglob("*") if path.is_file()}

    assert run(folder / "store", "--metadata", folder / "meta", "--rebuild-index")[0] == 0
    assert len(list((folder / "meta").glob("index.damaged-*"))) == 1
    assert {path: path.read_bytes() for path in (folder / "store").rglob("*") if path.is_file()} == before


def test_a_pool_that_is_served_or_none_is_refused(folder: Path, tmp_path: Path) -> None:
    """One sentence on stderr, and nothing is touched."""
    pool = opened(folder)
    served = run(folder / "store", "--metadata", folder / "meta", "--rebuild-index")
    pool.close()
    none = run(tmp_path, "--metadata", folder / "meta")

    assert served[0] == none[0] == 1
    assert "is served by another process" in served[1]
    assert "is no storage of a pool" in none[1]
    assert not list((folder / "meta").glob("index.damaged-*"))


def test_a_block_device_is_repaired_and_rebuilt(tmp_path: Path) -> None:
    """Its directory is lost: the command tells what the metafile brought, and the copies are whole."""
    path = tmp_path / "device"
    format_device(path, size_bytes=16 << 20)
    pool = Pool.open(
        uuid=POOL, metadata=tmp_path / "meta", storages=[Device(path)], reserve_bytes=0, level=1, map_bytes=1 << 20
    )
    Client().backup(begin(pool, 1), TREE)
    pool.close()
    backend = BlockBackend.open(path)
    (tmp_path / "metafile").write_bytes(backend.metafile())
    backend.close()
    with path.open("r+b") as file:
        file.write(bytes(2 << 20))
    status, text = run(path, "--metadata", tmp_path / "empty")
    assert (status, f"directory of the device {path} is lost" in text) == (1, True)
    rebuilt = CliRunner().invoke(app, ["media", "rebuild-device", str(path), "--metafile", str(tmp_path / "metafile")])
    assert (rebuilt.exit_code, "came from the metafile" in rebuilt.output) == (0, True)
    status, text = run(path, "--metadata", tmp_path / "empty", "--verify")

    assert status == 0
    assert text.count("  whole") == 1


def test_rebuilding_says_what_is_wrong(tmp_path: Path) -> None:
    """A device that carries nothing of a pool, and a metafile that is not there."""
    (tmp_path / "device").write_bytes(bytes(4 << 20))
    for more in ([], ["--metafile", str(tmp_path / "none")]):
        result = CliRunner().invoke(app, ["media", "rebuild-device", str(tmp_path / "device"), *more])
        assert result.exit_code == 1
        assert "metafile" in result.output or "No such file" in result.output


def test_recorded_hashes_are_known_without_a_configuration(tmp_path: Path) -> None:
    """Which hash it is lies beside the packs: a missing file is made anew, one that is damaged by `--verify`."""
    path = tmp_path / "device"
    format_device(path, size_bytes=16 << 20)
    pool = Pool.open(
        uuid=POOL, metadata=tmp_path / "meta", storages=[Device(path)], reserve_bytes=0, level=1, map_bytes=1 << 20,
        digest=DigestSpec("blake2b", 256),
    )  # fmt: skip
    for number in (1, 2, 3):
        Client().backup(begin(pool, number), {"/file": noise(50_000, number)})
    pool.close()
    backend = BlockBackend.open(path)
    one, two, _ = sorted(item.name for item in backend.list("packs") if item.name.endswith(".hashes"))
    sizes = [backend.size(name) for name in (one, two)]
    for name in (one, two):
        backend.delete(name)
    backend.put(two, b"x" * sizes[1])
    backend.close()
    status, text = run(path, "--metadata", tmp_path / "meta", "--verify")

    assert (status, text.count("  whole"), text.count("made anew")) == (0, 3, 1)
    backend = BlockBackend.open(path)
    assert [backend.size(name) for name in (one, two)] == sizes
    backend.close()


def test_a_pool_in_a_bucket_is_repaired_with_a_file_that_names_it(tmp_path: Path) -> None:
    """From the bucket alone; the file must be its owner's, and what is wrong with it is said without the keys."""
    server = S3Server().start()
    try:
        server.bucket()
        where = buckets.location(server, tmp_path / "meta" / "spool")
        pool = Pool.open(
            uuid=POOL, metadata=tmp_path / "meta", storages=[where], reserve_bytes=0, level=1, map_bytes=1 << 20
        )
        Client().backup(begin(pool, 1), TREE)
        pool.close()
        told = {name: getattr(where, name) for name in ("endpoint", "bucket", "prefix", "access_key", "secret_key")}
        file = tmp_path / "bucket.json"
        file.write_bytes(msgspec.json.encode(told))
        file.chmod(0o644)
        open_to_others = run("--bucket", file, "--metadata", tmp_path / "other")
        file.chmod(0o600)
        status, text = run("--bucket", file, "--metadata", tmp_path / "other", "--verify")
        file.write_bytes(msgspec.json.encode(told | {"endpoint": "nowhere"}))
        wrong = run("--bucket", file, "--metadata", tmp_path / "third")
    finally:
        server.stop()

    assert (status, text.count("  whole")) == (0, 1)
    assert open_to_others[0] == 1
    assert "chmod" in open_to_others[1]
    assert wrong[0] == 1
    assert "endpoint: It must be" in wrong[1]
    assert all(where.secret_key not in one for one in (text, open_to_others[1], wrong[1]))
    assert run("--metadata", tmp_path / "meta")[0] == 1
