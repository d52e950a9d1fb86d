"""The secrets of the system itself: its client neither copies them nor writes them."""

from __future__ import annotations

from pathlib import Path

from support.system import System


def test_the_state_is_never_copied(system: System, tmp_path: Path) -> None:
    """A task that asks for a part of it ends as Error, by its own name and through a link; the sentence says why."""
    (tmp_path / "link").symlink_to(system.state)
    for folder in (system.state, system.state / "secrets", system.state / "keys/client", tmp_path / "link/secrets"):
        task = system.finished(system.backup(folder))

        assert task["status"] == "Error"
        assert "holds secrets of this host's own RuBackup installation" in task["message"], task
        assert system.records(folder) == []


def test_a_copy_of_what_is_above_leaves_the_state_out(system: System, tmp_path: Path) -> None:
    """The log says so; what lies beside it is copied."""
    above = system.state.parent
    (above / "beside").write_text("x")
    task = system.backup(above)
    system.done(task)
    (record,) = system.records(above)
    system.done(system.restore(record["id"], tmp_path))

    assert any(line.startswith(f"{system.state}: is not copied") for line in system.log(task))
    assert [path.name for path in (tmp_path / str(above).lstrip("/")).iterdir()] == ["beside"]


def test_nothing_is_restored_into_the_state(system: System, tmp_path: Path) -> None:
    """The task ends as Error and makes nothing there."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("x")
    system.done(system.backup(source))
    (record,) = system.records(source)
    before = sorted((system.state / "etc").iterdir())

    task = system.finished(system.restore(record["id"], system.state / "etc"))

    assert task["status"] == "Error"
    assert "nothing is restored into it" in task["message"], task
    assert sorted((system.state / "etc").iterdir()) == before
