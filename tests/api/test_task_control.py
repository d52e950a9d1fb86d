"""Killing, pausing, continuing, restarting, removing tasks, and their logs."""

from __future__ import annotations

import pytest
from samples import backup_body

from rubackup.domain.lookups import TaskStatus
from rubackup.domain.tasks import MOVES, Verb
from support.api import Api
from support.fixtures import Stock

STATUSES = ["New", "Assigned", "At_Client", "Execution", "Transmission", "Paused", "Suspended"]
FINAL = ["Done", "Error", "Broken", "Killed"]


def order(api: Api, call: str, task: int) -> int:
    """The status of the answer to an order."""
    return api.post(f"/{call}", {"data": {"task_id": task}}).status_code


def status(api: Api, task: int) -> str:
    """The status of a task."""
    found: str = api.get(f"/task_queue/{task}").json()["data"]["status"]
    return found


@pytest.mark.parametrize(
    ("call", "verb"),
    [("kill_task", Verb.KILL), ("put_task_on_pause", Verb.PAUSE), ("continue_task_working", Verb.CONTINUE)],
)
def test_an_order_does_in_each_state_what_the_table_says(office: Api, rows: Stock, call: str, verb: Verb) -> None:
    """Every cell: a move where there is one, elsewhere the contract's 400, which changes nothing."""
    sources, target = MOVES[verb]
    for before in TaskStatus:
        task = rows.task(status=before.label)
        answer = office.post(f"/{call}", {"data": {"task_id": task}})
        moves = before in sources
        assert (answer.status_code, status(office, task)) == ((200, target.label) if moves else (400, before.label)), (
            before
        )


def test_only_what_has_ended_is_restarted(office: Api, rows: Stock) -> None:
    """Every cell of the fourth order: a new task for each final state, elsewhere a 400; the old task stays as it is."""
    for before in TaskStatus:
        task = rows.task(status=before.label)
        answer = office.post("/restart_task", {"data": {"tasks_ids": [task]}})
        assert answer.status_code == (201 if before.label in FINAL else 400), before
        assert status(office, task) == before.label


@pytest.mark.parametrize("before", STATUSES)
def test_what_has_not_ended_can_be_killed(office: Api, rows: Stock, before: str) -> None:
    """The task is Killed, its log says by whom."""
    task = rows.task(status=before)

    assert order(office, "kill_task", task) == 200

    assert status(office, task) == "Killed"
    lines = office.get(f"/server_task_info?task_id={task}").json()["data"]["items"]
    assert [line["text"] for line in lines] == ["Killed by rubackup."]


@pytest.mark.parametrize("call", ["kill_task", "put_task_on_pause", "continue_task_working"])
@pytest.mark.parametrize("before", FINAL)
def test_what_has_ended_stays_so(office: Api, rows: Stock, call: str, before: str) -> None:
    """The contract's 400, and the status is in the sentence."""
    task = rows.task(status=before)

    answer = office.post(f"/{call}", {"data": {"task_id": task}})

    assert answer.status_code == 400
    assert before in answer.json()["message"]
    assert status(office, task) == before


def test_a_paused_task_waits_until_it_is_continued(office: Api, rows: Stock) -> None:
    """Pausing a running task stops it; continuing makes it New again; continuing twice is a 400."""
    task = rows.task(status="Execution")

    assert order(office, "put_task_on_pause", task) == 200
    assert status(office, task) == "Paused"
    assert order(office, "continue_task_working", task) == 200
    assert status(office, task) == "New"
    assert order(office, "continue_task_working", task) == 400


def test_a_task_that_is_not_there_is_404(office: Api) -> None:
    """Every order names the missing task."""
    assert order(office, "kill_task", 4711) == 404
    assert office.post("/restart_task", {"data": {"tasks_ids": [4711]}}).status_code == 404
    assert office.get("/client_task_info?task_id=4711").status_code == 404


def test_an_order_is_audited_with_before_and_after(office: Api, rows: Stock) -> None:
    """Who killed what stands in the audit."""
    task = rows.task()
    order(office, "kill_task", task)

    audit = office.fetch("SELECT row_ids, before, after FROM audit WHERE resource = 'kill_task'")[0]
    assert (audit["row_ids"], audit["before"], audit["after"]) == ([task], {"status": "New"}, {"status": "Killed"})


def test_restarting_makes_tasks_that_do_the_same(office: Api) -> None:
    """New tasks name the old ones and have all of their fields and reservations."""
    office.post("/task_queue", backup_body(office, priority=9))
    old = office.get("/task_queue").json()["data"]["items"][0]
    order(office, "kill_task", old["id"])

    answer = office.post("/restart_task", {"data": {"tasks_ids": [old["id"]]}})

    number = int(answer.json()["message"].rpartition("TASK WAS ADDED TO QUEUE:")[2])
    new = office.get(f"/task_queue/{number}").json()["data"]
    assert answer.status_code == 201
    assert new["restarted_from"] == old["id"]
    same = ("task_type", "client", "pool", "resource", "backup_type", "priority", "storage_duration", "parameters")
    assert {key: new[key] for key in same} == {key: old[key] for key in same}
    assert office.fetch("SELECT 1 FROM task_reservations WHERE task_id = $1 AND exclusive", number)


def test_several_restarts_are_all_or_nothing(office: Api, rows: Stock) -> None:
    """One task that has not ended keeps all; the message joins the numbers."""
    done, error, new = rows.task(status="Done"), rows.task(status="Error"), rows.task()

    refused = office.post("/restart_task", {"data": {"tasks_ids": [done, new]}})
    both = office.post("/restart_task", {"data": {"tasks_ids": [done, error]}})

    assert refused.status_code == 400
    assert str(new) in refused.json()["message"]
    assert both.json()["message"].endswith(f"TASK WAS ADDED TO QUEUE:{new + 1},{new + 2}")


