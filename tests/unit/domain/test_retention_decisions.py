"""What becomes of copies by time, against a model that goes through the days one by one and knows nothing of the code."""

from __future__ import annotations

import datetime as dt
import itertools
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rubackup.domain.retention import Action, Copy, Keep, Policy, decide, due

START = dt.datetime(2026, 3, 20, 1, tzinfo=dt.UTC)
"""Europe/Berlin changes its clock nine days later."""
HOUR, DAY = dt.timedelta(hours=1), dt.timedelta(days=1)
BERLIN, MOSCOW = ZoneInfo("Europe/Berlin"), ZoneInfo("Europe/Moscow")
hours = st.integers(0, 24 * 45)
maybe = st.one_of(st.none(), hours)


@st.composite
def copies(draw: st.DrawFn) -> list[Copy]:
    """A few copies of up to three resources."""
    found = []
    for number in range(draw(st.integers(0, 14))):
        made = START + draw(hours) * HOUR
        end, lock, move, second = (draw(maybe) for _ in range(4))
        found.append(
            Copy(
                id=number, series=draw(st.sampled_from("abc")), created_at=made,
                store_until=None if end is None else made + end * HOUR,
                locked_until=None if lock is None else made + lock * HOUR,
                good=draw(st.integers(0, 5)) > 0, available=draw(st.integers(0, 5)) > 0,
                archiving=draw(st.integers(0, 9)) == 0, secondary=draw(st.integers(0, 5)) == 0,
                informed=draw(st.booleans()), second_made=draw(st.booleans()),
                move_at=None if move is None else made + move * HOUR, move_obstacle=draw(st.sampled_from(("", "", "No."))),
                second_at=None if second is None else made + second * HOUR, second_until=made + 60 * DAY,
                second_obstacle=draw(st.sampled_from(("", "", "No."))),
                verify_at=made + 3 * DAY if draw(st.booleans()) else None, frozen=draw(st.sampled_from(("", "", "", "No."))),
            )
        )  # fmt: skip
    return found


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    """Any policy."""
    some = st.one_of(st.just(0), st.integers(0, 6))
    return Policy(
        delete=draw(st.integers(0, 3)) > 0, keep=Keep(*(draw(some) for _ in range(5))),
        inform_before=draw(st.sampled_from((None, dt.timedelta(), 2 * DAY))),
        mandatory=draw(st.sampled_from((dt.timedelta(), 7 * DAY))), protect_last=draw(st.sampled_from(("", "the key"))),
        zone=draw(st.sampled_from((dt.UTC, BERLIN, MOSCOW))),
    )  # fmt: skip


def naive_kept(those: list[Copy], policy: Policy) -> set[int]:
    """The copies that a `keep_` key holds: walk back over the calendar, one period after the other."""
    kept: set[int] = set()
    for series in {one.series for one in those}:
        mine = [one for one in those if one.series == series and one.good and one.available]
        mine = [one for one in mine if not one.archiving and not one.secondary]
        kept |= {one.id for one in sorted(mine, key=lambda one: (one.created_at, one.id))[::-1][: policy.keep.last]}
        for count, form in (
            (policy.keep.daily, "%Y-%m-%d"), (policy.keep.weekly, "%G-%V"), (policy.keep.monthly, "%Y-%m"),
            (policy.keep.yearly, "%Y"),
        ):  # fmt: skip
            periods: dict[str, Copy] = {}
            for one in sorted(mine, key=lambda one: (one.created_at, one.id)):
                periods[one.created_at.astimezone(policy.zone).strftime(form)] = one
            kept |= {one.id for _name, one in sorted(periods.items())[::-1][:count]}
    return kept


def naive_goes(one: Copy, those: list[Copy], policy: Policy, now: dt.datetime) -> bool:
    """Whether a copy may be deleted now, said in the words of the design."""
    needs_second = (
        one.second_at is not None and not one.second_made and not one.secondary and one.good
        and one.second_until is not None and one.second_until > max(now, one.second_at)
    )  # fmt: skip
    if not policy.delete or one.archiving or not one.available or one.frozen or one.id in naive_kept(those, policy):
        return False
    if one.store_until is None or one.store_until > now or (one.locked_until is not None and one.locked_until > now):
        return False
    if one.created_at + policy.mandatory > now:
        return False
    if needs_second and (one.second_obstacle or one.second_at <= now):
        return False
    if needs_second:
        return False  # it is made first, whenever its time is
    good = [other for other in those if other.series == one.series and other.good]
    newest = max(
        good, key=lambda other: (other.available, other.created_at, not other.secondary, other.id), default=None
    )
    return not (policy.protect_last and newest is not None and newest.id == one.id)


