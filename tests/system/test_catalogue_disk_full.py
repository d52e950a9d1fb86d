"""PostgreSQL's disk has no room: for a restore, so the catalogue stays what it was, or for calls. RECOVERY=1 runs it, as root."""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from rubackup.catalog.backup.restoring import restore
from rubackup.catalog.backup.taking import take
from rubackup.catalog.database import Database, DatabaseAddress
from rubackup.catalog.migrate import migrate
from rubackup.domain.errors import RubackupError
from rubackup.resources import RESOURCES
from rubackup.roles.up.catalogue import make_database
from rubackup.roles.up.postgres import EmbeddedPostgres
from support.api import running_api
from support.databases import execute

FILL = Path(__file__).parents[2] / "bench" / "api_rows.sql"
ROWS, DISK_MIB, LEFT_MIB = 10_000, 400, 25

pytestmark = pytest.mark.skipif(
    not os.environ.get("RECOVERY") or os.geteuid() != 0,
    reason="RECOVERY is not set, or not root: scripts/nightly recovery",
)


@pytest.fixture
def disk() -> Iterator[Path]:
    """A small disk of its own."""
    point = Path(tempfile.mkdtemp(prefix="rb-full-"))  # PostgreSQL's user has to reach it
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={DISK_MIB}m,mode=711", "tmpfs", str(point)], check=True)
    try:
        yield point
    finally:
        subprocess.run(["umount", "-l", str(point)], check=True)
        point.rmdir()


def test_a_full_disk_leaves_the_catalogue_as_it_was(disk: Path, tmp_path: Path) -> None:
    """It is told as a sentence; with room again the same restore succeeds."""
    server = EmbeddedPostgres(disk / "state", disk / "run", settings={"max_wal_size": "32MB", "min_wal_size": "32MB"})
    server.start()
    try:
        address = replace(server.address(), user="rubackup", password="of-this-test", database="rubackup")
        asyncio.run(make_database(server.address(), address))
        asyncio.run(migrate(address))
        execute(address, f"SET rubackup.rows = {ROWS}; {FILL.read_text()}")
        file = tmp_path / "one.rbcat"
        asyncio.run(take(address, file, server="", root=""))
        execute(address, "INSERT INTO client_groups (name) VALUES ('made after the backup')")
        execute(server.address(), "CHECKPOINT")
        free = os.statvfs(disk)
        (disk / "filler").write_bytes(bytes(free.f_bavail * free.f_frsize - (LEFT_MIB << 20)))

        with pytest.raises(RubackupError) as told:
            asyncio.run(restore(address, file, replace=True))
        assert told.value.message in {
            "The disk of PostgreSQL is full; the catalogue was not changed.", "The service database does not answer.",
        }  # fmt: skip

        (disk / "filler").unlink()
        server.stop()
        server.start()
        address = replace(address, port=server.port)
        assert asyncio.run(_count(address)) == (ROWS, 1)
        asyncio.run(restore(address, file, replace=True))
        assert asyncio.run(_count(address)) == (ROWS, 0)
    finally:
        server.stop()


def test_calls_say_that_the_disk_is_full_and_go_on_when_it_is_not(disk: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A change is a 503 and a line of the log, a look is answered; nothing has to be restarted."""
    server = EmbeddedPostgres(disk / "state", disk / "run", settings={"max_wal_size": "32MB", "min_wal_size": "32MB"})
    server.start()
    try:
        address = replace(server.address(), user="rubackup", password="of-this-test", database="rubackup")
        asyncio.run(make_database(server.address(), address))
        asyncio.run(migrate(address))
        with running_api(address, RESOURCES) as api:
            api.login("rubackup")
            filler = disk / "filler"
            free = os.statvfs(disk)
            # WAL is written into segments that are there; tables are extended, for which nothing is left
            filler.write_bytes(bytes(free.f_bavail * free.f_frsize))
            refused = None
            for number in range(2000):
                answer = api.post("/client_groups", {"data": {"name": f"group {number} {'x' * 200}"}})
                if answer.status_code != 201:
                    refused = answer
                    break
            assert refused is not None
            assert (refused.status_code, refused.headers["retry-after"]) == (503, "30")
            assert refused.json()["message"] == "The disk of the service database is full."
            told = [record for record in caplog.records if record.name == "rubackup.api"]
            assert [record.exc_info for record in told] == [None]
            assert "PostgreSQL 53100: could not extend file" in told[0].getMessage()
            assert api.get("/client_groups?limit=1").status_code == 200

            filler.unlink()
            assert api.post("/client_groups", {"data": {"name": "there is room again"}}).status_code == 201
    finally:
        server.stop()


async def _count(address: DatabaseAddress) -> tuple[int, int]:
    db = await Database(address).direct()
    try:
        copies: int = await db.fetchval("SELECT count(*) FROM repository")
        later: int = await db.fetchval("SELECT count(*) FROM client_groups WHERE name = 'made after the backup'")
    finally:
        await db.close()
    return copies, later