def test_what_is_gone_cannot_be_done_again(office: Api, rows: Stock) -> None:
    """A task without its client or copy is a 409 that says what is missing."""
    client = rows.client()
    orphan = rows.task(client=client, status="Error")
    office.delete(f"/clients/{client}")
    lost = rows.task(task_type="Verify", executor="media", record_id=4711, status="Error")

    assert "client" in office.post("/restart_task", {"data": {"tasks_ids": [orphan]}}).json()["message"]
    answer = office.post("/restart_task", {"data": {"tasks_ids": [lost]}})
    assert answer.status_code == 409
    assert "copy" in answer.json()["message"]


@pytest.mark.parametrize("task_type", ["Restore", "Verify"])
def test_a_task_on_a_foreign_copy_is_not_done_again(rows: Stock, task_type: str) -> None:
    """Whose copy one may not see, one's own client's task cannot read it again; nothing is queued."""
    group = rows.client_group()
    own, foreign = rows.client(group=group), rows.record()
    task = rows.task(client=own, task_type=task_type, record_id=foreign, status="Done")
    caller = rows.administrator(group)

    assert caller.post("/restart_task", {"data": {"tasks_ids": [task]}}).status_code == 404
    assert rows.api.post("/restart_task", {"data": {"tasks_ids": [task]}}).status_code == 201


def test_a_task_on_a_copy_that_is_only_seen_is_not_done_again(rows: Stock) -> None:
    """A maintainer's sight of a copy on his server is no right to have it restored."""
    media, group = rows.media_server(), rows.client_group()
    pool = rows.pool_with_storage(media=media)
    caller = rows.administrator(group)
    user = rows.row("SELECT user_id FROM administrators WHERE client_group_id = $1", group)["user_id"]
    rows.insert("maintainers", user_id=user, media_server_id=media)
    foreign = rows.record(pool=pool)
    task = rows.task(client=rows.client(group=group), pool=pool, task_type="Restore", record_id=foreign, status="Done")

    assert caller.post("/restart_task", {"data": {"tasks_ids": [task]}}).status_code == 403


@pytest.mark.parametrize(("shared", "expected"), [(False, 403), (True, 201)])
def test_a_restore_to_another_client_is_done_again_within_a_shared_group(
    rows: Stock, shared: bool, expected: int
) -> None:
    """As for a new restore, the group of both clients must be shared still."""
    group = rows.client_group(shared=shared)
    record = rows.record(client=rows.client(group=group))
    task = rows.task(client=rows.client(group=group), task_type="Restore", record_id=record, status="Done")

    answer = rows.administrator(group).post("/restart_task", {"data": {"tasks_ids": [task]}})

    assert answer.status_code == expected


def test_tasks_at_work_are_not_removed(office: Api, rows: Stock) -> None:
    """A worker's task is a 409, alone and among others; the rest can go."""
    busy, idle = rows.task(status="Transmission"), rows.task(status="Done")

    assert office.delete(f"/task_queue/{busy}").status_code == 409
    assert office.delete("/task_queue", {"ids": [idle, busy]}).status_code == 409
    assert office.delete("/task_queue", {"ids": [idle]}).status_code == 200


@pytest.mark.parametrize(
    ("word", "removed"), [("error", "Error"), ("killed", "Killed"), ("obsoleted", "Done"), ("ERROR", "Error")]
)
def test_tasks_are_removed_by_how_they_ended(office: Api, rows: Stock, word: str, removed: str) -> None:
    """The guide's three words; nothing to remove is a 404, another word a 400."""
    tasks = {one: rows.task(status=one) for one in FINAL}

    assert office.delete(f"/task_queue/{word}").status_code == 200

    left = {item["id"] for item in office.get("/task_queue").json()["data"]["items"]}
    assert left == set(tasks.values()) - {tasks[removed]}
    assert office.delete(f"/task_queue/{word}").status_code == 404
    assert office.delete("/task_queue/waiting").status_code == 400


def test_a_tasks_logs_are_told_apart(office: Api, rows: Stock) -> None:
    """What the client wrote, and what server and media server wrote, oldest first, paged."""
    task = rows.task()
    for source in ("client", "server", "media", "client"):
        rows.task_line(task=task, source=source, text=f"from {source}")
    rows.task_line(source="client", text="of another task")

    client = office.get(f"/client_task_info?task_id={task}&limit=1").json()["data"]
    servers = office.get(f"/server_task_info?task_id={task}").json()["data"]

    assert (client["total"], [line["text"] for line in client["items"]]) == (2, ["from client"])
    assert [line["source"] for line in servers["items"]] == ["server", "media"]
    assert office.get("/client_task_info").status_code == 400


def test_progress_is_told(office: Api, rows: Stock) -> None:
    """Percent, speed and the seconds that are left follow from the side table."""
    task = rows.task(status="Transmission")
    office.execute(
        """INSERT INTO task_progress (task_id, fence, lease_until, files_done, files_total, bytes_done, bytes_total,
           bytes_sent, speed_bytes_per_second) VALUES ($1, 1, now(), 3, 10, 250, 1000, 100, 50)""",
        task,
    )

    row = office.get(f"/task_queue/{task}").json()["data"]
    assert (row["percent"], row["speed_bytes_per_second"], row["eta_seconds"]) == (25, 50, 15)
    assert (row["files_done"], row["files_total"], row["bytes_sent"]) == (3, 10, 100)
