"""Who sees and changes which rows: the matrix of the design, section 6, over real families."""

from __future__ import annotations

import pytest
from samples import backup_body

from rubackup.domain.permissions import Role
from support.api import Api
from support.fixtures import Stock


def seen(caller: Api, path: str) -> set[int]:
    """The ids in a list."""
    answer = caller.get(path, params={"limit": 1000})
    assert answer.status_code == 200, answer.text
    return {item["id"] for item in answer.json()["data"]["items"]}


def test_an_administrator_sees_what_belongs_to_his_groups(rows: Stock) -> None:
    """Clients, groups, tasks, copies and both logs of other groups do not exist."""
    group = rows.client_group()
    own, other = rows.client(group=group), rows.client()
    tasks = rows.task(client=own), rows.task(client=other)
    lines = rows.task_line(task=tasks[0]), rows.task_line(task=tasks[1])
    records = rows.record(client=own), rows.record(client=other)
    caller = rows.administrator(group)

    assert seen(caller, "/clients") == {own}
    assert seen(caller, "/client_groups") == {group}
    assert seen(caller, "/task_queue") == {tasks[0]}
    assert seen(caller, "/task_log") == {lines[0]}
    assert seen(caller, "/repository") == {records[0]}
    assert caller.get(f"/client_task_info?task_id={tasks[1]}").status_code == 404
    assert caller.get(f"/repository_record_file_list?id={records[1]}").status_code == 404
    assert caller.post("/repository/deletion_reference_chain", {"ids": [records[1]]}).status_code == 404


def test_a_maintainer_sees_what_is_on_his_media_servers(rows: Stock) -> None:
    """Pools, storages, tasks and copies on other media servers do not exist; clients neither."""
    media = rows.media_server()
    own, other = rows.pool_with_storage(media=media), rows.pool_with_storage()
    tasks = rows.task(pool=own), rows.task(pool=other)
    records = rows.record(pool=own), rows.record(pool=other)
    caller = rows.maintainer(media)

    assert seen(caller, "/media_servers") == {media}
    assert seen(caller, "/pool_list") == {own}
    assert len(seen(caller, "/storage_local_catalogs")) == 1
    assert seen(caller, "/task_queue") == {tasks[0]}
    assert seen(caller, "/repository") == {records[0]}
    assert caller.get("/clients").status_code == 403
    assert seen(caller, "/unauthorised_media_servers") == set()


def test_a_client_out_of_scope_is_unknown_when_named(rows: Stock) -> None:
    """A body that names it is refused as if it were not there."""
    caller = rows.administrator(rows.client_group())

    answer = caller.post("/task_queue", backup_body(rows.api))

    assert answer.status_code == 400
    assert answer.json()["errors"] == {"data.task.client": "unknown client."}


@pytest.mark.parametrize("call", ["kill_task", "put_task_on_pause", "continue_task_working"])
def test_a_task_out_of_scope_cannot_be_moved(rows: Stock, call: str) -> None:
    """It is a 404, as for a task that does not exist."""
    caller = rows.administrator(rows.client_group())

    assert caller.post(f"/{call}", {"data": {"task_id": rows.task()}}).status_code == 404


def test_removing_by_status_leaves_others_tasks(rows: Stock) -> None:
    """Only tasks of own clients go."""
    group = rows.client_group()
    own, other = rows.task(client=rows.client(group=group), status="Error"), rows.task(status="Error")

    answer = rows.administrator(group).delete("/task_queue/error")

    assert answer.status_code == 200
    assert seen(rows.api, "/task_queue") & {own, other} == {other}


def test_what_one_role_shows_another_does_not_change(rows: Stock) -> None:
    """A maintainer who is an administrator sees tasks on his servers and kills only those of his clients."""
    media, group = rows.media_server(), rows.client_group()
    caller = rows.administrator(group)
    user = rows.row("SELECT user_id FROM administrators WHERE client_group_id = $1", group)["user_id"]
    rows.insert("maintainers", user_id=user, media_server_id=media)
    task, record = rows.task(pool=rows.pool_with_storage(media=media)), rows.record(pool=rows.pool(media=media))
    foreign_pool = rows.pool()

    assert task in seen(caller, "/task_queue")
    assert caller.post("/kill_task", {"data": {"task_id": task}}).status_code == 403
    assert caller.delete(f"/task_queue/{task}").status_code == 403
    assert caller.delete(f"/repository/{record}").status_code == 403
    assert caller.patch(f"/pool_list/{foreign_pool}", {"data": {"description": "mine"}}).status_code == 403


def test_an_auditor_who_is_an_administrator_changes_own_groups_only(rows: Stock) -> None:
    """He sees every client; a foreign one cannot be changed."""
    group = rows.client_group()
    own, other = rows.client(group=group), rows.client()
    caller = rows.administrator(group)
    user = rows.row("SELECT user_id FROM administrators WHERE client_group_id = $1", group)["user_id"]
    rows.insert("auditors", user_id=user)

    assert seen(caller, "/clients") == {own, other}
    assert caller.patch(f"/clients/{other}", {"data": {"description": "x"}}).status_code == 403
    assert caller.patch(f"/clients/{own}", {"data": {"description": "x"}}).status_code == 200


def test_a_client_cannot_be_moved_out_of_the_own_groups(rows: Stock) -> None:
    """A group that one does not administer is unknown."""
    group = rows.client_group()
    client = rows.client(group=group)

    answer = rows.administrator(group).patch(f"/clients/{client}", {"data": {"group_id": "No group"}})

    assert answer.json()["errors"] == {"data.group_id": "unknown client group."}


def test_a_maintainer_makes_pools_on_own_servers_only(rows: Stock) -> None:
    """Another media server is unknown when named."""
    own, other = rows.media_server(), rows.media_server()
    caller = rows.maintainer(own)

    answers = [
        caller.post(
            "/pool_list", {"data": {"pool_name": f"p{media}", "pool_type": "File system", "media_server": media}}
        )
        for media in (own, other)
    ]

    assert [answer.status_code for answer in answers] == [201, 400]
    assert answers[1].json()["errors"] == {"data.media_server": "unknown media server."}


def test_a_deleted_clients_copies_stay_with_its_group(rows: Stock) -> None:
    """Copies outlive their client; its administrator still sees and restores them."""
    group = rows.client_group()
    client = rows.client(group=group)
    record = rows.record(client=client)
    caller = rows.administrator(group)

    assert caller.delete(f"/clients/{client}").status_code == 200

    assert seen(caller, "/repository") == {record}
    assert caller.get(f"/repository/{record}").json()["data"]["client_ref"] is None


def test_media_servers_are_deleted_by_supervisors_only(rows: Stock, office: Api) -> None:
    """A maintainer may edit his media server, not delete it."""
    media = rows.media_server()

    assert rows.maintainer(media).delete(f"/media_servers/{media}").status_code == 403
    assert office.user("boss", Role.SUPERVISOR).delete(f"/media_servers/{media}").status_code == 200
