"""The tools of a client's user on a running system: `rubackup client` against the client's process."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil

from rubackup.agent.tasks import PARALLEL_TASKS
from rubackup.client.compare import compare_trees
from support.samples import unique
from support.system import RUBACKUP, System, eventually


def tool(system: System, *arguments: str, status: int = 0) -> Any:
    """What a tool prints as JSON; its sentence on stderr when it fails."""
    command = [*RUBACKUP, "client", "--state", str(system.state), *arguments, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, stdin=subprocess.DEVNULL)
    assert done.returncode == status, f"{done.returncode} {done.stdout} {done.stderr}"
    return done.stderr if status else json.loads(done.stdout)


def client(system: System) -> dict[str, Any]:
    """The system's client."""
    (found,) = system.call("GET", "/clients")["data"]["items"]
    return dict(found)


@contextlib.contextmanager
def flags(system: System, **wanted: Any) -> Iterator[None]:
    """The client as its administrator sets it up for the length of a block; unless told, its tools may do everything."""
    before = client(system)
    everything = {"lrl_flag": True, "lsf_flag": True, "ls_pool": "Default"}
    keys = (
        "lrl_flag", "lsf_flag", "ls_pool", "client_side_backup", "client_side_restore", "centralized_restore",
    )  # fmt: skip
    system.call("PATCH", f"/clients/{before['id']}", {"data": everything | wanted})
    try:
        yield
    finally:
        system.call("PATCH", f"/clients/{before['id']}", {"data": {key: before[key] for key in keys}})


def new_rule(system: System, folder: Path, **fields: Any) -> dict[str, Any]:
    """A rule for a folder; the row."""
    rule = {
        "name": unique("rule"), "client_id": system.facts["client"], "resource_type": "File system",
        "resource": str(folder), "backup_type": "full", "pool_id": "Default", "storage_duration": "1 day",
    }  # fmt: skip
    body = {"data": {"global_schedule": rule | fields}}
    system.call("POST", "/global_schedule", body, status=201)
    return rule_named(system, rule["name"])


def rule_named(system: System, name: str) -> dict[str, Any]:
    """The rule of that name."""
    (rule,) = system.call("GET", "/global_schedule", filter_data=f'name="{name}"')["data"]["items"]
    return dict(rule)


def execute(system: System, rule: dict[str, Any]) -> int:
    """Run a rule at once; its task."""
    answer = system.call("POST", f"/global_schedule/{rule['id']}/execution")
    return int(answer["message"].rpartition("TASK WAS ADDED TO QUEUE:")[2])


def script(folder: Path, text: str) -> str:
    """A script that root's process may run."""
    folder.chmod(0o755)
    path = folder / unique("script")
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return str(path)


def connected(told: dict[str, Any]) -> dict[str, Any]:
    """What a status tells, as soon as there is one server and the client is connected to it: an earlier test may have killed either."""
    return told if [there for _, there in told["agent"]["servers"]] == [True] else {}


def test_status_tells_of_the_process_and_of_what_is_allowed(system: System) -> None:
    """The host by itself, the settings from the server."""
    with flags(system, client_side_restore=False):
        told = eventually(lambda: connected(tool(system, "status")), 30)

    assert told["agent"]["hwid"] == client(system)["hwid"]
    assert told["client"]["client"] == system.facts["client"]
    assert (told["client"]["ls_pool"], told["client"]["client_side_restore"]) == ("Default", False)


def test_a_user_backs_up_and_restores_by_himself(system: System, tmp_path: Path) -> None:
    """A folder goes into ls_pool and comes back byte for byte; the tools show the copy and both tasks."""
    source, target = tmp_path / "source", tmp_path / "target"
    (source / "inner").mkdir(parents=True)
    (source / "inner" / "file").write_bytes(os.urandom(100_000))
    (source / "left out").write_text("x")
    with flags(system):
        task = tool(system, "backup", str(source), "--wait")
        (copy,) = tool(system, "copies", "--resource", str(source))["copies"]
        restored = tool(system, "restore", str(copy["id"]), "--to", str(target), "--wait")
        part = tmp_path / "part"
        tool(system, "restore", str(copy["id"]), "--to", str(part), "--path", str(source / "inner"), "--wait")
        tasks = [one["id"] for one in tool(system, "tasks")["tasks"]]

    assert (task["status"], task["record"], copy["pool"]) == ("Done", copy["id"], "Default")
    assert task["created_by"].endswith(f"at {system.facts['client']}")
    assert compare_trees(source, f"{target}{source}").equal
    assert sorted(entry.name for entry in Path(f"{part}{source}").iterdir()) == ["inner"]
    assert {task["id"], restored["id"]} <= set(tasks)


def test_a_user_restores_in_place(system: System, tmp_path: Path) -> None:
    """Without --to a file that was changed is what it was; without --yes the tool asks first."""
    (tmp_path / "file").write_text("before")
    with flags(system):
        tool(system, "backup", str(tmp_path), "--wait")
        (copy,) = tool(system, "copies", "--resource", str(tmp_path))["copies"]
        (tmp_path / "file").write_text("after it")
        tool(system, "restore", str(copy["id"]), status=1)
        assert (tmp_path / "file").read_text() == "after it"
        tool(system, "restore", str(copy["id"]), "--yes", "--wait")

    assert (tmp_path / "file").read_text() == "before"


