"""Rules of client groups: whoever is in the group is backed up."""

from __future__ import annotations

from typing import Any

from samples_schedule import short_rule

from rubackup.services import own_rules
from support.api import Api
from support.fixtures import Stock


def made(api: Api, group: int, rows: Stock, **fields: Any) -> dict[str, Any]:
    """A rule of a group, as a read shows it."""
    name = rows.named("client_groups", group, "name")
    answer = api.post("/global_schedule", short_rule(api, client_id=name, **fields))
    assert answer.status_code == 201, answer.text
    data: dict[str, Any] = api.get(answer.headers["location"].removeprefix("/api/v1")).json()["data"]
    return data


def test_a_rule_names_a_client_group(office: Api, rows: Stock) -> None:
    """The name of a group in place of a client; a read gives it back, and it can be written again."""
    group = rows.client_group()
    rule = made(office, group, rows)

    assert (rule["client_id"], rule["client_id_ref"]) == (rows.named("client_groups", group, "name"), None)
    assert rule["client_group_ref"] == group
    changed = office.patch(f"/global_schedule/{rule['id']}", {"data": {"global_schedule": {"priority": 7}}})
    assert changed.status_code == 200, changed.text
    assert office.patch("/global_schedule", {"data": [{"id": rule["id"], "status": "run"}]}).status_code == 200
    lines = office.get("/global_schedule_log").json()["data"]["items"]
    assert [(line["action"], line["client"], line["client_ref"]) for line in lines] == [
        (action, rule["client_id"], None) for action in ("status", "changed", "created")
    ]


def test_neither_a_client_nor_a_group(office: Api) -> None:
    """A name that stands for nothing is told under its field."""
    answer = office.post("/global_schedule", short_rule(office, client_id="nowhere"))

    assert answer.status_code == 400
    assert answer.json()["errors"].keys() == {"data.global_schedule.client_id"}


def test_execution_backs_up_every_client_of_the_group(office: Api, rows: Stock) -> None:
    """One task for each; a client whose task waits already gets no second one, and an empty group has none."""
    group = rows.client_group()
    rule = made(office, group, rows)["id"]
    assert office.post(f"/global_schedule/{rule}/execution").status_code == 409
    clients = [rows.client(group=group) for _ in range(3)]

    answer = office.post(f"/global_schedule/{rule}/execution")
    assert answer.status_code == 200, answer.text
    numbers = answer.json()["message"].rpartition("QUEUE:")[2].split(",")
    assert [office.get(f"/task_queue/{one.strip()}").json()["data"]["client_ref"] for one in numbers] == clients
    assert office.post(f"/global_schedule/{rule}/execution").status_code == 409
    lines = office.get("/global_schedule_log").json()["data"]["items"]
    assert [(line["client_ref"], line["user_name"]) for line in lines] == [
        (one, "rubackup") for one in (*reversed(clients), None)
    ]

    office.execute("UPDATE task_queue SET status = 'Execution' WHERE client_id = $1", clients[1])
    office.post(f"/global_schedule/{rule}/execution")
    queue = office.fetch("SELECT client_id FROM task_queue ORDER BY id")
    assert [row["client_id"] for row in queue] == [*clients, clients[1]]


def test_a_group_with_rules_stays(office: Api, rows: Stock) -> None:
    """Deleting it is a 409 until its rules are gone."""
    group = rows.client_group()
    rule = made(office, group, rows)["id"]

    assert office.delete(f"/client_groups/{group}").status_code == 409
    assert office.delete(f"/global_schedule/{rule}").status_code in {200, 204}
    assert office.delete(f"/client_groups/{group}").status_code in {200, 204}


def test_rules_of_a_group_are_its_administrators(office: Api, rows: Stock) -> None:
    """An administrator makes, sees and changes rules of his own groups; those of others do not exist for him."""
    own, other = rows.client_group(), rows.client_group()
    mine, foreign = made(office, own, rows)["id"], made(office, other, rows)["id"]
    caller = rows.administrator(own)

    assert [row["id"] for row in caller.get("/global_schedule").json()["data"]["items"]] == [mine]
    assert caller.get(f"/global_schedule/{foreign}").status_code == 404
    assert caller.patch("/global_schedule", {"data": [{"id": mine, "status": "run"}]}).status_code == 200
    refused = caller.post("/global_schedule", short_rule(office, client_id=rows.named("client_groups", other, "name")))
    assert refused.json()["errors"].keys() == {"data.global_schedule.client_id"}


def test_the_clients_own_tools_see_the_rules_of_their_group(office: Api, rows: Stock) -> None:
    """A client is shown the rules of its group, and may have their copies deleted where they let it."""
    group = rows.client_group()
    member, stranger = rows.client(group=group), rows.client()
    rule = made(office, group, rows, client_delete_flag=True)["id"]

    async def told(client: int) -> tuple[list[int], bool]:
        async with office.database.connection() as db:
            shown = [row["id"] for row in await own_rules.rules_of(db, client)]
            return shown, await own_rules.lets_client_delete(db, client, rule, None)

    assert office.run(told(member)) == ([rule], True)
    assert office.run(told(stranger)) == ([], False)


def test_an_expired_rule_of_a_group_is_in_the_state(office: Api, rows: Stock) -> None:
    """As those of clients are."""
    group = rows.client_group()
    made(office, group, rows, validity_end_period="2024-01-01T00:00:00Z")

    (expired,) = office.get("/server_state").json()["data"]["expired_global_schedule_rules"]
    assert expired["client"] == rows.named("client_groups", group, "name")
