"""A rule is made, executed and its copy restored on the running system."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from rubackup.client.compare import compare_trees
from support.system import System, eventually


def make_tree(folder: Path) -> Path:
    """A small tree."""
    (folder / "deep" / "er").mkdir(parents=True)
    for number in range(10):
        (folder / "deep" / "er" / f"file{number}").write_bytes(os.urandom(3000 * number))
    (folder / "link").symlink_to("deep/er/file1")
    return folder


def rule(system: System, resource: Path, **fields: Any) -> int:
    """A new rule that backs a folder up; its id."""
    wanted = {
        "name": "nightly", "client_id": system.facts["client"], "resource_type": "File system",
        "resource": str(resource), "backup_type": "incremental", "pool_id": "Default", "storage_duration": "1 day",
        "priority": 200, "hour": 3, "status": "wait",
    }  # fmt: skip
    system.call("POST", "/global_schedule", {"data": {"global_schedule": wanted | fields}}, status=201)
    items = system.call("GET", "/global_schedule", filter_data=f'resource="{resource}"')["data"]["items"]
    return int(items[-1]["id"])


def execute(system: System, number: int) -> int:
    """Run a rule; the number of its task."""
    answer = system.call("POST", f"/global_schedule/{number}/execution")
    return int(answer["message"].rpartition(" TASK WAS ADDED TO QUEUE:")[2])


def test_an_executed_rule_makes_copies_that_restore_as_they_were(system: System, tmp_path: Path) -> None:
    """Each execution is a copy that names its rule, builds on the last one, and comes back byte for byte."""
    source = make_tree(tmp_path / "source")
    number = rule(system, source)
    first = system.done(execute(system, number))
    (source / "new").write_bytes(b"written after the first copy")
    second = system.done(execute(system, number))

    copies = system.records(source)
    system.done(system.restore(copies[-1]["id"], tmp_path / "target"))

    assert [copy["rule_ref"] for copy in copies] == [number, number]
    assert [copy["rule"] for copy in copies] == ["nightly", "nightly"]
    assert [copy["task"] for copy in copies] == [first["id"], second["id"]]
    assert copies[1]["parent_id"] == copies[0]["id"]
    assert second["priority"] == 200
    assert compare_trees(source, tmp_path / "target" / str(source).lstrip("/")).differences == []


def test_copies_outlive_their_rule(system: System, tmp_path: Path) -> None:
    """A copy restores when its rule is gone, and the log still tells of both."""
    source = make_tree(tmp_path / "source")
    number = rule(system, source)
    task = execute(system, number)
    system.done(task)
    system.call("DELETE", f"/global_schedule/{number}")

    copy = system.records(source)[-1]
    system.done(system.restore(copy["id"], tmp_path / "target"))

    assert (copy["rule"], copy["rule_ref"]) == (None, number)
    assert compare_trees(source, tmp_path / "target" / str(source).lstrip("/")).differences == []
    lines = system.call("GET", "/global_schedule_log", filter_data=f'rule_ref="{number}"')["data"]["items"]
    assert [line["action"] for line in lines] == ["deleted", "executed", "created"]
    assert lines[1]["task"] == task


def test_a_rule_runs_by_time(system: System, tmp_path: Path) -> None:
    """A rule that is set to run makes its copy when its time has come, and none any more when it is stopped."""
    source = make_tree(tmp_path / "source")
    number = rule(system, source, periodic_launch="2 sec", status="wait")
    system.call("PATCH", "/global_schedule", {"data": [{"id": number, "status": "run"}]})

    copies = eventually(lambda: system.records(source), 30)
    system.call("PATCH", "/global_schedule", {"data": [{"id": number, "status": "wait"}]})

    assert (copies[0]["rule_ref"], copies[0]["backup_type"]) == (number, "full")
    lines = system.call("GET", "/global_schedule_log", filter_data=f'rule_ref="{number}"')["data"]["items"]
    made = [line for line in lines if line["action"] == "executed"]
    assert {line["user_name"] for line in made} == {""}
    for line in made:
        system.done(line["task"])
    assert len(system.records(source)) == len(made)
