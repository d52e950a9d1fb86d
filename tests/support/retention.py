"""Rules and copies of a chosen age, for tests of what becomes of them by time."""

from __future__ import annotations

import datetime as dt
import uuid
from typing import Any

from rubackup.catalog.database import Database
from rubackup.services import dispatch, records, retention
from rubackup.services.dispatch import Job
from support.catalogue import CLIENT, SERVER, World, insert

NOW = dt.datetime(2026, 6, 15, 12, tzinfo=dt.UTC)
DAY = dt.timedelta(days=1)
TOLD = (
    "inform_when_obsoleted_copy", "notify_normal", "notify_exception", "notify_verify", "notify_strategy_validity",
    "notify_end_storage_capacity",
)  # fmt: skip


class Archive(World):
    """A world with a second pool; copies are kept for ten days."""

    other = 0

    @classmethod
    async def build(cls, database: Database, *, online: bool = True, **other: Any) -> Archive:
        world = await super().build(database, online=online)
        assert isinstance(world, Archive)
        async with database.transaction() as db:
            fields = {"pool_name": "Second", "pool_type": "File system", "media_server_id": world.media} | other
            world.other = await insert(db, "pools", **fields)
            for pool, path in ((world.pool, "/one"), (world.other, "/two")):
                await insert(db, "storage_local_catalogs", path=path, pool_id=pool, media_server_id=world.media)
        return world

    async def rule(self, **fields: Any) -> int:
        """A rule whose copies are deleted by themselves."""
        row = {
            "name": "nightly", "client_id": self.client, "resource_type": "File system", "resource": "/home",
            "pool_id": self.pool, "backup_type": "full", "storage_duration": "10 days", "min": "0",
            "auto_delete_obsoleted_copy_flag": True,
        }  # fmt: skip
        async with self.database.transaction() as db:
            return await insert(db, "global_schedule", **(row | fields))

    async def strategy(self, **fields: Any) -> tuple[int, int]:
        """A strategy whose copies are deleted by themselves, and its one rule."""
        async with self.database.transaction() as db:
            nobody = await db.fetchval("SELECT id FROM user_groups WHERE name = 'Nobody'")
            row = {"name": "all", "pool_id": self.pool, "auto_delete_obsoleted_copy_flag": True}
            row |= {f"{one}_group_id": nobody for one in TOLD}
            strategy = await insert(db, "backup_strategies", **(row | fields))
            there = {"client_id": self.client, "resource_type": "File system", "resource": "/home"}
            return strategy, await insert(db, "strategy_rules", strategy_id=strategy, **there)

    async def user_group(self) -> int:
        """Somebody who can be told."""
        async with self.database.transaction() as db:
            return await insert(db, "user_groups", name="operators", description="d")

    async def copy(self, days_ago: float, **fields: Any) -> int:
        """A copy that was made then."""
        made = NOW - dt.timedelta(days=days_ago)
        row = {
            "uuid": uuid.uuid4(), "task_id": 1, "client_id": self.client, "client_hostname": "workstation",
            "client_hwid": CLIENT, "client_group_id": self.group, "pool_id": self.pool, "resource_type": "File system",
            "resource": "/home", "backup_type": "full", "crypto": "nocrypt", "size_bytes": 1, "stored_bytes": 1,
            "files": 1, "files_failed": 0, "created_at": made, "store_until": made + 10 * DAY,
        }  # fmt: skip
        async with self.database.transaction() as db:
            return await insert(db, "repository", **(row | fields))

    async def newest(self, **fields: Any) -> int:
        """A copy that keeps the others from being the last good one."""
        return await self.copy(0, **fields)

    async def left(self) -> list[int]:
        """The ids of the copies that are there."""
        return await self.column("SELECT id FROM repository ORDER BY id")

    async def retain(self, now: dt.datetime = NOW, **how: Any) -> retention.Round:
        """Look at every rule once."""
        return await retention.run(self.database, 0, now=now, zone=dt.UTC, **how)

    async def claimed(self) -> list[Job]:
        """The tasks that wait, at work."""
        return await dispatch.claim(self.database, 0, SERVER, 60, 10)

    async def done(self, job: Job) -> int:
        """The media server has copied or moved what the job says; the id of the new copy."""
        sealed = records.Sealed(
            task_id=job.task_id, fence=job.fence, pool_id=job.pool_id, media_hwid=job.media_hwid, record=job.record_uuid,
            parent=job.parent_uuid, client_hwid=job.client_hwid, resource_type=job.resource_type, resource=job.resource,
            backup_type=job.backup_type, files=1, files_failed=0, size_bytes=1, stored_bytes=1, sealed_at=NOW,
        )  # fmt: skip
        assert await records.seal(self.database, sealed)
        return await self.value("SELECT id FROM repository WHERE uuid = $1", uuid.UUID(job.record_uuid))

    async def fail(self, job: Job) -> None:
        """The task ends in Error."""
        await dispatch.fail(self.database, job.task_id, job.fence, "It failed.")
