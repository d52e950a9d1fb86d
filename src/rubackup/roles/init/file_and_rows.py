"""A change of the catalogue and the file that belongs to it: both are there afterwards, or neither."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from rubackup.catalog.database import DatabaseAddress
from rubackup.domain.errors import RubackupError
from rubackup.roles.init.audited import change_of, opened
from rubackup.roles.installed.bundle import Bundle, OutcomeUnknown
from rubackup.services import api_hosts
from rubackup.services.change import Change
from rubackup.wire.certificates import load_certificates, serial_text

OUTCOME_SECONDS = 90.0
"""So long the service database is asked for an answer that was lost: longer than it lets a transaction idle."""
PAUSE_SECONDS = 0.5

Write = Callable[[Bundle], None]


def change_catalogue(address: DatabaseAddress, path: str, work: Callable[[Change], Awaitable[None]]) -> None:
    """A change of who belongs here with its audit row."""

    async def run() -> None:
        async with change_of(address, path, "api_hosts") as change:
            await api_hosts.alone(change.db)
            await work(change)

    asyncio.run(run())


def change_with_file(
    address: DatabaseAddress, file: Path, path: str, write: Write, work: Callable[[Change, Write], Awaitable[None]]
) -> None:
    """The same where `work` writes `file`, and notes its certificate.

    When what fails is the answer to the commit, the service database is asked what came of it. OutcomeUnknown when it
    does not say: the file has to stay then.
    """
    written: list[Bundle] = []

    def writing(bundle: Bundle) -> None:
        write(bundle)
        written.append(bundle)

    try:
        change_catalogue(address, path, lambda change: work(change, writing))
    except BaseException as error:  # interrupted, too: it may have been at the commit
        if not written or not _is_noted(address, written[0], file, error):
            raise


def _is_noted(address: DatabaseAddress, bundle: Bundle, file: Path, error: BaseException) -> bool:
    serial = serial_text(load_certificates(bundle.certificate.encode())[0])

    async def ask() -> bool:
        async with opened(address) as database, database.transaction() as db:
            await api_hosts.alone(db)  # the change has ended then, one way or the other
            return await api_hosts.is_noted(db, serial)

    deadline = time.monotonic() + OUTCOME_SECONDS
    try:
        while True:
            try:
                return asyncio.run(ask())
            except RubackupError:
                if time.monotonic() > deadline:
                    raise
            time.sleep(PAUSE_SECONDS)
    except (RubackupError, KeyboardInterrupt):
        raise OutcomeUnknown(
            f"The service database does not answer any more, and may know the certificate in {file} or not. When the API"
            f" of {bundle.host} goes on with what it has, delete that file; otherwise carry it over."
        ) from error