def test_flags_forbid_what_they_are_about(system: System, tmp_path: Path) -> None:
    """Each refusal names the flag and has exit status 1."""
    (tmp_path / "file").write_text("x")
    with flags(system):
        tool(system, "backup", str(tmp_path), "--wait")
        (copy,) = tool(system, "copies", "--resource", str(tmp_path))["copies"]
    with flags(system, client_side_backup=False, client_side_restore=False, lrl_flag=False):
        assert "client_side_backup" in tool(system, "backup", str(tmp_path), status=1)
        assert "client_side_restore" in tool(system, "restore", str(copy["id"]), "--to", "/nowhere", status=1)
        assert "lrl_flag" in tool(system, "rules", status=1)
        assert "lrl_flag" in tool(system, "request-rule", "r", str(tmp_path), "--every", "1 day", status=1)


def test_centralized_restore_keeps_restores_to_the_clients_own_tool(system: System, tmp_path: Path) -> None:
    """A restore through the API is a 409 that says so, one by the tool is done; a restart is a restore too."""
    (tmp_path / "file").write_text("x")
    system.done(system.backup(tmp_path))
    (record,) = system.records(tmp_path)
    restored = system.restore(record["id"], tmp_path / "first")
    system.done(restored)
    with flags(system, centralized_restore=False):
        order = {"target_client": system.facts["client"], "destination_path": str(tmp_path / "second")}
        refusal = system.call(
            "POST", f"/repository/{record['id']}/restoring", {"data": {"restore_task": order}}, status=409
        )
        system.call("POST", "/restart_task", {"data": {"tasks_ids": [restored]}}, status=409)
        tool(system, "restore", str(record["id"]), "--to", str(tmp_path / "third"), "--wait")

    assert "only its own tool restores" in refusal["message"]
    assert not (tmp_path / "second").exists()
    assert Path(f"{tmp_path}/third{tmp_path}/file").read_text() == "x"


def test_a_rule_is_requested_approved_used_and_requested_to_go(system: System, tmp_path: Path) -> None:
    """The way of a rule that a client's user wants, from its wish to its end."""
    (tmp_path / "file").write_text("x")
    name = unique("wanted")
    with flags(system):
        asked = tool(
            system, "request-rule", name, str(tmp_path), "--cron", "30 2 * * 1-5", "--keep", "1 week",
            "--comment", "please",
        )["request"]  # fmt: skip
        state = system.call("GET", "/server_state")["data"]
        assert [one["rule"] for one in state["new_rule_requests"] if one["id"] == asked] == [name]
        assert [one["id"] for one in tool(system, "rules")["requests"] if one["name"] == name] == [asked]

        system.call("POST", "/new_rule_requests/approve", {"ids": [asked]})
        rule = rule_named(system, name)
        shown = {one["id"]: one for one in tool(system, "rules")["rules"]}[rule["id"]]
        assert (shown["status"], shown["schedule"]) == ("wait", "30 2 * * 1-5")
        system.done(execute(system, rule))

        gone = tool(system, "request-rule-deletion", str(rule["id"]), "--comment", "enough")["request"]
        system.call("POST", "/delete_rule_requests/approve", {"ids": [gone]})
        assert rule["id"] not in {one["id"] for one in tool(system, "rules")["rules"]}
        assert len(tool(system, "copies", "--resource", str(tmp_path))["copies"]) == 1


def test_a_copy_is_deleted_when_its_rule_lets_the_client(system: System, tmp_path: Path) -> None:
    """It leaves the repository; the last good one of its rule and a copy of a rule without the flag stay, and why."""
    (tmp_path / "file").write_text("x")
    lets, keeps = new_rule(system, tmp_path, client_delete_flag=True), new_rule(system, tmp_path)
    for rule in (lets, lets, keeps):
        system.done(execute(system, rule))
    first, last, kept = system.records(tmp_path)

    assert tool(system, "delete-copy", str(first["id"]), "--yes") == {"deleted": first["id"]}
    assert "dont_delete_last_gs_rule_archive" in tool(system, "delete-copy", str(last["id"]), "--yes", status=1)
    assert "client_delete_flag" in tool(system, "delete-copy", str(kept["id"]), "--yes", status=1)

    assert [record["id"] for record in system.records(tmp_path)] == [last["id"], kept["id"]]


