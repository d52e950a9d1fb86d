"""How every process begins and tells that it serves: `python -m rubackup.roles.<role> --config FILE`.

A configuration error ends the process with EXIT_CONFIGURATION and one line on stderr, which the
supervisor shows; anything else unforeseen ends it with 1, and the supervisor starts it again.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import os
import signal
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from rubackup.domain.errors import RubackupError
from rubackup.roles.settings import EXIT_CONFIGURATION, ConfigurationFault, Settings

log = logging.getLogger(__name__)


def run(role: str, serve: Callable[[Settings, asyncio.Event], Awaitable[None]]) -> int:
    """Run `serve(settings, stop)` until it returns; `stop` is set by SIGTERM and SIGINT. The exit status."""
    arguments = argparse.ArgumentParser(prog=f"rubackup_{role}")
    arguments.add_argument("--config", type=Path, required=True, help="the env file with this process' settings")
    try:
        settings = Settings.load(arguments.parse_args().config)
        configure_logging(settings)
        asyncio.run(_until_stopped(settings, serve))
    except ConfigurationFault as error:
        print(error.message, file=sys.stderr)
        return EXIT_CONFIGURATION
    except RubackupError as error:
        log.error("%s", error.message)
        return 1
    except Exception:
        log.exception("stopped by an error that nobody foresaw")
        return 1
    return 0


async def _until_stopped(settings: Settings, serve: Callable[[Settings, asyncio.Event], Awaitable[None]]) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(sign, stop.set)
    await serve(settings, stop)


def configure_logging(settings: Settings) -> None:
    """Log to stderr, where the supervisor or systemd keeps it; DEBUG=True logs everything."""
    level = "DEBUG" if settings.flag("DEBUG", False) else settings.text("LOG_LEVEL", "INFO").upper()
    if level not in logging.getLevelNamesMapping():
        raise ConfigurationFault(f"LOG_LEVEL must be DEBUG, INFO, WARNING or ERROR, not {level!r}.")
    logging.basicConfig(level=level, stream=sys.stderr, force=True)
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s: %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    for handler in logging.getLogger().handlers:
        handler.setFormatter(formatter)


def announce(settings: Settings, port: int = 0) -> None:
    """Write READY_FILE, if one is named: this process serves, on that port. Complete or not there at all."""
    name = settings.text("READY_FILE", "")
    if not name:
        return
    path = Path(name)
    fresh = path.with_name(path.name + ".new")
    fresh.write_text(json.dumps({"pid": os.getpid(), "port": port}) + "\n", encoding="utf-8")
    fresh.rename(path)
