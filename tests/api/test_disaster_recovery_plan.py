"""The disaster recovery plan: what entries take, what a check finds, and what comes back by itself."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import msgspec
import pytest
from samples_strategies import plan_body

from rubackup.catalog.database import DatabaseAddress
from rubackup.domain.errors import Corrupt, Unavailable
from rubackup.domain.permissions import Role
from rubackup.resources import RESOURCES
from rubackup.services.ports import CopyEntry, Destination
from support.api import Api, running_api
from support.fixtures import KEYS, Stock, stock
from support.hosts import AnsweringHosts


class Disk(AnsweringHosts):
    """One client whose folders are as `facts` say; media servers open every copy, unless `broken` says why not."""

    def __init__(self) -> None:
        self.facts: dict[str, Any] = {}
        self.asked: list[str] = []
        self.silent = False
        self.broken: Exception | None = None
        self.opened: list[tuple[int, str]] = []
        self.meanwhile: Callable[[], Any] | None = None

    async def check_destinations(self, client_hwid: str, paths: Sequence[str]) -> list[Destination]:
        """Folders below /a of one large disk, but for the `facts`."""
        if self.meanwhile is not None:
            await self.meanwhile()
        if self.silent:
            raise Unavailable(f"The client {client_hwid} did not answer in 10 s.")
        self.asked = list(paths)
        disk = Destination(
            path="", folder="/a", filesystem="ext4", writable=True, device="8:1", free_bytes=1 << 40, size_bytes=1 << 40
        )
        return [msgspec.structs.replace(disk, path=path, **self.facts) for path in paths]

    async def list_record(
        self, media_hwid: str, pool_id: int, record_uuid: str, path: str, page: int, limit: int, kept: str = ""
    ) -> tuple[list[CopyEntry], int]:
        """Notes what was opened."""
        if self.broken is not None:
            raise self.broken
        self.opened.append((pool_id, path))
        return [], 0


@pytest.fixture
def disk() -> Disk:
    """The client's disk."""
    return Disk()


@pytest.fixture
def office(database: DatabaseAddress, disk: Disk) -> Iterator[Api]:
    """The superuser, logged in, of the whole API over that disk."""
    with running_api(database, RESOURCES, disk) as caller:
        caller.login("rubackup")
        yield caller


def healthy_pool(rows: Stock) -> int:
    """A pool that its media server reports as good."""
    pool = rows.pool_with_storage()
    rows.api.execute("INSERT INTO pool_state (pool_id, problem, reported_at) VALUES ($1, '', now())", pool)
    return pool


def at(day: int) -> dt.datetime:
    """A day of January 2024."""
    return dt.datetime(2024, 1, day, tzinfo=dt.UTC)


def check(api: Api, plan: int) -> list[str]:
    """What a check finds; list and row say the same afterwards."""
    answer = api.post(f"/disaster_recovery_plan/{plan}/checking")
    assert answer.status_code == 200, answer.text
    found, row = answer.json()["data"], api.get(f"/disaster_recovery_plan/{plan}").json()["data"]
    problems: list[str] = found["problems"]
    assert found["status"] == row["status"] == ("Failed" if problems else "Ready")
    assert (row["problem"], row["checked_at"]) == (" ".join(problems), found["checked_at"])
    return problems


# --- entries ---


def test_every_key_of_the_guides_body_is_kept_and_shown(office: Api) -> None:
    """What was written is read with the same text; nothing was checked yet."""
    body = plan_body(office, resource="/srv/data", restore_destination="/for_restore", description="d", priority=7)

    answer = office.post("/disaster_recovery_plan", body)

    row = office.get(answer.headers["location"].removeprefix("/api/v1")).json()["data"]
    assert {key: row[key] for key in body["data"]} == body["data"]
    assert (row["status"], row["checked_at"]) == ("Not checked", None)