def test_scripts_of_a_rule_run_after_its_tasks(system: System, tmp_path: Path) -> None:
    """The normal one after the copy, the restore one after its restore; each is told task, copy and status."""
    source, told = tmp_path / "source", tmp_path / "told"
    source.mkdir()
    (source / "file").write_text("x")
    note = f'echo "$RUBACKUP_TASK_ID $RUBACKUP_STATUS $RUBACKUP_RESOURCE $RUBACKUP_RECORD" >> {told}; echo noted'
    rule = new_rule(
        system, source, notify_normal_script=script(tmp_path, note), restore_script=script(tmp_path, note),
        notify_exception_script=script(tmp_path, f"echo never >> {told}"),
    )  # fmt: skip

    task = execute(system, rule)
    system.done(task)
    eventually(told.exists, 30, lambda: system.log(task))
    (record,) = system.records(source)
    restored = system.restore(record["id"], tmp_path / "restored")
    system.done(restored)

    uuid = record["uuid"].replace("-", "")
    expected = [f"{number} Done {source} {uuid}" for number in (task, restored)]
    eventually(lambda: told.read_text().splitlines() == expected, 30, told.read_text)
    eventually(lambda: [line for line in system.log(task) if line.endswith(": noted")], 30, lambda: system.log(task))


def test_a_failed_backup_runs_the_exception_script(system: System, tmp_path: Path) -> None:
    """And not the normal one."""
    told = tmp_path / "told"
    rule = new_rule(
        system, tmp_path / "is not there", notify_normal_script=script(tmp_path, f"echo normal >> {told}"),
        notify_exception_script=script(tmp_path, f"echo $RUBACKUP_STATUS >> {told}"),
    )  # fmt: skip

    assert system.finished(execute(system, rule))["status"] == "Error"

    eventually(lambda: told.exists() and told.read_text() == "Error\n", 30)


def test_scripts_that_hang_hold_no_place_of_tasks(system: System, tmp_path: Path) -> None:
    """More tasks than a client has places end as Done while the script of each hangs, and another one still runs."""
    source, go = tmp_path / "source", tmp_path / "go"
    source.mkdir()
    (source / "file").write_text("x")
    hang = script(tmp_path, f"while [ ! -e {go} ]; do sleep 0.1; done")
    rules = [new_rule(system, source, notify_normal_script=hang) for _ in range(PARALLEL_TASKS + 1)]
    try:
        hanging = [execute(system, rule) for rule in rules]
        for task in hanging:
            system.done(task)
        system.done(system.backup(source))
    finally:
        go.touch()
    for task in hanging:
        eventually(lambda number=task: logged(system, number, hang), 60)


def test_a_script_ends_with_the_clients_process(system: System, tmp_path: Path) -> None:
    """Also one that does not listen to SIGTERM, with all that it started."""
    source, told = tmp_path / "source", tmp_path / "told"
    source.mkdir()
    (source / "file").write_text("x")
    kept = "import os, signal, time; os.setpgid(0, 0); signal.signal(signal.SIGTERM, signal.SIG_IGN); time.sleep(600)"
    stubborn = script(
        tmp_path, f"trap '' TERM\n{sys.executable} -c '{kept}' &\necho $$ $! > {told}.part\nmv {told}.part {told}\nwait"
    )
    system.done(execute(system, new_rule(system, source, notify_normal_script=stubborn)))
    eventually(told.exists, 30)
    left = [int(line) for line in told.read_text().split()]
    process = system.processes()["client"]

    os.kill(process, signal.SIGTERM)

    eventually(lambda: not any(psutil.pid_exists(one) for one in (process, *left)), 30)
    eventually(lambda: system.processes().get("client") not in {None, process}, 30)
    system.done(system.backup(source))


def test_a_script_that_fails_or_is_unsafe_leaves_the_copy_good(system: System, tmp_path: Path) -> None:
    """The task stays Done; the log has a warning, or an error that says why it was not run."""
    source = tmp_path / "source"
    source.mkdir()
    unsafe = script(tmp_path, "echo no")
    Path(unsafe).chmod(0o777)
    for path, level, word in (
        (script(tmp_path, "exit 3"), "warning", "exit code 3"),
        (unsafe, "error", "others may write"),
        ("/no/such/script", "error", "No such file"),
    ):
        task = execute(system, new_rule(system, source, notify_normal_script=path))
        lines = eventually(lambda number=task, script=path: logged(system, number, script), 30)
        assert [line["level"] for line in lines if word in line["text"]] == [level], lines
        assert system.done(task)["status"] == "Done"


def logged(system: System, task: int, path: str) -> list[dict[str, Any]]:
    """Lines of a task's log about a script, as soon as its end is among them."""
    items = system.call("GET", "/task_log", filter_data=f'task_id="{task}"', limit=1000)["data"]["items"]
    lines = [line for line in items if path in line["text"]]
    return lines if any(not line["text"].endswith(" begins.") for line in lines) else []


def test_tools_are_served_again_after_the_clients_process_was_killed(system: System) -> None:
    """Its socket is replaced; until then the tool says that nobody answers, with exit status 3."""
    process = system.processes()["client"]
    os.kill(process, signal.SIGKILL)
    eventually(lambda: system.processes().get("client") not in {None, process}, 30)

    def answers() -> bool:
        command = [*RUBACKUP, "client", "--state", str(system.state), "status"]
        done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert done.returncode in {0, 3}, done.stderr
        return done.returncode == 0

    eventually(answers, 30)
