"""When schedules launch: cron fields, periods, validity, both clock changes."""

from __future__ import annotations

import datetime as dt
import itertools
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim, CronSimError
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from rubackup.domain.schedule import Period, Schedule, due, first, instant, last

UTC = dt.UTC
BERLIN, MOSCOW = ZoneInfo("Europe/Berlin"), ZoneInfo("Europe/Moscow")
LONG_AGO = dt.datetime(2000, 1, 1, tzinfo=UTC)
SPRING = dt.datetime(2026, 3, 29, 1, tzinfo=UTC)
"""02:00 in Berlin becomes 03:00."""
AUTUMN = dt.datetime(2026, 10, 25, 1, tzinfo=UTC)
"""03:00 in Berlin becomes 02:00."""
HOUR, MINUTE, DAY = dt.timedelta(hours=1), dt.timedelta(minutes=1), dt.timedelta(days=1)


def at(text: str) -> dt.datetime:
    return dt.datetime.fromisoformat(text).astimezone(UTC)


def wall(text: str) -> dt.datetime:
    """A local time, as a clock on the wall shows it."""
    return dt.datetime.fromisoformat(text)


def by_cron(cron: str, **fields: dt.datetime | None) -> Schedule:
    return Schedule(**({"cron": cron, "period": None, "created": LONG_AGO, "since": LONG_AGO} | fields))


def by_period(months: int = 0, seconds: int = 0, **fields: dt.datetime | None) -> Schedule:
    return Schedule(
        **({"cron": "* * * * *", "period": Period(months, seconds), "created": LONG_AGO, "since": LONG_AGO} | fields)
    )


def around(cron: str, change: dt.datetime, hours: int = 3, zone: ZoneInfo = BERLIN) -> list[str]:
    """The launches around a change of the clock, as local times with their offset."""
    found = due(by_cron(cron), change - hours * HOUR, change + hours * HOUR, zone)
    return [one.astimezone(zone).strftime("%H:%M%z") for one in found]


def test_a_local_time_that_is_left_out_launches_at_the_change():
    """02:30 does not exist on the day when the clock goes forward: the launch is at 03:00, once, and not at 03:30."""
    assert around("30 2 * * *", SPRING) == ["03:00+0200"]


def test_all_local_times_that_are_left_out_are_one_launch():
    """Every ten minutes of the hour that is left out, and 03:00 itself, are the same instant."""
    assert around("*/10 * * * *", SPRING, 1) == [
        "01:10+0100", "01:20+0100", "01:30+0100", "01:40+0100", "01:50+0100",
        "03:00+0200", "03:10+0200", "03:20+0200", "03:30+0200", "03:40+0200", "03:50+0200", "04:00+0200",
    ]  # fmt: skip


def test_a_local_time_that_comes_twice_launches_the_first_time():
    """02:30 comes twice on the day when the clock goes back."""
    assert around("30 2 * * *", AUTUMN) == ["02:30+0200"]


def test_the_repeated_hour_has_no_launches():
    """From the second 02:00 to 03:00 nothing is launched by local time."""
    assert around("*/30 * * * *", AUTUMN, 2) == [
        "01:30+0200", "02:00+0200", "02:30+0200", "03:00+0100", "03:30+0100", "04:00+0100"
    ]  # fmt: skip


def test_a_period_does_not_know_the_clock_changes():
    """Every four hours are four hours of elapsed time, whatever the clock shows."""
    found = list(due(by_period(seconds=4 * 3600), SPRING - 8 * HOUR, SPRING + 8 * HOUR, BERLIN))

    assert {later - earlier for earlier, later in itertools.pairwise(found)} == {4 * HOUR}


def test_moscow_went_back_for_good():
    """In 2014 the clock of Moscow went back from 02:00 to 01:00 and has not changed since."""
    change = dt.datetime(2014, 10, 25, 22, tzinfo=UTC)

    assert around("30 1 * * *", change, zone=MOSCOW) == ["01:30+0400"]
    assert around("0 2 * * *", change, zone=MOSCOW) == ["02:00+0300"]


def test_a_day_that_is_left_out_launches_at_the_change():
    """Samoa had no 30 December 2011."""
    zone = ZoneInfo("Pacific/Apia")

    assert instant(wall("2011-12-30T12:00"), zone) == at("2011-12-31T00:00:00+14:00")