def test_every_wrong_field_is_told_at_once(office: Api) -> None:
    """An unknown resource type names those that there are."""
    answer = office.post(
        "/disaster_recovery_plan",
        plan_body(
            office, client="nobody (0123456789abcdef)", resource_type="Aerodisk AIST", resource="home",
            restore_destination="/a/../b",
        ),
    )  # fmt: skip

    assert answer.status_code == 400
    errors = answer.json()["errors"]
    assert errors.keys() == {
        f"data.{name}" for name in ("client", "resource_type", "resource", "restore_destination")
    }  # fmt: skip
    assert errors["data.resource_type"] == "must be one of: File system."


def test_an_entry_about_something_else_is_unchecked(office: Api, rows: Stock) -> None:
    """Its last check says nothing any more; a new description does not change that."""
    plan = rows.recovery_plan(status="Failed", problem="Something.", checked_at=at(1))

    office.patch(f"/disaster_recovery_plan/{plan}", {"data": {"description": "x", "priority": 3, "autorun": True}})
    assert office.get(f"/disaster_recovery_plan/{plan}").json()["data"]["status"] == "Failed"

    office.patch(f"/disaster_recovery_plan/{plan}", {"data": {"resource": "/srv"}})
    row = office.get(f"/disaster_recovery_plan/{plan}").json()["data"]
    assert (row["status"], row["problem"], row["checked_at"]) == ("Not checked", "", None)


def test_an_administrator_keeps_the_plan_of_his_clients(rows: Stock) -> None:
    """Entries of others do not exist for him, their clients are unknown when named."""
    group = rows.client_group()
    own, other = rows.recovery_plan(client=rows.client(group=group)), rows.recovery_plan()
    caller = rows.administrator(group)

    assert [item["id"] for item in caller.get("/disaster_recovery_plan").json()["data"]["items"]] == [own]
    assert caller.patch(f"/disaster_recovery_plan/{own}", {"data": {"priority": 1}}).status_code == 200
    assert caller.post(f"/disaster_recovery_plan/{other}/checking").status_code == 404
    refused = caller.patch(f"/disaster_recovery_plan/{own}", {"data": {"client": rows.client()}})
    assert refused.json()["errors"] == {"data.client": "unknown client."}
    assert caller.delete(f"/disaster_recovery_plan/{own}").status_code == 200


def test_an_entry_outlives_its_client(office: Api, rows: Stock) -> None:
    """It keeps name, hardware id and group, and can still be read and sent back."""
    group = rows.client_group()
    client = rows.client()
    label = rows.label(client)
    plan = rows.recovery_plan(client=client)
    office.patch(f"/clients/{client}", {"data": {"group_id": group}})

    office.delete(f"/clients/{client}")

    caller = rows.administrator(group)
    row = caller.get(f"/disaster_recovery_plan/{plan}").json()["data"]
    assert (row["client"], row["client_ref"]) == (label, None)
    assert (
        caller.patch(f"/disaster_recovery_plan/{plan}", {"data": {"client": label, "priority": 4}}).status_code == 200
    )


# --- checking ---


def test_a_recovery_that_would_go_well_is_ready(office: Api, rows: Stock, disk: Disk) -> None:
    """Client online, newest copy good, pool and media server there, destination reachable: the copy was opened."""
    client, pool = rows.client(), healthy_pool(rows)
    rows.record(client=client, pool=pool, resource="/home")

    assert check(office, rows.recovery_plan(client=client)) == []
    assert disk.opened == [(pool, "/home")]


def test_everything_that_is_missing_is_named(office: Api, rows: Stock, disk: Disk) -> None:
    """A silent client that does not serve the type, a damaged copy, a media server in service mode that is offline."""
    client, pool = rows.client(resource_types=["Other"]), healthy_pool(rows)
    rows.record(client=client, pool=pool, created_at=at(1))
    record = rows.record(client=client, pool=pool, created_at=at(2), verification_status="Not Trusted")
    office.execute("UPDATE media_servers SET local_service_mode = true")
    office.execute("UPDATE media_presence SET online = false")
    disk.silent = True

    problems = check(office, rows.recovery_plan(client=client))

    media = rows.row(
        "SELECT m.hostname FROM media_servers m JOIN pools p ON p.media_server_id = m.id WHERE p.id = $1", pool
    )
    assert problems == [
        "The client does not serve File system; it serves: Other.",
        f"The client {rows.named('clients', client, 'hwid')} did not answer in 10 s.",
        f"The newest copy of /home ({record}) is Not Trusted.",
        f"The local service mode of media server {media['hostname']} is on.",
        f"The media server {media['hostname']} of pool {rows.named('pools', pool, 'pool_name')} is offline.",
    ]


