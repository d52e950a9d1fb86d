"""What an installed server does with the schema before it serves, and what `rubackup config check` tells of it."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from rubackup.catalog import _alembic
from rubackup.catalog.database import Database, DatabaseAddress
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