def test_months_of_a_period_are_those_of_the_calendar():
    """A month after 31 January is the last of February; the next is counted from the origin again."""
    monthly = by_period(months=1, start=at("2026-01-31T10:00:00+00:00"))

    assert [one.date().isoformat() for one in due(monthly, LONG_AGO, at("2026-05-01T00:00+00:00"), UTC)] == [
        "2026-01-31", "2026-02-28", "2026-03-31", "2026-04-30"
    ]  # fmt: skip


def test_a_period_counts_from_the_creation_where_no_start_is_given():
    """The first launch is a period after the rule was made."""
    made = at("2026-01-01T10:07:03+00:00")
    schedule = by_period(seconds=3600, created=made, since=made)

    assert first(schedule, made, UTC) == made + HOUR


def test_the_start_itself_may_launch_and_the_end_does_not():
    """The validity holds from its start on, and before its end."""
    schedule = by_cron("0 * * * *", start=at("2026-01-01T10:00+00:00"), end=at("2026-01-01T12:00+00:00"))

    assert [one.hour for one in due(schedule, LONG_AGO, at("2026-02-01T00:00+00:00"), UTC)] == [10, 11]
    assert last(schedule, LONG_AGO, at("2026-02-01T00:00+00:00"), UTC) == at("2026-01-01T11:00+00:00")


def test_launches_before_the_schedule_began_are_none():
    """What lies before the last edit was not missed."""
    schedule = by_cron("0 * * * *", since=at("2026-01-01T10:00+00:00"))

    assert first(schedule, LONG_AGO, UTC) == at("2026-01-01T11:00+00:00")
    assert last(schedule, LONG_AGO, at("2026-01-01T10:59+00:00"), UTC) is None


def test_a_year_has_an_end():
    """Beyond the last year that there is nothing is launched, and nothing fails."""
    late = dt.datetime(9999, 12, 31, 23, 59, tzinfo=UTC)

    assert first(by_cron("0 0 29 2 *"), late, UTC) is None
    assert first(by_period(months=12 * 900), late, UTC) is None
    assert first(by_period(seconds=86_400), late, UTC) is None


# --- against a model that asks minute by minute ---

FIELD = {
    "min": (0, 59), "hour": (0, 23), "dom": (1, 31), "mon": (1, 12), "dow": (0, 7)
}  # fmt: skip
Numbers = frozenset[int]


@st.composite
def fields(draw: st.DrawFn, name: str) -> tuple[str, Numbers]:
    """A field as text and the numbers that it stands for."""
    low, high = FIELD[name]
    whole = frozenset(range(low, high + 1))
    number = st.integers(low, high)
    form = draw(st.sampled_from(["any", "any", "one", "list", "range", "step", "range step"]))
    if form == "any":
        return "*", whole
    if form == "one":
        one = draw(number)
        return str(one), frozenset({one})
    if form == "list":
        chosen = draw(st.lists(number, min_size=2, max_size=4))
        return ",".join(map(str, chosen)), frozenset(chosen)
    step = draw(st.integers(1, high))
    if form == "step":
        return f"*/{step}", frozenset(range(low, high + 1, step))
    start = draw(number)
    end = draw(st.integers(start, high))
    if form == "range":
        return f"{start}-{end}", frozenset(range(start, end + 1))
    return (f"{start}-{end}/{step}", frozenset(range(start, end + 1, step))) if end > start else (
        str(start), frozenset({start})
    )  # fmt: skip


def comes(text: str) -> bool:
    """Whether such a day is ever there: not February 30."""
    try:
        return next(CronSim(text, dt.datetime(2024, 1, 1)), None) is not None  # noqa: DTZ001 - a clock on the wall
    except CronSimError:
        return False


@st.composite
def crons(draw: st.DrawFn) -> tuple[str, list[Numbers], bool]:
    """Five fields, their numbers, and whether day of month and day of week must both hold."""
    found = [draw(fields(name)) for name in FIELD]
    assume(comes(" ".join(text for text, _numbers in found)))  # the API takes no other
    both = found[2][0].startswith("*") or found[4][0].startswith("*")
    return " ".join(text for text, _numbers in found), [numbers for _text, numbers in found], both