def test_a_client_without_the_key_is_not_ready(office: Api, rows: Stock, disk: Disk) -> None:
    """Encrypted copies come back only where their key is; each missing one is named once."""
    client, key = rows.client(ciphers=["aes-256-gcm"], key_ids=["cd" * 16]), "ab" * 16
    for resource in ("/home", "/etc"):
        rows.record(client=client, pool=healthy_pool(rows), resource=resource, crypto="aes-256-gcm", key_id=key)
    plan = rows.recovery_plan(client=client, resource="")

    assert check(office, plan) == [f"The client does not have the key {key}, which copies are encrypted with."]
    office.execute("UPDATE clients SET key_ids = $1", [key])
    assert check(office, plan) == []
    assert disk.opened == []


def test_without_a_copy_there_is_nothing_to_recover(office: Api, rows: Stock) -> None:
    """Copies of other resources and other clients do not count."""
    client = rows.client()
    rows.record(client=client, resource="/srv")
    rows.record(resource="/home")

    problems = check(office, rows.recovery_plan(client=client, restore_destination=""))

    assert problems == ["There is no copy of File system /home of the client."]


@pytest.mark.parametrize(
    ("facts", "problem"),
    [
        ({"folder": "/"}, ""),
        ({"problem": "/a/file cannot be opened: Not a directory."}, "/a/file cannot be opened: Not a directory."),
        ({"pseudo": True, "filesystem": "proc"}, "/a is on a proc file system, which keeps no data."),
        ({"read_only": True}, "the file system of /a is mounted read-only."),
        ({"writable": False}, "/a is not writable for it."),
    ],
)
def test_the_destination_must_be_writable(
    office: Api, rows: Stock, disk: Disk, facts: dict[str, Any], problem: str
) -> None:
    """The nearest folder that is there decides: of a real file system that can be written."""
    client = rows.client()
    rows.record(client=client, pool=healthy_pool(rows), resource="/home")
    disk.facts = facts

    found = check(office, rows.recovery_plan(client=client, restore_destination="/a/b/c"))

    assert found == ([f"The client cannot restore to /a/b/c: {problem}"] if problem else [])
    assert disk.asked == ["/a/b/c"]


def test_the_copies_must_fit_where_they_go(office: Api, rows: Stock, disk: Disk) -> None:
    """Below a destination the free bytes count, in place those of the whole file system: files may be there already."""
    client, pool = rows.client(), healthy_pool(rows)
    rows.record(client=client, pool=pool, resource="/home", size_bytes=600)
    rows.record(client=client, pool=pool, resource="/srv/data", size_bytes=500)
    below = rows.recovery_plan(client=client, resource="", restore_destination="/a")
    in_place = rows.recovery_plan(client=client, resource="", restore_destination="")

    disk.facts = {"free_bytes": 1099, "size_bytes": 1100}
    room = "The file system of /a has 1099 bytes free; the copies to restore there have 1100."
    assert check(office, below) == [room]
    assert check(office, in_place) == []
    disk.facts = {"free_bytes": 0, "size_bytes": 1099}
    assert check(office, in_place) == [room.replace("free", "in all")]
    assert disk.asked == ["/", "/srv"]


def test_a_client_without_centralised_restore_is_not_ready(office: Api, rows: Stock) -> None:
    """The restore would be a 409, and the check says so in the same words."""
    client = rows.client()
    record = rows.record(client=client, pool=healthy_pool(rows), resource="/home")
    plan = rows.recovery_plan(client=client)
    office.execute("UPDATE clients SET centralized_restore = false WHERE id = $1", client)

    task = {"target_client": client, "data_deployment": True, "priority": 1}
    refused = office.post(f"/repository/{record}/restoring", {"data": {"restore_task": task}})

    assert refused.status_code == 409, refused.text
    assert check(office, plan) == [refused.json()["message"]]


