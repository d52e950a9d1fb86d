"""A fortnight around a change of the clock, compared tick by tick with the model of `tests/year`; `scripts/year` does years."""

from __future__ import annotations

import asyncio
import datetime as dt
from zoneinfo import ZoneInfo

import pytest

from rubackup.catalog.database import DatabaseAddress
from rubackup.domain import schedule
from rubackup.services import schedules
from year.trial import Difference, Trial

pytestmark = pytest.mark.postgres

BERLIN, MOSCOW = ZoneInfo("Europe/Berlin"), ZoneInfo("Europe/Moscow")


def trial(database: DatabaseAddress, start: str, days: int, zone: ZoneInfo, **given: int) -> dict[str, int]:
    """What happened in these days."""
    first = dt.datetime.fromisoformat(start).replace(tzinfo=dt.UTC)
    numbers = {"rules": 40, "strategies": 6, "clients": 15, "seed": 6, "happens": 4} | given
    return dict(asyncio.run(Trial(database, first, days, zone, **numbers).run()))  # type: ignore[arg-type]


def test_a_fortnight_in_which_the_clock_of_berlin_goes_forward(database: DatabaseAddress) -> None:
    """Every launch and every task is as the model says, while servers crash, take over, and rules are changed."""
    done = trial(database, "2026-03-22", 14, BERLIN)

    assert done["launches"] > 500
    for what in ("crashes in the middle of a tick", "changes of leader", "service", "outage", "edit_rule", "move_client",
                 "skipped: covered", "skipped: offline"):  # fmt: skip
        assert done[what] > 0, what


@pytest.mark.parametrize(
    ("start", "zone"), [("2026-10-23", BERLIN), ("2014-10-24", MOSCOW)], ids=["Berlin goes back", "Moscow goes back"]
)
def test_days_in_which_the_clock_goes_back(database: DatabaseAddress, start: str, zone: ZoneInfo) -> None:
    """What comes twice on the clock is launched once."""
    assert trial(database, start, 3, zone, happens=2)["launches"] > 30


def test_the_trial_notices_what_is_wrong(database: DatabaseAddress, monkeypatch: pytest.MonkeyPatch) -> None:
    """A partial backup beside its full one is too much."""
    monkeypatch.setattr(schedules, "covered", lambda _backup, _fulls: False)

    with pytest.raises(Difference, match=r"too much: .*(incremental|differential)"):
        trial(database, "2026-03-28", 4, BERLIN, rules=80)


def test_the_trial_notices_a_launch_at_the_wrong_time(
    database: DatabaseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A local time that is left out is launched an hour late: missing at the change."""
    monkeypatch.setattr(schedule, "instant", lambda wall, zone: wall.replace(tzinfo=zone, fold=0).astimezone(dt.UTC))

    with pytest.raises(Difference, match="launches at 2026-03-29 01:00"):
        trial(database, "2026-03-28", 2, BERLIN, happens=0)
