"""What an installed server does with the schema before it serves, and what `rubackup config check` tells of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rubackup.catalog import _alembic, versions
from rubackup.catalog.backup.file import check as check_file
from rubackup.catalog.backup.taking import take
from rubackup.catalog.database import Database, DatabaseAddress
from rubackup.catalog.migrate import finish
from rubackup.catalog.migrations import run as running
from rubackup.catalog.versions import OWN, Schema
from rubackup.roles.installed import check, serving
from rubackup.roles.settings import ConfigurationFault, Settings

pytestmark = pytest.mark.postgres
BEFORE = OWN.newest() - 1


def settings_of(address: DatabaseAddress, folder: Path) -> Settings:
    """A server's, as far as the service database is concerned."""
    password = folder / "password"
    password.write_text(address.password)
    values = {
        "DB_HOST": address.host, "DB_PORT": str(address.port), "DB_USER": address.user, "DB_NAME": address.database,
        "DB_PASSWORD_FILE": str(password),
    }  # fmt: skip
    return Settings(values, "a test", {})


def test_a_step_that_takes_too_long_is_not_tried_again(
    empty_database: DatabaseAddress, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Systemd starts again what ends with 1, not what ends with 78; done, it is told that the upgrade is not finished."""
    settings = settings_of(empty_database, tmp_path)

    async def scenario() -> None:
        await _alembic.upgrade(empty_database, Schema(BEFORE, BEFORE))
        monkeypatch.setattr(running, "STEP_SECONDS", 0)
        api = await Database(empty_database, application="rubackup_api").direct()
        with pytest.raises(ConfigurationFault, match=rf"The step {OWN.newest():04}_pre of the schema takes longer"):
            await serving.serving("server")(settings)
        await api.close()
        with (
            caplog.at_level("INFO", "rubackup.roles.installed.serving"),
            pytest.raises(ConfigurationFault, match="HWID"),
        ):
            await serving.serving("server")(settings)

    asyncio.run(scenario())
    waits = f"is not finished (schema {OWN.newest():04}_pre)"
    assert waits in caplog.text
    report = check.Report()
    check.note_upgrade(empty_database, report)
    assert [note for note in report.notes if waits in note]


async def state(address: DatabaseAddress) -> Schema | None:
    """How far the schema is."""
    db = await Database(address).direct()
    try:
        return await versions.read(db)
    finally:
        await db.close()


async def left_by_an_older_version(address: DatabaseAddress, found: Schema) -> None:
    """The schema as it was then: nothing said who may start but the position."""
    await _alembic.upgrade(address, found)
    db = await Database(address).direct()
    await db.execute("UPDATE schema_version SET oldest = NULL")
    await db.close()


def test_a_start_does_not_close_the_way_back_unasked(empty_database: DatabaseAddress, tmp_path: Path) -> None:
    """Over a catalogue whose versions could not start afterwards it ends with 78; a backup can be written, then it is said."""
    settings, old = settings_of(empty_database, tmp_path), OWN.beside - 3
    path = tmp_path / "before.rbcat"

    async def scenario() -> None:
        await left_by_an_older_version(empty_database, Schema(old, old))
        for _ in range(2):
            with pytest.raises(
                ConfigurationFault, match=rf"{old:04}_post\) is of a .* no way back to: .*--finish-upgrade"
            ):
                await serving.serving("server")(settings)
        assert await state(empty_database) == Schema(old, old, old)
        await take(empty_database, path, server="backup1", root="ab" * 32)
        assert check_file(path)[0].schema == f"{old:04}_post"
        await finish(empty_database)
        with pytest.raises(ConfigurationFault, match="HWID"):
            await serving.serving("server")(settings)

    asyncio.run(scenario())


@pytest.mark.parametrize("found", [Schema(OWN.beside, OWN.beside - 3), Schema(OWN.beside - 3, 0)])
def test_a_start_that_leaves_a_way_back_asks_nobody(
    empty_database: DatabaseAddress, tmp_path: Path, caplog: pytest.LogCaptureFixture, found: Schema
) -> None:
    """The version that ran last can come back, or the catalogue was never made whole; whom it shuts out is in the log."""

    async def scenario() -> None:
        await left_by_an_older_version(empty_database, found)
        with caplog.at_level("INFO", "rubackup.catalog.migrate"), pytest.raises(ConfigurationFault, match="HWID"):
            await serving.serving("server")(settings_of(empty_database, tmp_path))
        assert await state(empty_database) == Schema(OWN.newest(), OWN.beside, OWN.beside)

    asyncio.run(scenario())
    assert f"do not know schema {OWN.beside:04} cannot start any more" in caplog.text