def test_in_service_mode_nothing_is_ready(office: Api, rows: Stock) -> None:
    """The global one refuses restores of every media server's copies."""
    client = rows.client()
    rows.record(client=client, pool=healthy_pool(rows), resource="/home")
    plan = rows.recovery_plan(client=client)
    answer = office.patch("/global_configuration/service_mode", {"service_mode": True})
    assert answer.status_code == 200, answer.text

    assert check(office, plan) == ["The service mode is on: there are no new tasks."]


def test_an_entry_without_resource_is_about_all_of_them(office: Api, rows: Stock, disk: Disk) -> None:
    """The newest copy of each counts, and one of each pool is opened."""
    client, pools = rows.client(), [healthy_pool(rows) for _ in range(2)]
    rows.record(client=client, pool=pools[0], resource="/home", created_at=at(2))
    rows.record(client=client, pool=pools[0], resource="/srv", verification_status="Not Trusted", created_at=at(1))
    rows.record(client=client, pool=pools[0], resource="/srv", created_at=at(3))
    rows.record(client=client, pool=pools[1], resource="/var", verification_status="Not Trusted")

    problems = check(office, rows.recovery_plan(client=client, resource="", restore_destination=""))

    assert len(problems) == 1
    assert "/var" in problems[0]
    assert {pool for pool, _ in disk.opened} == set(pools)


def test_a_pool_that_cannot_be_used_is_named(office: Api, rows: Stock, disk: Disk) -> None:
    """What the media server said of it, or what it says when the copy is opened."""
    client, pool = rows.client(), healthy_pool(rows)
    record = rows.record(client=client, pool=pool, resource="/home")
    plan, name = rows.recovery_plan(client=client, restore_destination=""), rows.named("pools", pool, "pool_name")

    disk.broken = Corrupt("The manifest is damaged.")
    assert check(office, plan) == [f"The copy {record} in pool {name} cannot be opened: The manifest is damaged."]
    office.execute("UPDATE pool_state SET problem = 'A folder is missing.'")
    assert check(office, plan) == [f"The pool {name} cannot be used: A folder is missing."]


def test_a_deleted_client_is_not_ready(office: Api, rows: Stock) -> None:
    """Its copies are still there; the machine is not."""
    client = rows.client()
    rows.record(client=client, pool=healthy_pool(rows), resource="/home")
    label, plan = rows.label(client), rows.recovery_plan(client=client)
    office.delete(f"/clients/{client}")

    assert check(office, plan) == [f"The client {label} is not authorised."]


def test_an_entry_that_changed_while_it_was_checked_is_checked_again(office: Api, rows: Stock, disk: Disk) -> None:
    """Nothing is locked while hosts are asked; a result that is about something else is a 409."""
    plan = rows.recovery_plan(client=rows.client())

    async def meanwhile() -> None:
        body = {"data": {"resource": "/other"}}
        disk.meanwhile = None
        assert (await office.send("PATCH", f"/disaster_recovery_plan/{plan}", json=body)).status_code == 200

    disk.meanwhile = meanwhile

    assert office.post(f"/disaster_recovery_plan/{plan}/checking").status_code == 409
    assert office.get(f"/disaster_recovery_plan/{plan}").json()["data"]["status"] == "Not checked"


def test_who_may_only_see_an_entry_does_not_have_hosts_asked(office: Api, rows: Stock, disk: Disk) -> None:
    """An auditor who is an administrator of others is refused before anybody is asked."""
    plan, group = rows.recovery_plan(), rows.client_group()
    caller = rows.administrator(group)
    user = rows.row("SELECT user_id FROM administrators WHERE client_group_id = $1", group)["user_id"]
    rows.insert("auditors", user_id=user)

    async def asked() -> None:
        raise AssertionError

    disk.meanwhile = asked

    assert caller.post(f"/disaster_recovery_plan/{plan}/checking").status_code == 403


