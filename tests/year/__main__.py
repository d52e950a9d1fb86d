"""`scripts/year`: a year of schedules on a fake clock, compared tick by tick with an independent model."""

from __future__ import annotations

import argparse
import asyncio
import datetime as dt
import logging
import sys
import time
from collections.abc import Sequence
from zoneinfo import ZoneInfo

from support.databases import fresh_database, running_postgres
from year.copies import Copies
from year.trial import Difference, Trial

YEARS = [
    ("Europe/Berlin", "2026-01-01", 365),
    ("Europe/Moscow", "2010-01-01", 365),
    ("Europe/Moscow", "2014-10-12", 30),
]
"""Moscow went forward and back in 2010, and back for good in October 2014."""


def main(arguments: Sequence[str] | None = None) -> int:
    """1 at the first difference."""
    parser = argparse.ArgumentParser(prog="scripts/year", description=__doc__)
    parser.add_argument("--zone", help="IANA name (Europe/Berlin, then Europe/Moscow)")
    parser.add_argument("--from", dest="start", help="first day (that of the years that are known)")
    parser.add_argument("--days", type=int, default=365, help="how many days (365)")
    parser.add_argument("--rules", type=int, default=200, help="rules of the global schedule (200)")
    parser.add_argument("--strategies", type=int, default=20, help="strategies (20)")
    parser.add_argument("--clients", type=int, default=50, help="clients (50)")
    parser.add_argument("--every", type=int, default=3, help="days from one look at the copies to the next (3)")
    parser.add_argument("--seed", type=int, default=int(time.time()), help="of all that is tossed")
    given = parser.parse_args(arguments)
    logging.disable(logging.CRITICAL)
    one = (given.zone or "Europe/Berlin", given.start or "2026-01-01", given.days)
    with running_postgres() as postgres:
        for zone, start, days in [one] if given.zone or given.start or given.days != 365 else YEARS:
            began = time.monotonic()
            with fresh_database(postgres) as address:
                copies = Copies(address, ZoneInfo(zone), given.seed, given.every)
                trial = Trial(
                    address, dt.datetime.fromisoformat(start).replace(tzinfo=dt.UTC), days, ZoneInfo(zone),
                    given.seed, given.rules, given.strategies, given.clients, (copies,),
                )  # fmt: skip
                try:
                    counts = asyncio.run(trial.run())
                except Difference as difference:
                    print(f"A DIFFERENCE in {zone}, {start}; again: scripts/year --zone {zone} --from {start} "
                          f"--days {days} --seed {given.seed}\n{difference}")  # fmt: skip
                    return 1
            for what, number in sorted((counts + copies.counts).items()):
                print(f"{number:9,} {what}")
            minutes = (time.monotonic() - began) / 60
            print(f"{zone}, {days} days from {start}, seed {given.seed}: no difference ({minutes:.1f} minutes)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
