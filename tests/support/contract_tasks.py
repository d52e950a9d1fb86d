"""Contract rows: the task queue, what operators do with tasks, the repository of copies, the logs."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx

from rubackup.client.compare import compare_trees
from support.office import MISSING, Office, example, unique
from support.rows import Call, Effect, Row, Rows, about, data_of, deletes, lists, log_rows, reads

# --- the queue ---


def _backup(office: Office) -> Call:
    body = example("POST", "/task_queue", client=office.client, resource=str(office.source))
    return Call("/task_queue", body)


def _backed_up(office: Office, _call: Call, answer: httpx.Response) -> None:
    """The copy is there, and comes back byte for byte."""
    (task,) = office.finished_tasks(answer.json()["message"])
    assert task["status"] == "Done", task
    target = office.folder / unique("target")
    office.system.done(office.system.restore(task["record"], target))
    assert compare_trees(office.source, target / str(office.source).lstrip("/")).differences == []


def _ended(status: str) -> Callable[[Office], int]:
    """A task that has ended so: its row is changed, the way there is the business of other tests."""

    def make(office: Office) -> int:
        number = office.done_task()
        office.sql("UPDATE task_queue SET status = $2 WHERE id = $1", number, status)
        return number

    return make


def _by_status(office: Office) -> Call:
    return Call("/task_queue/error", about=_ended("Error")(office))


def _none_left(office: Office, _call: Call, _answer: httpx.Response) -> None:
    assert office.items("/task_queue", filter_data='status="Error"') == []


def _waiting(status: str = "New") -> Callable[[Office], int]:
    def make(office: Office) -> int:
        number = office.held_task()
        if status == "Paused":
            office.call("POST", "/put_task_on_pause", {"data": {"task_id": number}})
        return number

    return make


def _order(path: str, make: Callable[[Office], int], reached: set[str]) -> Rows:
    """POST of a task's number: the task is in one of these states afterwards."""

    def effect(office: Office, call: Call, _answer: httpx.Response) -> None:
        assert office.row("/task_queue", call.about)["status"] in reached

    def prepare(office: Office) -> Call:
        number = make(office)
        return Call(path, {"data": {"task_id": number}}, about=number)

    absent = Call(path, {"data": {"task_id": MISSING}})
    return {("POST", path): Row(prepare, effect, absent=lambda _o: absent)}


def _restarting(office: Office) -> Call:
    number = office.done_task()
    return Call("/restart_task", {"data": {"tasks_ids": [number]}}, about=number)


def _restarted(office: Office, call: Call, answer: httpx.Response) -> None:
    (task,) = office.finished_tasks(answer.json()["message"])
    assert (task["status"], task["restarted_from"]) == ("Done", call.about)


def _info(path: str) -> Rows:
    def prepare(office: Office) -> Call:
        link = office.folder / unique("link")
        link.symlink_to(office.source)
        number = office.task(link)
        office.system.done(number)
        return Call(path, query={"task_id": number})

    def effect(_office: Office, _call: Call, answer: httpx.Response) -> None:
        assert data_of(answer)["total"] >= 1
        assert all(line["text"] for line in data_of(answer)["items"])

    return {("GET", path): Row(prepare, effect, absent=lambda _o: Call(path, query={"task_id": MISSING}))}


QUEUE: Rows = {
    **lists("/task_queue", lambda o: o.done_task()),
    **reads("/task_queue", lambda o: o.done_task()),
    **deletes("/task_queue", lambda o: o.done_task()),
    ("POST", "/task_queue"): Row(_backup, _backed_up, absent=lambda _o: Call("/task_queue/1/nothing")),
    ("DELETE", "/task_queue/{status}"): Row(_by_status, _none_left, absent=lambda _o: Call("/task_queue/error")),
    **_order("/kill_task", _waiting(), {"Killed"}),
    **_order("/put_task_on_pause", _waiting(), {"Paused"}),
    **_order("/continue_task_working", _waiting("Paused"), {"New", "Assigned"}),
    ("POST", "/restart_task"): Row(
        _restarting, _restarted, absent=lambda _o: Call("/restart_task", {"data": {"tasks_ids": [MISSING]}})
    ),
    **_info("/client_task_info"),
    **_info("/server_task_info"),
    **log_rows("/task_log", lambda o: o.items("/task_log", filter_data=f'task_id="{o.done_task()}"')[0]["id"]),
}

# --- the repository ---


def _restoring(office: Office) -> Call:
    body = example(
        "POST", "/repository/{id}/restoring", target_client=office.client,
        destination_path=str(office.folder / unique("target")),
    )  # fmt: skip
    return about("/repository", office.record(), body, rest="/restoring")