# --- coming back ---


@contextmanager
def replaced(rows: Stock, client: int) -> Iterator[int]:
    """The client is deleted; within the block its hardware id waits under a new key: the row to authorise."""
    hwid = rows.named("clients", client, "hwid")
    assert rows.api.delete(f"/clients/{client}").status_code == 200
    rows.api.execute("DELETE FROM unauthorised_clients")
    yield rows.insert("unauthorised_clients", hwid=hwid, hostname="replacement", address="10.0.0.9", **KEYS)


def authorise(api: Api, waiting: int) -> list[int]:
    """The numbers of the tasks that authorising starts."""
    answer = api.post("/clients/authorize", {"data": {"clients_ids": [waiting]}})
    assert answer.status_code == 201, answer.text
    _, _, numbers = answer.json()["message"].partition("TASK WAS ADDED TO QUEUE:")
    return [int(number) for number in numbers.split(",") if number]


def tasks(api: Api, numbers: list[int]) -> list[dict[str, Any]]:
    """The tasks of these numbers."""
    return [api.get(f"/task_queue/{number}").json()["data"] for number in numbers]


def test_a_machine_with_a_new_key_gets_its_copies_back_too(office: Api, rows: Stock) -> None:
    """It stays the client that it was, and what its entries name is restored as if it had been authorised again."""
    client, pool = rows.client(), healthy_pool(rows)
    record = rows.record(client=client, pool=pool, resource="/home", created_at=at(1))
    rows.recovery_plan(client=client, resource="/home", autorun=True)
    rows.recovery_plan(resource="/home", autorun=True)
    key = "cd" * 32
    waiting = rows.insert(
        "unauthorised_clients", hwid=rows.named("clients", client, "hwid"), hostname="replacement", csr_pem=b"csr",
        fingerprint=key,
    )  # fmt: skip

    body = {"clients_ids": [waiting], "replace_key": True, "fingerprint": key}
    answer = office.post("/clients/authorize", {"data": body})

    assert answer.status_code == 201, answer.text
    (task,) = tasks(office, [int(answer.json()["message"].rpartition("TASK WAS ADDED TO QUEUE:")[2])])
    assert (task["client_ref"], task["record"]) == (client, record)
    assert office.get(f"/clients/{client}").json()["data"]["fingerprint"] == key


def test_a_replaced_machine_gets_its_copies_back_by_itself(office: Api, rows: Stock) -> None:
    """Newest good copies, by priority, only what is missing; entries without autorun wait for somebody."""
    client, pool = rows.client(), healthy_pool(rows)
    rows.record(client=client, pool=pool, resource="/home", created_at=at(1))
    home = rows.record(client=client, pool=pool, resource="/home", created_at=at(2))
    rows.record(client=client, pool=pool, resource="/home", created_at=at(3), verification_status="Not Trusted")
    etc = rows.record(client=client, pool=pool, resource="/etc")
    rows.record(client=client, pool=pool, resource="/srv")
    rows.recovery_plan(client=client, resource="/home", autorun=True, priority=50, restore_destination="")
    rows.recovery_plan(client=client, resource="/etc", autorun=True, priority=900, restore_destination="/old")
    idle = rows.recovery_plan(client=client, resource="/srv")

    with replaced(rows, client) as waiting:
        first, second = tasks(office, authorise(office, waiting))

    back = office.get("/clients").json()["data"]["items"][0]
    assert (first["record"], first["priority"], second["record"], second["priority"]) == (etc, 900, home, 50)
    assert first["client_ref"] == second["client_ref"] == back["id"]
    assert first["parameters"] == {
        "destination": "/old", "in_place": False, "paths": [], "overwrite": "never", "target_client": back["hwid"],
        "module": {}, "common": {},
    }  # fmt: skip
    assert (second["parameters"]["in_place"], second["created_by"]) == (True, "rubackup")
    row = office.get(f"/disaster_recovery_plan/{idle}").json()["data"]
    assert (row["client"], row["client_ref"]) == (f"replacement ({back['hwid']})", back["id"])
    noted = office.get("/repository_log", params={"filter_data": f'record="{etc}"'}).json()["data"]["items"][0]
    assert "by the disaster recovery plan" in noted["text"]


