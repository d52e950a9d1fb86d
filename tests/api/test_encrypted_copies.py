"""Encrypted copies in the API: ciphers that a client can run, who can list, verify and restore."""

from __future__ import annotations

from typing import Any

import pytest
from samples import backup_body
from samples_schedule import new_rule
from samples_strategies import rule_body as strategy_rule

from support.api import Api
from support.fixtures import Stock
from support.hosts import FILE

KEY = "0123456789abcdef" * 2
CAN = {"ciphers": ["aes-256-gcm", "sm4-128"], "key_ids": [KEY]}
SEALED = {"crypto": "aes-256-gcm", "key_id": KEY}


def tasks(office: Api) -> list[Any]:
    """Every task, the newest first."""
    return list(office.get("/task_queue").json()["data"]["items"])


def set_offline(office: Api, client: int) -> None:
    """The client goes away."""
    office.execute("UPDATE client_presence SET online = false WHERE client_id = $1", client)


def set_metadata_only(office: Api) -> None:
    """Verifications read no contents."""
    office.patch("/global_configuration", {"data": {"dedup_verify_only_meta_data": "yes"}})


def test_a_cipher_that_the_client_cannot_run_is_refused(office: Api, rows: Stock) -> None:
    """The error names what there is; what it can run is taken."""
    client = rows.label(rows.client(**CAN))
    refused = office.post("/task_queue", backup_body(office, client=client, crypto="serpent-256"))
    taken = office.post("/task_queue", backup_body(office, client=client, crypto="AES-256-GCM"))

    assert refused.status_code == 400
    assert refused.json()["errors"] == {
        "data.task.crypto": "the client cannot encrypt with serpent-256; it can run: nocrypt, aes-256-gcm, sm4-128."
    }
    assert taken.status_code == 201
    assert tasks(office)[0]["crypto"] == "aes-256-gcm"


def test_a_client_that_never_came_is_not_judged(office: Api, rows: Stock) -> None:
    """What it can run is not known yet; it says so itself when the task reaches it."""
    client = rows.label(rows.client(resource_types=[]))

    assert office.post("/task_queue", backup_body(office, client=client, crypto="aria-256")).status_code == 201


def test_copies_and_clients_show_keys(office: Api, rows: Stock) -> None:
    """Which key opens a copy, and who has it, can be read; never the key."""
    client = rows.client(**CAN)
    record = rows.record(client=client, **SEALED)
    copy = office.get(f"/repository/{record}").json()["data"]
    owner = office.get(f"/clients/{client}").json()["data"]

    assert (copy["crypto"], copy["key_id"]) == ("aes-256-gcm", KEY)
    assert (owner["ciphers"], owner["key_ids"]) == (["aes-256-gcm", "sm4-128"], [KEY])


def test_files_are_listed_through_the_client(office: Api, rows: Stock) -> None:
    """Its client is online and has the key: the folder is shown as of any other copy."""
    record = rows.record(client=rows.client(**CAN), **SEALED)
    answer = office.get(f"/repository_record_file_list?id={record}&path=/home")

    assert answer.status_code == 200, answer.text
    assert answer.json()["data"]["total"] == 25


@pytest.mark.parametrize("away", ["offline", "key"])
def test_without_the_key_holder_nothing_is_listed_or_verified(office: Api, rows: Stock, away: str) -> None:
    """503 that says so: the client is offline, or does not have the key any more."""
    client = rows.client(**(CAN if away == "offline" else CAN | {"key_ids": ["f" * 32]}))
    record = rows.record(client=client, **SEALED)
    if away == "offline":
        set_offline(office, client)

    for answer in (
        office.get(f"/repository_record_file_list?id={record}&path=/home"),
        office.post(f"/repository/{record}/verification"),
    ):
        assert answer.status_code == 503
        assert "key holder offline" in answer.json()["message"]
        assert KEY in answer.json()["message"]
    assert tasks(office) == []


@pytest.mark.parametrize(
    ("fields", "metadata_only", "executor"),
    [(SEALED, False, "client"), (SEALED, True, "media"), ({}, False, "media")],
    ids=["encrypted", "encrypted, metadata only", "clear"],
)
def test_contents_are_verified_where_the_key_is(
    office: Api, rows: Stock, fields: dict[str, str], metadata_only: bool, executor: str
) -> None:
    """The client reads encrypted contents; what needs no key is the media server's work."""
    record = rows.record(client=rows.client(**CAN), **fields)
    if metadata_only:
        set_metadata_only(office)

    assert office.post(f"/repository/{record}/verification").status_code == 201
    assert [row["executor"] for row in office.fetch("SELECT executor FROM task_queue")] == [executor]


def test_a_host_without_the_key_restores_nothing(office: Api, rows: Stock) -> None:
    """409 that names the key and the host; with the key imported there it is taken."""
    group = rows.client_group(shared=True)
    record = rows.record(client=rows.client(group=group, **CAN), **SEALED)
    other = rows.client(group=group)
    order = {"data": {"restore_task": {"target_client": rows.label(other), "destination_path": "/for_restore"}}}
    refused = office.post(f"/repository/{record}/restoring", order)
    office.execute("UPDATE clients SET key_ids = $2 WHERE id = $1", other, [KEY])
    taken = office.post(f"/repository/{record}/restoring", order)

    assert refused.status_code == 409
    assert KEY in refused.json()["message"]
    assert rows.label(other) in refused.json()["message"]
    assert taken.status_code == 201


def test_a_rule_names_a_cipher_that_its_client_can_run(office: Api, rows: Stock) -> None:
    """So no rule makes tasks that cannot be done."""
    body = new_rule(office, client_id=rows.label(rows.client(**CAN)), crypto="twofish-256")
    answer = office.post("/global_schedule", body)

    assert answer.status_code == 400
    assert "can run: nocrypt, aes-256-gcm" in answer.json()["errors"]["data.global_schedule.crypto"]


def test_a_client_joins_a_strategy_whose_cipher_it_can_run(office: Api, rows: Stock) -> None:
    """Another one is refused, with what it can run."""
    client = rows.label(rows.client(**CAN))

    def join(crypto: str) -> Any:
        strategy = rows.named("backup_strategies", rows.strategy(crypto=crypto), "name")
        return office.post("/strategy_rules", strategy_rule(office, client_id=client, strategy_id=strategy))

    refused = join("aria-128")

    assert refused.status_code == 400
    assert "cannot encrypt with aria-128" in refused.json()["errors"]["data.strategy_rule.client_id"]
    assert join("sm4-128").status_code == 201


def test_a_file_is_downloaded_through_the_client(office: Api, rows: Stock) -> None:
    """As of any other copy, with ranges, while its client is online and has the key; else 503."""
    client = rows.client(**CAN)
    record = rows.record(client=client, **SEALED)
    whole = office.get(f"/repository/{record}/file", params={"path": "/home/a"})
    set_offline(office, client)
    away = office.get(f"/repository/{record}/file", params={"path": "/home/a"})

    assert (whole.status_code, whole.content) == (200, FILE)
    assert away.status_code == 503
    assert "key holder offline" in away.json()["message"]
