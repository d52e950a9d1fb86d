"""What becomes of the copies of a rule: which go, move, get a second copy, whom to tell, when, and why. No I/O.

`decide` is asked by the leader, which carries out what is due, and by the simulation, which only shows it. Both
see the same verdicts. Design: `docs/design/retention.md`.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from enum import Enum


class Action(Enum):
    """What is to be done with a copy."""

    KEEP = "keep"
    """Its time is over, yet it stays; or it is to move or to get a second copy, and cannot."""
    INFORM = "inform"
    COPY = "copy"
    MOVE = "move"
    DELETE = "delete"
    VERIFY = "verify"


@dataclass(frozen=True, slots=True)
class Copy:
    """What decides about a copy. Instants are aware; None stands for never."""

    id: int
    series: Hashable
    """Copies of one resource of one client."""
    created_at: dt.datetime
    store_until: dt.datetime | None = None
    locked_until: dt.datetime | None = None
    good: bool = True
    """Not found damaged."""
    available: bool = True
    """Nothing that it needs lies in a storage that is away."""
    archiving: bool = False
    secondary: bool = False
    """Made beside another copy: it lives by its own store_until alone."""
    informed: bool = False
    second_made: bool = False
    move_at: dt.datetime | None = None
    """When it is old enough to move; None where it is in the right pool, or has no other."""
    move_obstacle: str = ""
    """Why it cannot go there, as a sentence."""
    second_at: dt.datetime | None = None
    """When its second copy is due; None where there is to be none."""
    second_until: dt.datetime | None = None
    """How long that would be kept."""
    second_obstacle: str = ""
    verify_at: dt.datetime | None = None
    """When it is to be verified next; None where its rule does not say so."""
    rests_until: dt.datetime | None = None
    """When a task that moves or copies it may be queued again; None: at once."""
    frozen: str = ""
    """Why nothing in its pool may be deleted, as a sentence."""


@dataclass(frozen=True, slots=True)
class Keep:
    """How many copies of a series stay whatever their age; 0: none. Of a period it is the last one."""

    last: int = 0
    daily: int = 0
    weekly: int = 0
    monthly: int = 0
    yearly: int = 0


@dataclass(frozen=True, slots=True)
class Policy:
    """What a rule, or a strategy, and the global configuration say about its copies."""

    delete: bool = False
    """auto_delete_obsoleted_copy_flag."""
    keep: Keep = field(default_factory=Keep)
    inform_before: dt.timedelta | None = None
    """How long before the end of a copy somebody is told; None: nobody is."""
    mandatory: dt.timedelta = dt.timedelta()
    """mandatory_storage_time."""
    protect_last: str = "dont_delete_last_gs_rule_archive"
    """The key that keeps the last good copy; '' where it is off."""
    zone: dt.tzinfo | None = None
    """In which days, weeks, months and years begin; None: the host's."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be done with a copy, from when on, and why. `why` names no instants: many copies share it."""

    copy_id: int
    action: Action
    at: dt.datetime
    why: str


OVER = "Its storage_duration is over (auto_delete_obsoleted_copy_flag)."
AFTER_MANDATORY = "Its storage_duration was over before, and now mandatory_storage_time is, too."
AFTER_LOCK = "Its storage_duration was over before, and now its lock is, too."
TELL = "Its storage_duration ends (inform_when_obsoleted_copy)."
SECOND = "A second copy is to be kept in second_copy_pool."
VERIFY_AGAIN = "Its last verification, or its making, lies verify_interval back."
OLD_ENOUGH = "It is older than move_copy_while."
ARCHIVE = "It is an archive: it is deleted only when it is named."
AWAY = "It needs what lies in a storage that is away."
DAMAGED = "It was found damaged."
LAST_GOOD = "It is the last good copy of its rule ({})."
FLAG_OFF = "auto_delete_obsoleted_copy_flag of its rule is off."
NO_SECOND = "Its second copy cannot be made: {}"
NO_MOVE = "It is older than move_copy_while, but cannot move: {}"
KEPT = "{} keeps it."
KEPT_OF = "{} keeps it as the last copy of its {}."

_PERIODS: tuple[tuple[str, str, Callable[[dt.datetime], Hashable]], ...] = (
    ("daily", "day", lambda at: at.date()),
    ("weekly", "week", lambda at: at.isocalendar()[:2]),
    ("monthly", "month", lambda at: (at.year, at.month)),
    ("yearly", "year", lambda at: at.year),
)


def decide(copies: Sequence[Copy], policy: Policy, now: dt.datetime) -> list[Verdict]:
    """Verdicts about all the copies of a rule, those of one copy in the order in which they are carried out.

    Carrying out what is due and asking again gives the rest: nothing that was done changes what is decided about others.
    A copy without a verdict has time left.
    """
    kept = keepers(copies, policy.keep, policy.zone)
    last = _last_good(copies) if policy.protect_last else frozenset()
    return [verdict for one in copies for verdict in _judge(one, policy, kept.get(one.id, ""), one.id in last, now)]


_STEPS = (Action.COPY, Action.DELETE, Action.MOVE, Action.VERIFY)


def due(verdicts: Iterable[Verdict], now: dt.datetime) -> dict[int, list[Verdict]]:
    """What is to be done with each copy now: tell, and one step more. A second copy comes before the end, the end before a move, all before a verification."""
    found: dict[int, list[Verdict]] = {}
    for verdict in verdicts:
        if verdict.at <= now and verdict.action is not Action.KEEP:
            found.setdefault(verdict.copy_id, []).append(verdict)
    return {
        copy_id: [one for one in those if one.action is Action.INFORM]
        + sorted((one for one in those if one.action in _STEPS), key=lambda one: _STEPS.index(one.action))[:1]
        for copy_id, those in found.items()
    }