def test_an_entry_without_resource_brings_everything_back(office: Api, rows: Stock) -> None:
    """Each resource once, also when another entry names it."""
    client, pool = rows.client(), healthy_pool(rows)
    records = {rows.record(client=client, pool=pool, resource=name) for name in ("/a", "/b")}
    rows.recovery_plan(client=client, resource="/a", autorun=True, priority=200, restore_destination="")
    rows.recovery_plan(client=client, resource="", autorun=True, restore_destination="")

    with replaced(rows, client) as waiting:
        started = tasks(office, authorise(office, waiting))

    assert started[0]["record"] == min(records)
    assert sorted(task["record"] for task in started) == sorted(records)


def test_a_client_that_was_never_in_the_plan_starts_nothing(office: Api, rows: Stock) -> None:
    """Authorising is what it was."""
    rows.recovery_plan(autorun=True)

    assert authorise(office, rows.unauthorised_client()) == []
    assert office.get("/task_queue").json()["data"]["total"] == 0


def test_what_cannot_be_restored_stands_in_the_entry(office: Api, rows: Stock) -> None:
    """No good copy, or the service mode: the authorisation is good all the same."""
    client = rows.client()
    rows.record(client=client, resource="/home")
    stopped = rows.recovery_plan(client=client, resource="/home", autorun=True)
    empty = rows.recovery_plan(client=client, resource="/none", autorun=True)
    office.patch("/global_configuration/service_mode", {"service_mode": True})

    with replaced(rows, client) as waiting:
        assert authorise(office, waiting) == []

    assert office.get("/clients").json()["data"]["total"] == 1
    for plan, reason in ((stopped, "The service mode is on"), (empty, "no good copy")):
        row = office.get(f"/disaster_recovery_plan/{plan}").json()["data"]
        assert row["status"] == "Failed"
        assert reason in row["problem"]


def test_a_hardware_id_proves_nothing(rows: Stock) -> None:
    """An administrator who authorises a host under another group's hardware id gets neither entries nor copies."""
    client, mine = rows.client(), rows.client_group()
    rows.record(client=client, resource="/home")
    plan = rows.recovery_plan(client=client, resource="/home", autorun=True)

    with replaced(rows, client) as waiting:
        assert authorise(rows.administrator(mine), waiting) == []

    row = rows.api.get(f"/disaster_recovery_plan/{plan}").json()["data"]
    assert (row["client_ref"], row["status"]) == (None, "Not checked")


def test_the_administrator_of_the_group_brings_it_back(rows: Stock) -> None:
    """What was his comes back without a superuser."""
    group = rows.client_group()
    client = rows.client(group=group)
    rows.record(client=client, resource="/home")
    rows.recovery_plan(client=client, resource="/home", autorun=True)

    with replaced(rows, client) as waiting:
        assert len(authorise(rows.administrator(group), waiting)) == 1


def test_supervisors_keep_the_plan_and_strategy_administrators_see_none_of_it(office: Api, rows: Stock) -> None:
    """The plan is about clients; a strategy gives no right to them."""
    client = rows.client()
    plan, strategy = rows.recovery_plan(client=client), rows.strategy()
    rows.strategy_rule(strategy=strategy, client=client)
    boss, caller = office.user("boss", Role.SUPERVISOR), rows.strategy_administrator(strategy)

    assert boss.patch(f"/disaster_recovery_plan/{plan}", {"data": {"priority": 5}}).status_code == 200
    assert caller.get("/disaster_recovery_plan").json()["data"]["total"] == 0
    assert caller.patch(f"/disaster_recovery_plan/{plan}", {"data": {"priority": 5}}).status_code == 403


@pytest.fixture
def rows(office: Api) -> Stock:
    """Makes rows for `office`."""
    return stock(office)
