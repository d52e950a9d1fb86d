"""What files of migrations may do: a pre file only adds, and the order in which files of both halves come does not matter."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path

import pytest

from rubackup.catalog.database import Database, DatabaseAddress
from rubackup.catalog.indexes import declared
from rubackup.catalog.migrate import migrate
from rubackup.catalog.versions import OWN
from support.releases import FIRST, STEPS, chain, three, whole
from support.shape import looks, takings

pytestmark = pytest.mark.postgres

ACCEPTED: Mapping[str, Mapping[str, str]] = {}
"""For a file, what it takes all the same, and why code of the releases before it can live with that."""

TAKES = {
    "DROP TABLE login_failures;": "relation login_failures is gone",
    "ALTER TABLE client_groups RENAME TO groups;": "relation client_groups: name was client_groups, becomes groups",
    "ALTER TABLE clients DROP COLUMN ls_pool_id;": "columns that are there",
    "ALTER TABLE client_groups RENAME COLUMN name TO title;": "column client_groups.name: name was name, becomes title",
    "ALTER TABLE clients ALTER COLUMN max_tasks TYPE bigint;": "columns that are there",
    "ALTER TABLE clients ALTER COLUMN ls_pool_id SET NOT NULL;": "ls_pool_id: required was False, becomes True",
    "ALTER TABLE clients ALTER COLUMN max_tasks DROP NOT NULL;": "max_tasks: required was True, becomes False",
    "ALTER TABLE clients ALTER COLUMN max_tasks DROP DEFAULT;": "max_tasks: default was 0, becomes None",
    "ALTER TABLE clients ADD COLUMN zone text NOT NULL;": "column clients.zone is new, required and has no default",
    "ALTER TABLE clients ADD COLUMN zone float DEFAULT random();": "relation clients: file was",
    "ALTER TABLE clients ADD CHECK (max_tasks < 9);": "constraint clients.clients_max_tasks_check1 is new, and demands",
    "ALTER TABLE task_queue ADD FOREIGN KEY (rule_id) REFERENCES global_schedule;": "is new, and demands",
    "CREATE UNIQUE INDEX one_name ON global_schedule (name);": "index global_schedule.one_name is new, and demands",
    "ALTER TABLE global_schedule DROP CONSTRAINT global_schedule_validity;": "global_schedule_validity is gone",
    "DROP INDEX task_queue_rule;": "index task_queue.task_queue_rule is gone",
    "DROP FUNCTION schedule_rule_changed CASCADE;": "trigger global_schedule.schedule_rule_made is gone",
    "CREATE OR REPLACE FUNCTION schedule_rule_changed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';": (
        "function schedule_rule_changed: is was"
    ),
    "CREATE TRIGGER other AFTER INSERT ON clients FOR EACH ROW EXECUTE FUNCTION schedule_rule_changed();": (
        "trigger clients.other is new: what older code writes runs it"
    ),
    "ALTER TABLE global_schedule DISABLE TRIGGER schedule_rule_made;": "schedule_rule_made: on was O, becomes D",
    "REVOKE SELECT ON clients FROM CURRENT_USER;": "relation clients: rights was None, becomes",
    "UPDATE clients SET max_tasks = 1 WHERE false;": "update of rows of clients",
    "DELETE FROM task_log WHERE false;": "delete of rows of task_log",
    "INSERT INTO client_groups (name) VALUES ('x');": "insert of rows of client_groups",
    "TRUNCATE login_failures;": "truncate of rows of login_failures",
    "DO $$ BEGIN EXECUTE 'ALTER TABLE client_groups RENAME COLUMN name TO title'; END $$;": "becomes title",
}
"""What a pre file must not do, and what is said of it."""
ADDS = """
ALTER TABLE clients ADD COLUMN zone text, ADD COLUMN places integer NOT NULL DEFAULT 0 CHECK (places >= 0);
ALTER TABLE clients ADD COLUMN copy_of bigint REFERENCES clients, ADD UNIQUE (zone);
CREATE INDEX clients_copy_of ON clients (copy_of);
UPDATE clients SET zone = hostname WHERE zone IS NULL;
CREATE TABLE zones (name text PRIMARY KEY, client_id bigint NOT NULL UNIQUE REFERENCES clients ON DELETE CASCADE);
INSERT INTO zones SELECT 'x', id FROM clients LIMIT 0;
CREATE FUNCTION zone_changed() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';
CREATE TRIGGER zone_changed AFTER INSERT ON zones FOR EACH ROW EXECUTE FUNCTION zone_changed();
"""


def test_pre_files_only_add(empty_database: DatabaseAddress, database: DatabaseAddress) -> None:
    """Beside every release that may run beside this one: whatever statement does it, nothing is taken, nothing demanded."""

    async def scenario() -> None:
        names = OWN.revisions()
        db = await Database(empty_database).direct()
        for name in names:
            sql = whole(OWN, name)
            if name.endswith("pre") and int(name[:4]) > OWN.beside:
                assert set(*await takings(db, sql)) == set(ACCEPTED.get(name, ())), name
            await db.execute(sql)
        # In this order, as releases come that are finished each, the schema is that of the other: all pre files first.
        one_by_one = await looks(db)
        await db.close()
        db = await Database(database).direct()
        assert await looks(db) == one_by_one
        await db.close()

    asyncio.run(scenario())


def test_every_kind_of_taking_is_seen(database: DatabaseAddress) -> None:
    """Each of these statements would pass for a migration, and is named; what only adds is not."""

    async def scenario() -> None:
        db = await Database(database).direct()
        *taking, adding = await takings(db, *TAKES, ADDS)
        await db.close()
        for (sql, said), found in zip(TAKES.items(), taking, strict=True):
            assert any(said in one for one in found), (sql, found)
        assert adding == []

    asyncio.run(scenario())


def test_both_orders_are_told_apart(database: DatabaseAddress, empty_database: DatabaseAddress, tmp_path: Path) -> None:
    """A chain of releases that really contract comes to one schema in both orders."""
    _, _, last = three(tmp_path)

    async def scenario() -> None:
        await migrate(empty_database, code=last.code)
        db, by_one = await Database(empty_database).direct(), await Database(database).direct()
        for name in last.code.revisions()[2 * (FIRST - 1) :]:
            await by_one.execute(whole(last.code, name))
        assert await looks(db) == await looks(by_one)
        await by_one.execute("ALTER TABLE client_groups ALTER COLUMN weight SET DEFAULT 1")
        assert await looks(db) != await looks(by_one)
        await db.close()
        await by_one.close()

    asyncio.run(scenario())


def test_indexes_that_are_built_beside_others_are_looked_at_as_well(database: DatabaseAddress, tmp_path: Path) -> None:
    """A unique one demands something of older code, already while it is built; another one takes nothing."""
    name = f"{FIRST:04}_pre"
    found = {}
    for unique in ("", "UNIQUE "):
        made = f"-- Why.\nCREATE {unique}INDEX CONCURRENTLY one_name\n    ON global_schedule (name);\n"
        found[unique] = chain(tmp_path / (unique or "x"), STEPS, "3.0.0-1", indexes={name: made})

    async def scenario() -> None:
        db = await Database(database).direct()
        taken = {unique: await takings(db, whole(code, name)) for unique, code in found.items()}
        await db.close()
        assert taken[""] == [[]]
        (said,) = taken["UNIQUE "]
        assert any("index global_schedule.one_name is new, and demands" in one for one in said)

    asyncio.run(scenario())


def test_a_file_of_indexes_holds_nothing_else(tmp_path: Path) -> None:
    """What is built outside of a transaction can be begun again; every other statement belongs into the file beside it."""
    for number, wrong in enumerate((
        "CREATE INDEX x ON clients (id);", "DROP INDEX CONCURRENTLY x;", "SELECT 1", "CREATE INDEX CONCURRENTLY ON clients (id);",
        "CREATE INDEX CONCURRENTLY IF NOT EXISTS x ON clients (id);", "CREATE INDEX CONCURRENTLY x ON clients (id); SELECT 1;",
    )):  # fmt: skip
        code = chain(tmp_path / str(number), STEPS, "3.0.0-1", indexes={f"{FIRST:04}_pre": wrong})
        with pytest.raises(ValueError, match="may hold CREATE INDEX CONCURRENTLY name ON table … alone"):
            declared(code, f"{FIRST:04}_pre")
    for file in OWN.folder.glob("*.sql"):
        revision, _, kind = file.name.removesuffix(".sql").partition(".")
        assert (kind in {"", "indexes"}, revision in OWN.revisions()) == (True, True), file.name
        assert ("CONCURRENTLY" in file.read_text(encoding="utf-8")) == (kind == "indexes"), file.name
    built = [one.name for revision in OWN.revisions() for one in declared(OWN, revision)]
    assert len(built) == len(set(built))