def keepers(copies: Iterable[Copy], keep: Keep, zone: dt.tzinfo | None) -> dict[int, str]:
    """Which copies stay whatever their age, and why: of each series the newest, and the last of the newest periods.

    Copies that are damaged, away, archives, or beside another one keep no place from others.
    """
    found: dict[int, str] = {}
    if keep == Keep():
        return found
    series: dict[Hashable, list[Copy]] = {}
    for one in copies:
        if one.good and one.available and not one.archiving and not one.secondary:
            series.setdefault(one.series, []).append(one)
    for those in series.values():
        those.sort(key=_age, reverse=True)
        for one in those[: keep.last]:
            found.setdefault(one.id, KEPT.format("keep_last"))
        for name, word, period in _PERIODS:
            for one in _lasts(those, getattr(keep, name), period, zone):
                found.setdefault(one.id, KEPT_OF.format(f"keep_{name}", word))
    return found


def _lasts(
    newest_first: Sequence[Copy], count: int, period: Callable[[dt.datetime], Hashable], zone: dt.tzinfo | None
) -> Iterator[Copy]:
    """The last copy of each of the `count` newest periods that have one."""
    seen: set[Hashable] = set()
    for one in newest_first:
        if len(seen) >= count:
            return
        name = period(one.created_at.astimezone(zone))
        if name not in seen:
            seen.add(name)
            yield one


def _age(one: Copy) -> tuple[dt.datetime, int]:
    return one.created_at, one.id


def _last_good(copies: Iterable[Copy]) -> frozenset[int]:
    """The newest good copy of each series; one that is away only where there is no other, nor a second copy."""

    def rank(one: Copy) -> tuple[bool, dt.datetime, bool, int]:
        made, number = _age(one)
        return one.available, made, not one.secondary, number

    best: dict[Hashable, Copy] = {}
    for one in copies:
        held = best.get(one.series)
        if one.good and (held is None or rank(one) > rank(held)):
            best[one.series] = one
    return frozenset(one.id for one in best.values())


def _judge(one: Copy, policy: Policy, kept: str, last: bool, now: dt.datetime) -> Iterator[Verdict]:
    over = one.store_until if not kept else None
    if over is not None and policy.inform_before is not None and not one.informed and not one.archiving:
        yield Verdict(one.id, Action.INFORM, over - policy.inform_before, TELL)
    second = _second(one, now)
    if second is not None and one.good and one.available:
        if one.second_obstacle:
            yield Verdict(one.id, Action.KEEP, second, NO_SECOND.format(one.second_obstacle))
        else:
            yield Verdict(one.id, Action.COPY, second, SECOND)
    stays = _stays(one, policy, kept, last, second)
    gone = None if stays or one.store_until is None else _end(one, policy, second)
    if one.verify_at is not None and one.good and one.available and (gone is None or gone.at > one.verify_at):
        yield Verdict(one.id, Action.VERIFY, one.verify_at, VERIFY_AGAIN)
    if (move := _move(one, None if gone is None else gone.at)) is not None:
        yield move
    if gone is not None:
        yield gone
    elif stays and one.store_until is not None and not stays.startswith(NO_SECOND.format("")):
        yield Verdict(one.id, Action.KEEP, one.store_until, stays)


def _second(one: Copy, now: dt.datetime) -> dt.datetime | None:
    """When the second copy is to be made, if it still is."""
    if one.second_at is None or one.second_made or one.secondary or one.archiving:
        return None
    at = _latest(one.second_at, one.rests_until)
    return at if one.second_until is None or one.second_until > max(at, now) else None


def _stays(one: Copy, policy: Policy, kept: str, last: bool, second: dt.datetime | None) -> str:
    """Why a copy whose time is over stays, as a sentence; '' when it goes."""
    if one.archiving:
        return ARCHIVE
    if kept:
        return kept
    if not policy.delete:
        return FLAG_OFF
    if last:
        return LAST_GOOD.format(policy.protect_last)
    if one.frozen:
        return one.frozen
    if not one.available:
        return AWAY
    if second is not None and one.good and one.second_obstacle:
        return NO_SECOND.format(one.second_obstacle)
    return ""


def _end(one: Copy, policy: Policy, second: dt.datetime | None) -> Verdict:
    """The end of a copy that nothing keeps: never before its time, its lock, the mandatory time, its second copy."""
    assert one.store_until is not None
    reasons = [(one.store_until, OVER)]
    if policy.mandatory:
        reasons.append((one.created_at + policy.mandatory, AFTER_MANDATORY))
    if one.locked_until is not None:
        reasons.append((one.locked_until, AFTER_LOCK))
    if second is not None and one.good:
        reasons.append((second, OVER))
    at, why = reasons[0]
    for later, reason in reasons[1:]:
        if later > at:
            at, why = later, reason
    return Verdict(one.id, Action.DELETE, at, why)


def _move(one: Copy, gone_at: dt.datetime | None) -> Verdict | None:
    """The move of a copy that lives until then; a locked one moves when its lock is over."""
    if one.move_at is None or one.secondary or one.archiving or not one.good or not one.available or one.frozen:
        return None
    at = _latest(one.move_at, one.locked_until, one.rests_until)
    if gone_at is not None and gone_at <= at:
        return None
    if one.move_obstacle:
        return Verdict(one.id, Action.KEEP, at, NO_MOVE.format(one.move_obstacle))
    return Verdict(one.id, Action.MOVE, at, OLD_ENOUGH)


def _latest(at: dt.datetime, *others: dt.datetime | None) -> dt.datetime:
    return max((at, *(other for other in others if other is not None)))
