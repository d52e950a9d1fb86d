"""A folder goes into the system through the API and comes back byte for byte."""

from __future__ import annotations

import os
from pathlib import Path

from rubackup.client.compare import compare_trees
from support.system import System


def make_tree(folder: Path, files: int = 40) -> Path:
    """A small tree with the kinds of entries that plain archives lose."""
    deep = folder / "deep" / "er"
    deep.mkdir(parents=True)
    for number in range(files):
        (deep / f"file{number}").write_bytes(os.urandom(1000 * number))
    (folder / "empty").touch()
    (folder / "link").symlink_to("deep/er/file1")
    os.link(deep / "file2", folder / "hard")
    os.mkfifo(folder / "pipe")
    (folder / os.fsdecode(b"not-utf8-\xff")).write_text("x")
    with (folder / "sparse").open("wb") as sparse:
        sparse.truncate(50_000_000)
        sparse.seek(20_000_000)
        sparse.write(b"data")
    os.utime(folder / "empty", ns=(1, 1_234_567_890_123_456_789))
    return folder


def test_a_full_copy_restores_as_it_was(system: System, tmp_path: Path) -> None:
    """What a restore writes equals the source in contents, types, modes, owners, times and links."""
    source = make_tree(tmp_path / "source")
    system.done(system.backup(source))
    record = system.records(source)[-1]

    system.done(system.restore(record["id"], tmp_path / "target"))

    difference = compare_trees(source, tmp_path / "target" / str(source).lstrip("/"))
    assert difference.differences == []
    assert difference.files + difference.folders + difference.links + difference.others >= 45


def test_an_incremental_copy_restores_by_itself_and_names_its_parent(system: System, tmp_path: Path) -> None:
    """An incremental copy sends what changed, names its parent, and restores without it."""
    source = make_tree(tmp_path / "source")
    system.done(system.backup(source))
    full = system.records(source)[-1]
    (source / "deep" / "new").write_bytes(b"new" * 1000)
    (source / "deep" / "er" / "file3").write_bytes(b"changed")
    (source / "empty").unlink()
    system.done(system.backup(source, backup_type="incremental"))
    incremental = system.records(source)[-1]

    system.call("PATCH", "/global_configuration", {"data": {"repository_remove_chain": "no"}})
    system.call("DELETE", f"/repository/{full['id']}")
    system.call("PATCH", "/global_configuration", {"data": {"repository_remove_chain": "yes"}})
    system.done(system.restore(incremental["id"], tmp_path / "target"))

    assert incremental["backup_type"] == "incremental"
    assert incremental["parent_id"] == full["id"]
    assert incremental["stored_bytes"] < full["stored_bytes"] / 4
    assert compare_trees(source, tmp_path / "target" / str(source).lstrip("/")).differences == []


def test_an_incremental_without_a_full_becomes_a_full_and_says_so(system: System, tmp_path: Path) -> None:
    """A first incremental is a full copy, and the task tells."""
    source = make_tree(tmp_path / "source", 3)
    number = system.backup(source, backup_type="incremental")
    system.done(number)

    assert system.records(source)[-1]["backup_type"] == "full"
    assert any("full" in line for line in system.log(number))


def test_chosen_files_are_restored_and_no_others(system: System, tmp_path: Path) -> None:
    """granular_restore_files restores what it names."""
    source = make_tree(tmp_path / "source")
    system.done(system.backup(source))
    record = system.records(source)[-1]

    system.done(system.restore(record["id"], tmp_path / "target", [str(source / "deep" / "er" / "file7")]))

    found = [path for path in (tmp_path / "target").rglob("*") if path.is_file()]
    assert [path.name for path in found] == ["file7"]
    assert found[0].read_bytes() == (source / "deep" / "er" / "file7").read_bytes()


def test_a_copy_lists_its_folders(system: System, tmp_path: Path) -> None:
    """repository_record_file_list pages through the folders of a copy."""
    source = make_tree(tmp_path / "source")
    system.done(system.backup(source))
    record = system.records(source)[-1]

    listing = system.call(
        "GET", "/repository_record_file_list", id=record["id"], path=str(source / "deep" / "er"), limit=10
    )["data"]

    assert listing["total"] == 40
    assert len(listing["items"]) == 10
    assert listing["items"][0]["path"] == str(source / "deep" / "er" / "file0")


def test_a_verified_copy_is_trusted(system: System, tmp_path: Path) -> None:
    """A verification reads every chunk again and marks the copy."""
    source = make_tree(tmp_path / "source", 5)
    system.done(system.backup(source))
    record = system.records(source)[-1]

    answer = system.call("POST", f"/repository/{record['id']}/verification", status=201)
    system.done(int(answer["message"].rpartition(":")[2]))

    assert system.records(source)[-1]["verification_status"] == "Trusted"


def test_a_missing_resource_is_an_error_that_says_so(system: System, tmp_path: Path) -> None:
    """A backup of what is not there ends as Error and names it."""
    task = system.finished(system.backup(tmp_path / "nothing-here"))

    assert task["status"] == "Error"
    assert "nothing-here" in task["message"]