@settings(max_examples=400, deadline=None)
@given(copies(), policies(), st.integers(0, 24 * 70))
def test_what_goes_is_what_the_design_says(those: list[Copy], policy: Policy, hour: int) -> None:
    """Deleted is what the model deletes, nothing else and nothing less."""
    now = START + hour * HOUR
    steps = due(decide(those, policy, now), now)
    gone = {copy_id for copy_id, found in steps.items() if found[-1].action is Action.DELETE}

    assert gone == {one.id for one in those if naive_goes(one, those, policy, now)}


@settings(max_examples=150, deadline=None)
@given(copies(), policies(), st.integers(0, 24 * 70))
def test_doing_what_is_due_changes_nothing_for_the_others(those: list[Copy], policy: Policy, hour: int) -> None:
    """Asked again, what was not due is decided as before: so lots, crashes and several leaders make no difference."""
    now = START + hour * HOUR
    first = decide(those, policy, now)
    gone = {copy_id for copy_id, found in due(first, now).items() if found[-1].action is Action.DELETE}
    again = decide([one for one in those if one.id not in gone], policy, now)

    assert again == [one for one in first if one.copy_id not in gone]


@settings(max_examples=150, deadline=None)
@given(copies(), policies(), st.integers(0, 24 * 70), st.integers(0, 24 * 20))
def test_what_is_foretold_is_what_happens(those: list[Copy], policy: Policy, hour: int, later: int) -> None:
    """The instants that are told now are those at which it is done, as long as nobody changes anything."""
    now, then = START + hour * HOUR, START + (hour + later) * HOUR
    foretold = {
        (one.copy_id, one.action) for one in decide(those, policy, now)
        if one.at <= then and one.action in {Action.DELETE, Action.INFORM}
    }  # fmt: skip
    needs_second = {one.copy_id for one in decide(those, policy, now) if one.action is Action.COPY}
    # One that cannot be made holds its copy until that is mended, or until no second one is wanted any more.
    needs_second |= {one.id for one in those if one.second_obstacle}
    happens = {
        (one.copy_id, one.action) for one in decide(those, policy, then)
        if one.at <= then and one.action in {Action.DELETE, Action.INFORM}
    }  # fmt: skip

    assert {one for one in foretold if one[0] not in needs_second} == {
        one for one in happens if one[0] not in needs_second
    }


@settings(max_examples=150, deadline=None)
@given(copies(), policies(), st.integers(0, 24 * 70))
def test_moves_second_copies_and_notices(those: list[Copy], policy: Policy, hour: int) -> None:
    """Each at its time; nothing that is damaged, away, an archive or beside another one moves or is copied."""
    now = START + hour * HOUR
    by_id = {one.id: one for one in those}
    for verdict in decide(those, policy, now):
        one = by_id[verdict.copy_id]
        if verdict.action in {Action.MOVE, Action.COPY}:
            assert one.good
            assert one.available
            assert not one.archiving
            assert not one.secondary
        if verdict.action is Action.MOVE:
            assert (one.move_obstacle, one.frozen) == ("", "")
            assert verdict.at >= max(one.move_at, one.locked_until or one.move_at)
        if verdict.action is Action.COPY:
            assert (one.second_made, one.second_obstacle, verdict.at) == (False, "", one.second_at)
        if verdict.action is Action.VERIFY:
            assert (verdict.at, one.good, one.available) == (one.verify_at, True, True)
        if verdict.action is Action.INFORM:
            assert (verdict.at, one.informed) == (one.store_until - policy.inform_before, False)
            assert one.id not in naive_kept(those, policy)
        assert verdict.why.endswith(".")


def made(number: int, at: dt.datetime, **fields: object) -> Copy:
    """A copy that may go at once."""
    return Copy(id=number, series="a", created_at=at, store_until=at, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("zone", "kept"),
    [(BERLIN, [1, 3, 4]), (dt.UTC, [2, 4]), (MOSCOW, [1, 3, 4])],
    ids=["Berlin", "UTC", "Moscow"],
)
def test_days_begin_where_the_server_is(zone: dt.tzinfo, kept: list[int]) -> None:
    """Also over the hours that a change of the clock takes away and gives back."""
    at = [
        dt.datetime(2026, 3, 28, 20, 30, tzinfo=dt.UTC), dt.datetime(2026, 3, 28, 20, 45, tzinfo=dt.UTC),
        dt.datetime(2026, 3, 28, 23, 30, tzinfo=dt.UTC), dt.datetime(2026, 3, 29, 20, 30, tzinfo=dt.UTC),
        dt.datetime(2026, 3, 29, 23, 30, tzinfo=dt.UTC),
    ]  # fmt: skip
    those = [made(number, moment) for number, moment in enumerate(at)]
    policy = Policy(delete=True, keep=Keep(daily=3), protect_last="", zone=zone)
    gone = {one.copy_id for one in decide(those, policy, START + 90 * DAY) if one.action is Action.DELETE}

    assert sorted(set(range(5)) - gone) == kept


