"""What an installed process does before it serves: the schema is brought to this version, or waited for."""

from __future__ import annotations

import importlib
import logging
from collections.abc import Awaitable, Callable

from rubackup.domain.errors import TooSlow
from rubackup.roles.process import database_address, run
from rubackup.roles.settings import ConfigurationFault, Settings

log = logging.getLogger(__name__)

Serve = Callable[[Settings], Awaitable[None]]


def serving(role: str) -> Serve:
    """The role's own `serve`, with what comes before it on an installation."""
    if role in {"media", "client"}:
        importlib.import_module("rubackup.roles.tuning").tune_for_bulk()
    found: Serve = importlib.import_module(f"rubackup.roles.{role}").serve

    async def serve(settings: Settings) -> None:
        if role == "server":
            await _bring_schema(settings)
        await found(settings)

    return serve


def run_role(name: str, role: str, load: Callable[[], Settings]) -> None:
    """Serve until a signal ends it; exits as `process.run` says. The API may be several processes."""
    if role == "api":
        importlib.import_module("rubackup.roles.api").start(name, load, _require_schema)
    else:
        run(name, load, serving(role))


async def _bring_schema(settings: Settings) -> None:
    """The first half of this version's migrations, which processes of versions before can work with.

    The second half comes by `rb_init --finish-upgrade`. ConfigurationFault when a file keeps the others waiting for too
    long: systemd would start this process again and again, and they would wait again. So, too, when somebody has to say first that
    there is to be no way back.
    """
    from rubackup.catalog.migrate import WayBackCloses, migrate, unfinished  # noqa: PLC0415 - agents open no catalogue

    address = database_address(settings)
    try:
        await migrate(address, "pre", keep_way_back=True)
    except (TooSlow, WayBackCloses) as error:
        raise ConfigurationFault(error.message) from error
    if sentence := await unfinished(address):
        log.info("%s", sentence)


async def _require_schema(settings: Settings) -> None:
    """Unavailable until a server of this version has brought the schema; Conflict when it is newer than this code."""
    from rubackup.catalog.migrate import check_ready  # noqa: PLC0415

    await check_ready(database_address(settings))
