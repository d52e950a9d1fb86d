"""A state that lies elsewhere now: which of its storages follow, and which stay as they are."""

from __future__ import annotations

import pytest

from rubackup.catalog.database import Database
from rubackup.services import configuration, emergency, moved
from support.catalogue import MEDIA, World, insert

pytestmark = pytest.mark.postgres

OLD, NEW = "/srv/old", "/srv/new"


def test_what_went_along_follows(run):
    """Not a folder that is there still (the state was copied), nor one that is not there now, nor a neighbour by name."""
    there = {f"{NEW}/pools/a", f"{NEW}/pools/kept", f"{OLD}/pools/kept", f"{NEW}er/pool", f"{NEW}/emergency"}

    async def scenario(database: Database):
        world = await World.build(database)
        media = await world.value("SELECT id FROM media_servers WHERE hwid = $1", MEDIA)
        for path in (f"{OLD}/pools/a", f"{OLD}/pools/kept", f"{OLD}/pools/away", f"{OLD}er/pool"):
            async with database.transaction() as db:
                await insert(db, "storage_local_catalogs", path=path, pool_id=world.pool, media_server_id=media)
        async with database.transaction() as db:
            await emergency.place(db, f"{OLD}/emergency")
            told = await moved.follow(db, MEDIA, OLD, NEW, there.__contains__)
            again = await moved.follow(db, MEDIA, OLD, NEW, there.__contains__)
            place = await configuration.value(db, emergency.KEY)
            rows = await db.fetch("SELECT path FROM storage_local_catalogs WHERE path LIKE '/srv/%' ORDER BY id")

        assert told == [(f"{OLD}/pools/a", f"{NEW}/pools/a"), (f"{OLD}/emergency", f"{NEW}/emergency")]
        assert again == []
        assert place == f"{NEW}/emergency"
        assert [row["path"] for row in rows] == [
            f"{NEW}/pools/a", f"{OLD}/pools/kept", f"{OLD}/pools/away", f"{OLD}er/pool"
        ]  # fmt: skip

    run(scenario)