def test_why_a_copy_stays_is_told() -> None:
    """Whatever keeps one whose time is over has a sentence of its own."""
    other = made(9, START + DAY)
    reasons = {
        "archive": decide([made(1, START, archiving=True), other], Policy(delete=True), START + DAY),
        "keep_last": decide([made(1, START), other], Policy(delete=True, keep=Keep(last=2)), START + DAY),
        "last copy of its month": decide([made(1, START), other], Policy(delete=True, keep=Keep(last=1, monthly=1)), START),
        "is off": decide([made(1, START), other], Policy(), START),
        "last good copy": decide([made(1, START)], Policy(delete=True), START),
        "away": decide([made(1, START, available=False), other], Policy(delete=True), START),
        "Its pool.": decide([made(1, START, frozen="Its pool."), other], Policy(delete=True), START),
        "cannot be made: Full.": decide(
            [made(1, START, second_at=START, second_until=START + 9 * DAY, second_obstacle="Full."), other],
            Policy(delete=True), START,
        ),
    }  # fmt: skip
    for words, verdicts in reasons.items():
        told = [one for one in verdicts if one.action is Action.KEEP]
        if words == "last copy of its month":
            assert "keep_last" in told[0].why
        else:
            assert (told[0].copy_id, words in told[0].why) == (1, True), words


def test_what_keeps_a_copy_from_moving_is_told() -> None:
    """One row with the reason; it goes when its time is over all the same."""
    one = made(1, START + 2 * DAY, move_at=START, move_obstacle="The pool is full.")
    verdicts = decide([one, made(9, START + 3 * DAY)], Policy(delete=True), START)
    mine = [(verdict.action, verdict.at) for verdict in verdicts if verdict.copy_id == 1]

    assert mine == [(Action.KEEP, START), (Action.DELETE, START + 2 * DAY)]
    assert verdicts[0].why.endswith("cannot move: The pool is full.")


def test_a_lock_and_the_mandatory_time_put_the_end_off() -> None:
    """What ends last is named."""
    lock, old = made(1, START, locked_until=START + 3 * DAY), made(2, START)
    verdicts = decide(
        [lock, old, made(9, START + DAY, archiving=False)], Policy(delete=True, mandatory=2 * DAY), START
    )  # fmt: skip
    found = {one.copy_id: one for one in verdicts if one.action is Action.DELETE}

    assert (found[1].at, "lock" in found[1].why) == (START + 3 * DAY, True)
    assert (found[2].at, "mandatory_storage_time" in found[2].why) == (START + 2 * DAY, True)


def test_the_second_copy_comes_before_the_end_and_the_end_before_a_move() -> None:
    """One step at a time, so that nothing is read that is just being deleted."""
    one = made(1, START, second_at=START, second_until=START + 90 * DAY, move_at=START)
    verdicts = decide([one, made(9, START + DAY)], Policy(delete=True, inform_before=DAY), START + DAY)

    assert [step.action for step in due(verdicts, START + DAY)[1]] == [Action.INFORM, Action.COPY]
    assert all(len(steps) <= 2 for steps in due(verdicts, START + DAY).values())
    assert list(itertools.chain(*due(verdicts, START - 2 * DAY).values())) == []


def test_a_second_copy_does_not_take_the_place_of_the_last_good_one() -> None:
    """It has the same age and a higher number, yet the one that was made by the backup stays; a later backup's is newer, though."""
    first = Copy(id=1, series="a", created_at=START, store_until=START)
    second = Copy(id=2, series="a", created_at=START, store_until=START, secondary=True)
    newer = Copy(id=3, series="a", created_at=START + HOUR, store_until=START + HOUR, secondary=True)
    policy = Policy(delete=True, keep=Keep(), protect_last="the key")

    def gone(*those: Copy) -> set[int]:
        return {one.copy_id for one in decide(those, policy, START + DAY) if one.action is Action.DELETE}

    assert gone(first, second) == {2}
    assert gone(first, second, newer) == {1, 2}
