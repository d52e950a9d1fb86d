"""Damage in a pool is found, named, and costs only what it hit."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from rubackup.client.compare import compare_trees
from support.office import Office
from support.system import System, eventually, running


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One of its own: what is damaged here is nobody else's."""
    with running(tmp_path_factory.mktemp("damage") / "state") as system:
        yield system


def newest_pack(system: System) -> Path:
    """The pack of pool Default that was written last."""
    packs = (system.state / "pools" / "Default").rglob("packs/**/*.pack")
    return max(packs, key=lambda file: file.stat().st_mtime_ns)


def index_file(system: System) -> Path:
    """The index of pool Default, told by the marker of its storage; other tests may have made more pools."""
    pool = (system.state / "pools" / "Default" / "pool").read_text().split()[3]
    return system.state / "media" / "pools" / pool / "index" / "data.mdb"


def damage(system: System) -> None:
    """Flip a byte in the middle of the newest pack of pool Default."""
    pack = newest_pack(system)
    with pack.open("r+b") as file:
        file.seek(pack.stat().st_size // 2)
        byte = file.read(1)
        file.seek(-1, os.SEEK_CUR)
        file.write(bytes([byte[0] ^ 0xFF]))


@pytest.mark.parametrize("backup_type", ["full", "incremental"])
@pytest.mark.parametrize("share_left", [0, 0.5])
def test_a_backup_never_builds_on_a_pack_that_is_gone(
    system: System, tmp_path: Path, backup_type: str, share_left: float
) -> None:
    """After a pack was deleted or cut off, the next copy of the same data is whole, and so is the old one."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(10):
        (source / f"part{number}").write_bytes(os.urandom(1_000_000))
    system.done(system.backup(source))
    pack = newest_pack(system)
    if share_left:
        os.truncate(pack, int(pack.stat().st_size * share_left))
    else:
        pack.unlink()

    system.done(system.backup(source, backup_type=backup_type))

    for record in system.records(source):
        target = tmp_path / f"target{record['id']}"
        system.done(system.restore(record["id"], target))
        assert compare_trees(source, target / str(source).lstrip("/")).equal


def test_a_lost_manifest_makes_a_copy_not_trusted(system: System, tmp_path: Path) -> None:
    """A copy whose manifest is gone fails its verification and is marked."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(b"x" * 1000)
    system.done(system.backup(source))
    record = system.records(source)[-1]
    manifests = (system.state / "pools" / "Default").rglob("*.manifest")
    max(manifests, key=lambda file: file.stat().st_mtime_ns).unlink()

    answer = system.call("POST", f"/repository/{record['id']}/verification", status=201)
    task = system.finished(int(answer["message"].rpartition(":")[2]))

    assert task["status"] == "Error"
    assert system.records(source)[-1]["verification_status"] == "Not Trusted"


def test_an_index_that_is_damaged_while_it_is_used_is_rebuilt(system: System, tmp_path: Path) -> None:
    """Garbage in the live index costs no copy: it is rebuilt from the packs without a restart by hand."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(os.urandom(3_000_000))
    system.done(system.backup(source))
    record = system.records(source)[-1]
    index = index_file(system)
    with index.open("r+b") as file:
        file.write(os.urandom(index.stat().st_size))

    eventually(lambda: backup_works(system, source), 90)
    system.done(system.restore(record["id"], tmp_path / "target"))

    assert compare_trees(source, tmp_path / "target" / str(source).lstrip("/")).equal


def backup_works(system: System, source: Path) -> bool:
    """Whether a backup ends as Done."""
    return bool(system.finished(system.backup(source))["status"] == "Done")


def test_rows_of_the_catalogue_that_changed_places_are_found(system: System, tmp_path: Path) -> None:
    """A copy whose row names another record, or one that there is not, is not trusted, and the reason is told."""
    copies = []
    for name in ("one", "two"):
        source = tmp_path / name
        source.mkdir()
        (source / "file").write_text(name)
        system.done(system.backup(source))
        copies.append(system.records(source)[-1])
    office = Office(system, tmp_path)
    uuids = [office.sql("SELECT uuid FROM repository WHERE id = $1", copy["id"])[0]["uuid"] for copy in copies]
    for copy, uuid in zip(copies, (uuid4(), uuids[0]), strict=True):
        office.sql("UPDATE repository SET uuid = $2 WHERE id = $1", copy["id"], uuid)

    told = []
    for copy in copies:
        answer = system.call("POST", f"/repository/{copy['id']}/verification", status=201)
        task = system.finished(int(answer["message"].rpartition(":")[2]))
        assert task["status"] == "Error"
        told.append("\n".join(system.log(task["id"])))
    assert "has no record" in told[0]
    assert f"The catalogue is wrong about record {uuids[0].hex}: resource is '{tmp_path / 'two'}' there" in told[1]
    assert {system.records(tmp_path / name)[-1]["verification_status"] for name in ("one", "two")} == {"Not Trusted"}
    for copy, uuid in zip(reversed(copies), reversed(uuids), strict=True):  # other tests use this system
        office.sql("UPDATE repository SET uuid = $2 WHERE id = $1", copy["id"], uuid)


def test_damage_is_found_named_and_healed(system: System, tmp_path: Path) -> None:
    """Verification names the damaged file, the others restore, and the next full backup heals the copy."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(12):
        (source / f"part{number}").write_bytes(os.urandom(2_000_000))
    system.done(system.backup(source))
    record = system.records(source)[-1]
    damage(system)

    answer = system.call("POST", f"/repository/{record['id']}/verification", status=201)
    number = int(answer["message"].rpartition(":")[2])
    task = system.finished(number)
    assert task["status"] == "Error"
    assert system.records(source)[-1]["verification_status"] == "Not Trusted"
    named = [line for line in system.log(number) if "part" in line]
    assert len(named) in {1, 2}, "a group of about 1 MiB holds pieces of two files at most"

    restore = system.finished(system.restore(record["id"], tmp_path / "target"))
    assert restore["status"] == "Error"
    whole = [file for file in (tmp_path / "target").rglob("part*") if file.stat().st_size == 2_000_000]
    assert len(whole) == 12 - len(named)
    assert all(file.read_bytes() == (source / file.name).read_bytes() for file in whole)

    system.done(system.backup(source))
    system.done(system.restore(record["id"], tmp_path / "healed"))
    assert compare_trees(source, tmp_path / "healed" / str(source).lstrip("/")).equal
