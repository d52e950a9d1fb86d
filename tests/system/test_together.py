"""Tasks side by side: backups of different and of the same resource, deletion in the middle."""

from __future__ import annotations

import os
from pathlib import Path

from rubackup.client.compare import compare_trees
from support.system import System


def make_source(folder: Path, shared: bytes) -> Path:
    """A folder with data of its own and data that others have too."""
    folder.mkdir()
    (folder / "shared").write_bytes(shared)
    for number in range(5):
        (folder / f"own{number}").write_bytes(os.urandom(1_500_000))
    return folder


def test_backups_of_several_resources_at_once_are_all_whole(system: System, tmp_path: Path) -> None:
    """Backups that run together, of one resource twice too, give copies that each restore by themselves."""
    shared = os.urandom(5_000_000)
    sources = [make_source(tmp_path / f"source{number}", shared) for number in range(4)]
    numbers = [system.backup(source) for source in [*sources, sources[0]]]
    for number in numbers:
        system.done(number)

    restores = [
        (source, record, system.restore(record["id"], tmp_path / f"target{record['id']}"))
        for source in sources
        for record in system.records(source)
    ]
    assert len(restores) == 5
    for source, record, number in restores:
        system.done(number)
        assert compare_trees(source, tmp_path / f"target{record['id']}" / str(source).lstrip("/")).equal


def test_a_copy_that_is_needed_cannot_be_deleted(system: System, tmp_path: Path) -> None:
    """A copy that waits to be restored is in use; afterwards it can go, and the data can be backed up again."""
    source = make_source(tmp_path / "source", b"x")
    system.done(system.backup(source))
    record = system.records(source)[-1]
    with system.frozen("client"):  # else the restore might be done by then
        number = system.restore(record["id"], tmp_path / "target")
        system.call("DELETE", f"/repository/{record['id']}", status=409)
    system.done(number)
    system.call("DELETE", f"/repository/{record['id']}")
    system.done(system.backup(source))
    again = system.records(source)
    system.done(system.restore(again[-1]["id"], tmp_path / "again"))

    assert [found["id"] for found in again] != [record["id"]]
    assert compare_trees(source, tmp_path / "again" / str(source).lstrip("/")).equal


def test_a_paused_backup_goes_on_where_it_stopped(system: System, tmp_path: Path) -> None:
    """Pausing keeps what was sent; continuing ends in a whole copy; a killed backup leaves none."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(4):
        with (source / f"part{number}").open("wb") as file:
            for _ in range(120):
                file.write(os.urandom(1_000_000))
    number = system.backup(source)
    system.until(number, lambda task: task["status"] in {"At_Client", "Execution", "Transmission"}, 60)
    system.call("POST", "/put_task_on_pause", {"data": {"task_id": number}})
    assert system.task(number)["status"] == "Paused"
    assert system.records(source) == []

    system.call("POST", "/continue_task_working", {"data": {"task_id": number}})
    system.done(number)
    [record] = system.records(source)
    system.done(system.restore(record["id"], tmp_path / "target"))
    assert compare_trees(source, tmp_path / "target" / str(source).lstrip("/")).equal

    (source / "part0").write_bytes(os.urandom(120_000_000))
    doomed = system.backup(source)
    system.call("POST", "/kill_task", {"data": {"task_id": doomed}})
    assert system.finished(doomed)["status"] == "Killed"
    assert len(system.records(source)) == 1
