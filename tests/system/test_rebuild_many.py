"""A catalogue that is lost with thousands of copies of many clients; the rebuild is killed again and again. RECOVERY=1 runs it."""

from __future__ import annotations

import contextlib
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from rubackup.chunkstore.locations import Folder
from rubackup.chunkstore.pool import Pool
from support import chunkstore
from support.chunkstore import POOL, Client
from support.system import RUBACKUP, System, running

RECORDS, CLIENTS, DROPPED, LOCKED = 1500, 40, range(100, 200), range(500, 520)
YEAR_NS = 365 * 86_400 * 1_000_000_000

pytestmark = pytest.mark.skipif(not os.environ.get("RECOVERY"), reason="RECOVERY is not set: scripts/nightly recovery")


def record_id(number: int) -> str:
    """That of zeros is none."""
    return chunkstore.record_id(number + 1)


def owner(number: int) -> str:
    """Whose the record of this number is."""
    return f"{number % CLIENTS:016x}"


def parent(number: int) -> str | None:
    """Each client has a chain of ten, then a full copy again."""
    return record_id(number - CLIENTS) if number // CLIENTS % 10 else None


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A pool that another catalogue filled: chains of many clients, some copies dropped, some locked."""
    folder = tmp_path_factory.mktemp("many")
    vault, metadata = folder / "vault", folder / "metadata"
    vault.mkdir(mode=0o700)
    metadata.mkdir()
    pool = Pool.open(uuid=POOL, metadata=metadata, storages=[Folder(vault)], reserve_bytes=0, level=1)
    for number in range(RECORDS):
        session = pool.begin(
            owner=owner(number), task_id=number, fence=7, record=record_id(number), parent=parent(number), share=False
        )
        Client(owner=owner(number)).backup(session, {f"/data/{number % 50}": str(number).encode() * 100})
    for number in DROPPED:
        pool.drop(record_id(number))
    for number in LOCKED:
        pool.lock(record_id(number), time.time_ns() + YEAR_NS)
    pool.close()
    shutil.rmtree(metadata)
    return vault


@pytest.fixture
def system(tmp_path: Path) -> Iterator[System]:
    """A new installation."""
    with running(tmp_path / "state") as found:
        yield found


def test_every_copy_is_found_again_however_often_it_is_killed(system: System, vault: Path) -> None:
    """API, server and the command itself are killed meanwhile; nothing is listed twice, nothing is missing, nothing goes."""
    packs = sorted(path.name for path in vault.rglob("*.pack"))
    command = [*RUBACKUP, "rebuild-catalogue", "--state", str(system.state), "--pool", f"Many={vault}"]
    dice = random.Random(1)
    for victim in ("command", "api", "media", "command", "server", "api", "postgres"):
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        time.sleep(dice.uniform(0.3, 3.0))  # there is no event: any moment will do
        if victim == "command":
            process.kill()
        else:
            with contextlib.suppress(ProcessLookupError):
                os.kill(system.processes()[victim], signal.SIGKILL)
        process.wait(200)
    deadline = time.monotonic() + 200
    while (done := subprocess.run(command, capture_output=True, text=True, check=False)).returncode:
        assert time.monotonic() < deadline, done.stderr

    system.login()
    rows = {}
    page = 1
    while items := system.call("GET", "/repository", page=page, limit=1000, sort_by="id")["data"]["items"]:
        rows |= {row["uuid"].replace("-", ""): row for row in items}
        page += 1
    kept = [number for number in range(RECORDS) if number not in DROPPED]
    assert set(rows) == {record_id(number) for number in kept}
    ids = {name: row["id"] for name, row in rows.items()}
    for number in kept:
        row, above = rows[record_id(number)], parent(number)
        assert row["client_hwid"] == owner(number)
        assert row["parent_id"] == (ids.get(above) if above else None)
        assert (row["locked_until"] is not None) == (number in LOCKED)
        assert row["store_until"] is None
    assert [row["created_at"] for row in sorted(rows.values(), key=lambda row: row["id"])] == sorted(
        row["created_at"] for row in rows.values()
    )
    assert sorted(path.name for path in vault.rglob("*.pack")) == packs
