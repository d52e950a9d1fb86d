"""A few weeks of copies, compared day by day with the model of `tests/year/copies.py`; `scripts/year` does years."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections import Counter
from zoneinfo import ZoneInfo

import pytest

from rubackup.catalog.database import DatabaseAddress
from rubackup.domain import retention
from year.copies import Copies
from year.trial import Difference, Trial

pytestmark = pytest.mark.postgres
BERLIN = ZoneInfo("Europe/Berlin")


def weeks(database: DatabaseAddress, days: int, **given: int) -> Counter[str]:
    """What became of the copies of so many days around a change of the clock."""
    copies = Copies(database, BERLIN, 6, every=3)
    numbers = {"rules": 8, "strategies": 2, "clients": 4, "seed": 6} | given
    start = dt.datetime(2026, 3, 15, tzinfo=dt.UTC)
    trial = Trial(database, start, days, BERLIN, parts=(copies,), **numbers)  # type: ignore[arg-type]

    async def live() -> None:
        try:
            await trial.run()
        finally:
            await copies.finish()

    asyncio.run(live())
    return copies.counts


def test_weeks_of_copies_are_as_the_model_says(database: DatabaseAddress) -> None:
    """What is deleted, moved and kept twice, each once, while servers crash and race and rules come and go."""
    done = weeks(database, 18)

    for what in ("copies deleted", "copies moved", "second copies", "crashes in the middle of a round",
                 "rounds of two servers at once"):  # fmt: skip
        assert done[what] > 0, what


def test_the_trial_notices_a_copy_that_goes_too_soon(
    database: DatabaseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without the keys that hold them copies are missing in the catalogue."""
    monkeypatch.setattr(retention, "keepers", lambda *_given: {})

    with pytest.raises(Difference, match="missing: "):
        weeks(database, 18)
