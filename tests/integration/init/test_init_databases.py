"""Service databases that `rb_init` does not take: another installation's, a newer one, one that it may not make."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest

from rubackup.catalog.database import DatabaseAddress
from rubackup.catalog.versions import newest, revisions
from rubackup.domain.errors import Conflict, RubackupError
from rubackup.roles.init import nodes
from rubackup.roles.init.plan import Plan
from rubackup.roles.recovery import homes
from rubackup.roles.up.faults import StartupFault
from support.databases import execute
from support.initialised import Place, empty_place, rows


def set_up(place: Place, **changes: object) -> list[str]:
    """What rb_init says."""
    said: list[str] = []
    nodes.set_up(place.layout, dataclasses.replace(place.plan, **changes), said.append)  # type: ignore[arg-type]
    return said


def refused(place: Place, kind: type[RubackupError], told: str, **changes: object) -> None:
    """It says so, and has changed neither this host nor a database."""
    before = sorted(place.layout.root.rglob("*"))
    with pytest.raises(kind, match=told):
        set_up(place, **changes)
    assert sorted(place.layout.root.rglob("*")) == before


@pytest.fixture(scope="module")
def first(tmp_path_factory: pytest.TempPathFactory, postgres: DatabaseAddress) -> Iterator[Place]:
    """An installation."""
    with empty_place(tmp_path_factory.mktemp("first") / "opt", postgres, "init_first") as place:
        set_up(place)
        yield place


@pytest.fixture
def other(tmp_path: Path, postgres: DatabaseAddress, first: Place) -> Iterator[Place]:
    """A host on which nothing was done yet; the database of the first is what its plan names."""
    with empty_place(tmp_path / "opt", postgres, "init_other") as place:
        yield place


def test_another_installations_database_is_left_alone(other: Place, first: Place) -> None:
    """Its role keeps its password: the first installation still gets in."""
    before = rows(first.address)

    refused(
        other,
        Conflict,
        "The database init_first belongs to another installation",
        db_name="init_first",
        db_user="init_first",
    )
    refused(
        other,
        Conflict,
        "The role init_first is another installation's, whose database is init_first",
        db_user="init_first",
    )

    assert rows(first.address) == before
    set_up(first, db_admin_password="")


def test_a_database_without_its_mark_is_known_by_its_hosts(
    other: Place, first: Place, postgres: DatabaseAddress
) -> None:
    """One of before there were marks, or that was restored elsewhere: its own host may use it and marks it, another not."""
    execute(postgres, "COMMENT ON DATABASE init_first IS NULL")

    refused(other, Conflict, "whose hosts it knows", db_name="init_first", db_user="init_first")
    set_up(first, db_admin_password="")
    refused(other, Conflict, "root certificate [0-9a-f]{16}", db_name="init_first", db_user="init_first")


def test_tables_of_something_else(other: Place, postgres: DatabaseAddress) -> None:
    """They are named."""
    execute(postgres, "CREATE DATABASE init_other LC_COLLATE 'C' TEMPLATE template0")
    execute(other.address, "CREATE TABLE invoices (id int)")

    refused(other, Conflict, r"holds tables of something else \(invoices\)")


def test_a_newer_schema(other: Place, first: Place, postgres: DatabaseAddress) -> None:
    """What this version does not know it does not touch, unless a backup is to take its place."""
    execute(first.address, "UPDATE schema_version SET version_num = '9000_pre'")
    home = homes.installed(first.layout)
    plan = Plan("primary-server", db_admin_password=first.plan.db_admin_password)
    try:
        refused(first, Conflict, "is of a newer version")
        with (
            pytest.raises(Conflict, match="is of a newer version"),
            homes.replacing(home, [], replace=False, plan=plan),
        ):
            pass
        with homes.replacing(home, [], replace=True, plan=plan) as address:
            assert address.database == first.address.database
    finally:
        execute(first.address, f"UPDATE schema_version SET version_num = '{revisions()[-1]}'")


def test_an_administrator_without_the_rights(other: Place, postgres: DatabaseAddress) -> None:
    """It says which right is missing and how both are made by hand; then the role's password is enough."""
    execute(postgres, "CREATE ROLE init_small LOGIN PASSWORD 'small' CREATEROLE")
    try:
        refused(
            other, StartupFault, "the right CREATEDB is missing.*CREATE ROLE init_other LOGIN",
            db_admin="init_small", db_admin_password="small",
        )  # fmt: skip
        refused(
            other, StartupFault, "The password of init_small is refused", db_admin="init_small", db_admin_password="x"
        )
        refused(other, StartupFault, "Nobody can make the role init_other.*--db-password", db_admin_password="")
        execute(
            postgres, "CREATE ROLE init_other LOGIN PASSWORD 'by-hand'",
            "CREATE DATABASE init_other OWNER init_other TEMPLATE template0 ENCODING 'UTF8' LOCALE 'C.UTF-8'",
        )  # fmt: skip
        refused(other, StartupFault, "The password of init_other is refused", db_admin_password="", db_password="wrong")

        set_up(other, db_admin_password="", db_password="by-hand")

        assert other.layout.database_password.read_text() == "by-hand\n"
    finally:
        execute(postgres, "DROP ROLE init_small")


def test_a_lost_installation_is_replaced(other: Place, first: Place, postgres: DatabaseAddress) -> None:
    """Asked to, another host takes the database over; the first installation is then the one that is refused."""
    execute(postgres, "CREATE DATABASE init_copy TEMPLATE init_first OWNER init_first")
    try:
        with empty_place(other.layout.root, postgres, "init_copy") as copy:
            taken = dataclasses.replace(copy.plan, db_user="init_other")
            execute(postgres, "CREATE ROLE init_other", "ALTER DATABASE init_copy OWNER TO init_other")
            execute(copy.address, "REASSIGN OWNED BY init_first TO init_other")
            nodes.set_up(copy.layout, dataclasses.replace(taken, adopt=True), lambda _sentence: None)
            refused(first, Conflict, "belongs to another installation", db_name="init_copy", db_user="init_other")
            known, before = rows(copy.address), rows(first.address)
            assert {table: len(known[table]) for table in ("media_servers", "clients", "pools")} == {
                table: len(before[table]) for table in ("media_servers", "clients", "pools")
            }
            assert copy.layout.hwid("media").read_text() == first.layout.hwid("media").read_text()
            assert copy.layout.certificate("media").exists()
    finally:
        execute(
            postgres, "DROP DATABASE IF EXISTS init_copy WITH (FORCE)", "ALTER DATABASE init_first OWNER TO init_first"
        )


def test_a_database_that_is_used_gets_the_first_half(first: Place) -> None:
    """Of an older version: processes of the version before can go on working."""
    before = revisions()[-2]
    execute(first.address, f"UPDATE schema_version SET version_num = '{before}'")

    assert not [sentence for sentence in set_up(first) if "brought from schema" in sentence]
    assert rows(first.address)["schema_version"] == [f"({before},{newest()},{newest()})"]
    execute(first.address, f"UPDATE schema_version SET version_num = '{revisions()[-1]}'")