def _restored(office: Office, call: Call, answer: httpx.Response) -> None:
    (task,) = office.finished_tasks(answer.json()["message"])
    assert task["status"] == "Done", task
    source = Path(office.row("/repository", call.about)["resource"])
    target = Path(call.body["data"]["restore_task"]["destination_path"])
    assert compare_trees(source, target / str(source).lstrip("/")).differences == []


def _verified(office: Office, call: Call, answer: httpx.Response) -> None:
    (task,) = office.finished_tasks(answer.json()["message"])
    assert task["status"] == "Done", task
    assert office.row("/repository", call.about)["verification_status"] == "Trusted"


def _carrying(verb: str) -> Callable[[Office], Call]:
    def prepare(office: Office) -> Call:
        row_id = office.record()
        return Call(f"/repository/{row_id}/{verb}", query={"pool": office.second_pool}, about=row_id)

    return prepare


def _absent_carrying(verb: str) -> Callable[[Office], Call]:
    return lambda office: Call(f"/repository/{MISSING}/{verb}", query={"pool": office.second_pool})


def _carried(*, moved: bool) -> Effect:
    """The copy is in the other pool and comes back byte for byte; a moved one is in no other."""

    def effect(office: Office, call: Call, answer: httpx.Response) -> None:
        (task,) = office.finished_tasks(answer.json()["message"])
        assert task["status"] == "Done", (task, office.system.log(task["id"]))
        there = [row for row in office.system.records(task["resource"]) if row["pool"] == office.second_pool]
        assert len(there) == 1, there
        left = office.items("/repository", filter_data=f'id="{call.about}"')
        assert bool(left and left[0]["pool"] == "Default") is not moved
        source, target = Path(task["resource"]), office.folder / unique("target")
        office.system.done(office.system.restore(there[0]["id"], target))
        assert compare_trees(source, target / str(source).lstrip("/")).differences == []

    return effect


def _keeping(office: Office) -> Call:
    body = example("PATCH", "/repository/{id}", store_until="2094-09-07T22:06:09.801038Z")
    return about("/repository", office.record(), body)


def _kept(office: Office, call: Call, _answer: httpx.Response) -> None:
    assert office.row("/repository", call.about)["store_until"].startswith("2094-09-07T22:06:09.801038")


def _chain(office: Office) -> Call:
    row_id = office.record()
    folder = Path(office.row("/repository", row_id)["resource"])
    office.system.done(office.task(folder, backup_type="incremental"))
    return Call("/repository/deletion_reference_chain", {"ids": [row_id]}, about=row_id)


def _chain_shown(_office: Office, call: Call, answer: httpx.Response) -> None:
    found = data_of(answer)["items"]
    assert [row["depth"] for row in found] == [0, 1]
    assert found[1]["parent_id"] == call.about


def _restore_extension(_office: Office, _call: Call, answer: httpx.Response) -> None:
    assert "numeric_owner" in {row["name"] for row in data_of(answer)["module_extensions"]}


def _files(office: Office) -> Call:
    row_id = office.record()
    folder = office.row("/repository", row_id)["resource"]
    return Call("/repository_record_file_list", query={"id": row_id, "path": folder}, about=row_id)


def _files_shown(_office: Office, call: Call, answer: httpx.Response) -> None:
    assert call.query is not None
    assert [entry["path"] for entry in data_of(answer)["items"]] == [f"{call.query['path']}/file"]


REPOSITORY: Rows = {
    **lists("/repository", lambda o: o.record()),
    **reads("/repository", lambda o: o.record()),
    **deletes("/repository", lambda o: o.record()),
    ("PATCH", "/repository/{id}"): Row(_keeping, _kept),
    ("POST", "/repository/{id}/restoring"): Row(_restoring, _restored),
    ("POST", "/repository/{id}/verification"): Row(
        lambda o: about("/repository", o.record(), rest="/verification"), _verified
    ),
    ("POST", "/repository/{id}/copying"): Row(_carrying("copying"), _carried(moved=False), absent=_absent_carrying("copying")),
    ("POST", "/repository/{id}/moving"): Row(_carrying("moving"), _carried(moved=True), absent=_absent_carrying("moving")),
    ("POST", "/repository/deletion_reference_chain"): Row(
        _chain, _chain_shown, absent=lambda _o: Call("/repository/deletion_reference_chain", {"ids": [MISSING]})
    ),
    ("GET", "/repository/extension"): Row(
        lambda _o: Call("/repository/extension"), _restore_extension, absent=lambda _o: Call("/repository/extension/1")
    ),
    ("GET", "/repository_record_file_list"): Row(
        _files, _files_shown, absent=lambda _o: Call("/repository_record_file_list", query={"id": MISSING, "path": "/"})
    ),
    **log_rows("/repository_log", lambda o: o.items("/repository_log", filter_data=f'record="{o.record()}"')[0]["id"]),
}  # fmt: skip

ROWS: Rows = QUEUE | REPOSITORY
