"""Reconciling a pool through the API."""

from __future__ import annotations

import uuid

import pytest

from rubackup.services.ports import HeldPool, HeldStorage, PoolRecord
from support import hosts
from support.api import Api
from support.fixtures import Stock


def test_a_superuser_reconciles_a_pool(office: Api, rows: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    """What lies there is told first and adopted with `apply`; a maintainer may not."""
    media = rows.media_server()
    pool = rows.pool_with_storage(media=media)
    record = uuid.uuid4().hex
    lies = PoolRecord(
        record=record, parent="", task_id=7, client_hwid="f" * 16, resource_type="File system", resource="/home",
        backup_type="full", files=1, files_failed=0, size_bytes=5, stored_bytes=5, sealed_at_ns=10**18,
    )  # fmt: skip
    monkeypatch.setattr(hosts, "RECORDS", [lies])
    dry = office.post(f"/pool_list/{pool}/reconciliation")
    none = office.get("/repository").json()["data"]["total"]
    done = office.post(f"/pool_list/{pool}/reconciliation", params={"apply": "true"})

    assert (dry.status_code, done.status_code) == (200, 200)
    assert dry.json()["data"]["found_records"][0]["uuid"] == record
    assert [answer.json()["data"]["applied"] for answer in (dry, done)] == [False, True]
    assert none == 0
    assert office.get("/repository").json()["data"]["items"][0]["resource"] == "/home"
    assert rows.maintainer(media).post(f"/pool_list/{pool}/reconciliation").status_code == 403


def test_a_pool_is_reconciled_call_by_call(office: Api, rows: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each answer says where the next one goes on; what no answer said is refused, and names what is wrong."""
    pool = rows.pool_with_storage(media=rows.media_server())
    lies = [
        PoolRecord(
            record=uuid.uuid4().hex, parent="", task_id=7, client_hwid="f" * 16, resource_type="File system", resource="/many",
            backup_type="full", files=1, files_failed=0, size_bytes=5, stored_bytes=5, sealed_at_ns=10**18 + at,
        )
        for at in range(3)
    ]  # fmt: skip
    monkeypatch.setattr(hosts, "RECORDS", lies)
    path = f"/pool_list/{pool}/reconciliation"
    found, after = [], ""
    while after is not None:
        data = office.post(path, params={"apply": "true", "limit": 2, "after": after}).json()["data"]
        found.append((data["found"], data["seen"]))
        after = data["after"]
    assert found == [(2, 2), (1, 1), (0, 2), (0, 1)]
    assert office.post(path, params={"limit": 1001}).status_code == 400
    for query in ({"after": "x"}, {"after": "x", "limit": 2}):
        refused = office.post(path, params=query)
        assert (refused.status_code, "after must" in refused.text) == (400, True)


def test_pools_that_the_catalogue_does_not_know_are_told(
    office: Api, rows: Stock, monkeypatch: pytest.MonkeyPatch
) -> None:
    """By a superuser alone; those of the catalogue are left out, whichever media server they belong to."""
    media = rows.media_server()
    known = uuid.UUID(office.get(f"/pool_list/{rows.pool()}").json()["data"]["uuid"]).hex
    folders = [
        HeldStorage(path="/srv/later", kind="folder", copies=2),
        HeldStorage(path="/mnt/more", kind="folder", away=True),
    ]
    later = HeldPool(uuid=uuid.uuid4().hex, name="Later", storages=folders)
    monkeypatch.setattr(hosts, "HELD", [HeldPool(uuid=known, name="Known", storages=folders), later])
    path = f"/media_servers/{media}/unknown_pools"
    (told,) = office.get(path).json()["data"]["pools"]
    assert (told["uuid"], told["name"], told["copies"]) == (later.uuid, "Later", 2)
    assert [(one["path"], one["kind"], one["away"]) for one in told["storages"]] == [
        ("/srv/later", "folder", False), ("/mnt/more", "folder", True)
    ]  # fmt: skip
    assert (told["kept_in"], told["storages"][0]["client_storages"]) == ("", [])
    assert rows.maintainer(media).get(path).status_code == 403
    assert office.get("/media_servers/999999/unknown_pools").status_code == 404
