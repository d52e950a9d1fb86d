"""Reconciling a pool through the API."""

from __future__ import annotations

import uuid

import pytest

from rubackup.services.ports import PoolRecord
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
