"""What every role process does around its work: settings, logging, signals, ready file, exit codes."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import logging
import os
import resource
import signal
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import uvloop

from rubackup.catalog import encryption
from rubackup.catalog.database import DatabaseAddress
from rubackup.domain.errors import RubackupError
from rubackup.roles import arguments as given
from rubackup.roles import systemd
from rubackup.roles.settings import ConfigurationFault, Settings

log = logging.getLogger(__name__)

EXIT_CONFIGURATION = 78
"""sysexits.h EX_CONFIG: the supervisor does not start such a role again."""
MOST_WORKERS = 64
WORKER_TIMEOUT_SECONDS = 30
LOG_FORMAT = "%(asctime)s %(levelname)-7s %(name)s: %(message)s"


def database_address(settings: Settings) -> DatabaseAddress:
    """Where the catalogue is; the password comes from a file, never from the environment.

    With a CA's certificate the way there is verified unless DB_SSLMODE says otherwise.
    """
    root = str(settings.path("DB_ROOT_CERT")) if settings.text("DB_ROOT_CERT", "") else ""
    mode = settings.choice("DB_SSLMODE", encryption.MODES, "verify-full" if root else "prefer")
    if mode in encryption.VERIFIED and not root:
        raise settings.fault("DB_SSLMODE", f"is {mode}, so DB_ROOT_CERT has to name the certificate of PostgreSQL's CA")
    if root:
        try:
            encryption.argument("", "verify-full", root)
        except OSError as error:
            why = error.strerror or "it holds no certificate"
            raise settings.fault("DB_ROOT_CERT", f"names {root}, which cannot be used: {why}") from error
    return DatabaseAddress(
        host=settings.text("DB_HOST"),
        port=settings.port("DB_PORT", 5432),
        user=settings.text("DB_USER", "rubackup"),
        password=settings.secret("DB_PASSWORD_FILE"),
        database=settings.text("DB_NAME", "rubackup"),
        sslmode=mode,
        root_cert=root,
    )


def workers(settings: Settings) -> int:
    """How many processes serve."""
    return settings.number("WORKERS", 1, least=1, most=MOST_WORKERS)


def worker_timeout(settings: Settings) -> int:
    """Seconds after which one of several is ended whose loop stands still."""
    return settings.number("WORKER_TIMEOUT", WORKER_TIMEOUT_SECONDS, least=2, most=3600)


def ready(settings: Settings, port: int = 0) -> None:
    """Tell the supervisor, or systemd, that this process serves, and on which port.

    It serves on a full disk, too: the supervisor hears of it as systemd would.
    """
    systemd.serves()
    name = settings.text("READY_FILE", "")
    if not name:
        return
    path = Path(name)
    part = path.with_name(path.name + ".part")
    try:
        part.write_text(json.dumps({"pid": os.getpid(), "port": port}))
        part.replace(path)
    except OSError as error:
        log.warning("%s cannot be written: %s", path, error.strerror)


def raise_descriptors(wanted: int) -> int:
    """Let this process have so many files and connections open, or as many as the system allows; how many these are."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = wanted if hard == resource.RLIM_INFINITY else min(hard, wanted)
    if soft == resource.RLIM_INFINITY or soft >= most:
        return max(soft, most)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, hard))
    return most


async def together(*loops: Coroutine[Any, Any, None]) -> None:
    """Run a role's loops side by side until cancelled; raise the first error that ends one of them."""
    try:
        async with asyncio.TaskGroup() as group:
            for loop in loops:
                group.create_task(loop)
    except* RubackupError as errors:
        raise next(_leaves(errors)) from errors


def _leaves(group: BaseExceptionGroup[Any]) -> Iterator[Any]:
    for error in group.exceptions:
        if isinstance(error, BaseExceptionGroup):
            yield from _leaves(error)
        else:
            yield error


def run_role(name: str, serve: Callable[[Settings], Awaitable[None]]) -> None:
    """Run `serve` until SIGTERM or SIGINT with the settings of the file that `--config` names."""
    run(name, configured(name), serve)


def configured(name: str) -> Callable[[], Settings]:
    """What loads the settings of the file that `--config` names, and logs to standard error."""
    parser = argparse.ArgumentParser(prog=name)
    parser.add_argument("--config", type=given.path, required=True, help="settings, KEY=value lines")
    arguments = parser.parse_args()

    def load() -> Settings:
        settings = Settings.load(arguments.config)
        logging.basicConfig(level=settings.log_level(), format=LOG_FORMAT, stream=sys.stderr)
        return settings

    return load


def run(name: str, load: Callable[[], Settings], serve: Callable[[Settings], Awaitable[None]]) -> None:
    """Run `serve` until SIGTERM or SIGINT; a wrong setting exits with 78, everything else that ends it with 1.

    `load` gives the settings and sets up the log.
    """
    settings = loaded(name, load)
    until_signal(name, lambda: serve(settings))


def loaded(name: str, load: Callable[[], Settings]) -> Settings:
    """The settings; exits with 78 when one is wrong."""
    systemd.tell_stacks()
    with exits(name):
        try:
            return load()
        except ValueError as error:
            raise ConfigurationFault(str(error)) from error


def until_signal(name: str, work: Callable[[], Awaitable[None]]) -> None:
    """Do the work in a loop until SIGTERM or SIGINT; exits as `run` says when anything else ends it."""
    with exits(name):
        uvloop.run(_until_signal(work()))


@contextlib.contextmanager
def exits(name: str) -> Iterator[None]:
    """What ends a process is a sentence and an exit status."""
    try:
        yield
    except ConfigurationFault as error:
        sys.stderr.write(f"{name}: {error}\n")
        sys.exit(EXIT_CONFIGURATION)
    except RubackupError as error:
        log.error("%s ends: %s", name, error)
        sys.exit(1)
    except Exception:
        log.exception("%s ends", name)
        sys.exit(1)


async def _until_signal(work: Awaitable[None]) -> None:
    task = asyncio.ensure_future(work)
    loop = asyncio.get_running_loop()
    stopping = False

    def stop() -> None:
        nonlocal stopping
        stopping = True
        task.cancel()

    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop)
    try:
        async with systemd.watched():
            await task
    except asyncio.CancelledError:
        if not stopping:
            raise
    finally:
        for number in (signal.SIGTERM, signal.SIGINT):
            with contextlib.suppress(ValueError):
                loop.remove_signal_handler(number)
