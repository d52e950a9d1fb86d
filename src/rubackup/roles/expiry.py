"""When the certificates of API and PostgreSQL end: known to whoever looks, and said in time to those who have to bring new ones."""

from __future__ import annotations

import asyncio
import logging
import math
from datetime import UTC, datetime
from pathlib import Path

from rubackup.catalog import encryption
from rubackup.catalog.database import Database, DatabaseAddress
from rubackup.domain.errors import Invalid, RubackupError
from rubackup.domain.permissions import Principal, Role
from rubackup.services import api_hosts
from rubackup.services.change import Change
from rubackup.services.no_hosts import NoHosts
from rubackup.wire.certificates import load_certificates

log = logging.getLogger(__name__)

DAY_SECONDS = 86_400.0
WARN_DAYS = api_hosts.ENDS_SOON.days
_WHO = Principal(0, "rubackup_api", frozenset({Role.SUPERUSER}), address="localhost")


def days_left(chain: Path, now: datetime | None = None) -> float:
    """Days until the leaf of this file ends, less than 0 when it has; not a number when it cannot be read."""
    try:
        leaf = load_certificates(chain.read_bytes())[0]
    except (OSError, Invalid):
        return math.nan
    return (leaf.not_valid_after_utc - (now or datetime.now(UTC))).total_seconds() / DAY_SECONDS


def _life_days(chain: Path) -> float:
    leaf = load_certificates(chain.read_bytes())[0]
    return (leaf.not_valid_after_utc - leaf.not_valid_before_utc).total_seconds() / DAY_SECONDS


def warning(chain: Path, host: str, now: datetime | None = None) -> str:
    """What is to be done about a certificate that ends soon or has ended; '' when nothing is."""
    days = days_left(chain, now)
    if math.isnan(days) or not days < min(WARN_DAYS, _life_days(chain) / api_hosts.SOON_PART):
        return ""
    when = f"ends in {math.floor(days)} days" if days >= 0 else "has ended"
    return (
        f"The certificate {chain} {when}. On the primary server: rb_init --renew-api {host}; bring the file that it writes"
        " here, rubackup_api --enroll FILE, and restart the API (of the primary server itself: rb_init --renew --reload)."
    )


def database_days_left(address: DatabaseAddress, now: datetime | None = None) -> float:
    """The same of PostgreSQL's certificate; not a number when it shows none."""
    if address.sslmode == "disable":
        return math.nan
    try:
        ends = encryption.certificate_end(address.host, address.port)
    except (OSError, ValueError):  # that it does not answer, or answers by something else, is told where it is needed
        return math.nan
    return math.nan if ends is None else (ends - (now or datetime.now(UTC))).total_seconds() / DAY_SECONDS


def database_warning(host: str, days: float) -> str:
    """What is to be done about PostgreSQL's certificate that ends in so many days; '' when nothing is."""
    if not days < WARN_DAYS:
        return ""
    when = f"ends in {math.floor(days)} days" if days >= 0 else "has ended"
    return (
        f"The certificate of PostgreSQL at {host} {when}. If this system signed it, on the primary server:"
        f" rb_init --enroll-database {host} --to FOLDER; bring server.key and server.crt there, and let PostgreSQL read"
        " them: SELECT pg_reload_conf()."
    )


async def watch(database: Database, chain: Path, host: str, address: DatabaseAddress) -> None:
    """Say at the start and then daily which certificates end soon: in the log, and by an event."""
    while True:
        if text := warning(chain, host):
            await _tell(database, host, days_left(chain), text)
        days = await asyncio.to_thread(database_days_left, address)
        if text := database_warning(address.host, days):
            await _tell(database, address.host, days, text)
        await asyncio.sleep(DAY_SECONDS)


async def _tell(database: Database, name: str, days: float, text: str) -> None:
    log.warning("%s", text)
    try:
        async with database.transaction() as db:
            await api_hosts.tell_end(Change(db, _WHO, NoHosts()), name, math.floor(days), text)
    except RubackupError as error:
        log.warning("that the certificate ends could not be told: %s", error)