def local_minutes(start: dt.datetime, end: dt.datetime, zone: ZoneInfo) -> list[tuple[dt.datetime, dt.datetime]]:
    """Each local minute that some clock shows or leaves out in a span, with the instant at which it counts."""
    found: dict[dt.datetime, dt.datetime] = {}
    shown = start.astimezone(zone).replace(tzinfo=None)
    moment = start
    while moment <= end:
        wall = moment.astimezone(zone).replace(tzinfo=None)
        while shown < wall:  # the clock went forward: what it left out counts now
            shown += MINUTE
            found.setdefault(shown, moment)
        found.setdefault(wall, moment)
        shown = max(shown, wall)
        moment += MINUTE
    return sorted(found.items())


def model(numbers: list[Numbers], both: bool, minutes: list[tuple[dt.datetime, dt.datetime]]) -> list[dt.datetime]:
    """The instants of the minutes that the fields name, each once."""
    found: list[dt.datetime] = []
    for wall, moment in minutes:
        dom, dow = wall.day in numbers[2], not numbers[4].isdisjoint({wall.isoweekday(), wall.isoweekday() % 7})
        day = (dom and dow) if both else (dom or dow)
        named = wall.minute in numbers[0] and wall.hour in numbers[1] and wall.month in numbers[3]
        if day and named and (not found or found[-1] < moment):
            found.append(moment)
    return found


CHANGES = [(BERLIN, SPRING), (BERLIN, AUTUMN), (MOSCOW, dt.datetime(2014, 10, 25, 22, tzinfo=UTC)),
           (MOSCOW, dt.datetime(2011, 3, 26, 23, tzinfo=UTC)), (MOSCOW, dt.datetime(2026, 3, 29, 1, tzinfo=UTC))]  # fmt: skip
MINUTES = {
    one: local_minutes(one[1] - DAY, one[1] + DAY, one[0]) for one in CHANGES
}  # fmt: skip


@settings(max_examples=150, deadline=None)
@given(crons(), st.sampled_from(CHANGES), st.integers(0, 2800), st.integers(0, 80))
def test_cron_fields_launch_as_a_clock_shows_them(cron, change, offset, length):
    """Around every change of the clock all three functions agree with a model that looks at each minute."""
    (text, numbers, both), (zone, moment) = cron, change
    expected = model(numbers, both, MINUTES[change])
    schedule, after = by_cron(text, since=moment - DAY), moment - DAY + offset * MINUTE
    until = min(after + length * HOUR, moment + DAY)

    launches = [one for one in expected if after < one <= until]
    assert list(due(schedule, after, until, zone)) == launches
    assert last(schedule, after, until, zone) == (launches[-1] if launches else None)
    found = first(schedule, after, zone)
    assert found == next((one for one in expected if one > after), found if found and found > moment + DAY else None)


@given(
    st.integers(0, 14), st.integers(0, 40 * 86_400), st.integers(0, 400 * 86_400), st.integers(0, 400 * 86_400),
    st.datetimes(wall("2020-01-01T00:00"), wall("2030-01-01T00:00")),
)  # fmt: skip
@settings(max_examples=150, deadline=None)
def test_periods_launch_again_and_again(months, seconds, offset, length, origin):
    """The first and the last launch of a span are those of all that are listed, and no launch is left out between."""
    if not months and seconds < 60:
        seconds += 60
    start = origin.replace(tzinfo=UTC)
    schedule = by_period(months, seconds, start=start)
    after = start + dt.timedelta(seconds=offset)
    until = after + min(dt.timedelta(seconds=length), 500 * dt.timedelta(seconds=months * 28 * 86_400 + seconds))

    found = list(due(schedule, after, until, BERLIN))
    assert last(schedule, after, until, BERLIN) == (found[-1] if found else None)
    assert all(after < one <= until for one in found)
    assert found == sorted(set(found))
    if not months:
        step = dt.timedelta(seconds=seconds)
        assert len(found) == (until - start) // step - (after - start) // step
        assert all((one - start) % step == dt.timedelta() for one in found)


@pytest.mark.parametrize(("cron", "day"), [("0 4 L * *", "2026-02-28"), ("0 4 * * 5#2", "2026-02-13"),
                                           ("0 4 LW * *", "2026-02-27"), ("0 4 * FEB FRI", "2026-02-06")])  # fmt: skip
def test_the_names_and_signs_of_the_validator_launch(cron, day):
    """Last days, numbered weekdays and names of months and days work as the API lets them in."""
    found = first(by_cron(cron), at("2026-02-01T00:00+00:00"), BERLIN)

    assert found is not None
    assert found.astimezone(BERLIN).isoformat() == f"{day}T04:00:00+01:00"
