"""When the API's certificate ends: known to whoever looks, and said in time to those who have to bring a new one."""

from __future__ import annotations

import asyncio
import logging
import math
from datetime import UTC, datetime
from pathlib import Path

from rubackup.catalog.database import Database
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


def warning(chain: Path, host: str, now: datetime | None = None) -> str:
    """What is to be done about a certificate that ends soon or has ended; '' when nothing is."""
    days = days_left(chain, now)
    if not days < WARN_DAYS:
        return ""
    when = f"ends in {math.floor(days)} days" if days >= 0 else "has ended"
    return (
        f"The certificate {chain} {when}. On the primary server: rb_init --renew-api {host}; bring the file that it writes"
        " here, rubackup_api --enroll FILE, and restart the API (of the primary server itself: rb_init --renew --reload)."
    )


async def watch(database: Database, chain: Path, host: str) -> None:
    """Say at the start and then daily that the certificate ends soon: in the log, and by an event."""
    while True:
        if text := warning(chain, host):
            log.warning("%s", text)
            try:
                async with database.transaction() as db:
                    change = Change(db, _WHO, NoHosts())
                    await api_hosts.tell_end(change, host, math.floor(days_left(chain)), text)
            except RubackupError as error:
                log.warning("that the certificate ends could not be told: %s", error)
        await asyncio.sleep(DAY_SECONDS)
