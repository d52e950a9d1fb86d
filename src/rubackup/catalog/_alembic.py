"""Runs Alembic over asyncpg. Imported by `catalog.migrate` alone, and only while it migrates."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import asyncpg
from alembic import command
from alembic.config import Config
from sqlalchemy.exc import DBAPIError
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

from rubackup.catalog.database import DatabaseAddress, translated

FOLDER = Path(__file__).parent / "migrations"


async def upgrade(address: DatabaseAddress, target: str, schema: str = "") -> None:
    """Run the chain up to `target`, each revision in a transaction of its own; in `schema` instead of the usual one."""
    settings = {"application_name": "rubackup migrate", **({"search_path": schema} if schema else {})}

    async def connect() -> Any:
        return await asyncpg.connect(**address.arguments(), timeout=10, server_settings=settings)

    engine = create_async_engine("postgresql+asyncpg://", async_creator=connect, poolclass=NullPool)
    with translated():
        try:
            async with engine.connect() as connection:
                await connection.run_sync(_run_chain, target)
        except DBAPIError as error:
            cause = error.orig.__cause__ if error.orig is not None else None
            raise (cause or error) from error
        finally:
            await engine.dispose()


def _run_chain(connection: Any, target: str) -> None:
    config = Config()
    config.set_main_option("script_location", str(FOLDER).replace("%", "%%"))
    config.set_main_option("path_separator", "os")
    config.attributes["connection"] = connection
    command.upgrade(config, target)
