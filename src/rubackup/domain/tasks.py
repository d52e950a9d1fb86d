"""The life of a task: which verb moves it from which state to which.

Workers, operators and the server use the same table, and the in-memory and the
PostgreSQL queue are held to it by one suite. Design section 7.
"""

from __future__ import annotations

from enum import Enum

from rubackup.domain.errors import WrongState
from rubackup.domain.lookups import TaskStatus

S = TaskStatus

FINAL = frozenset({S.DONE, S.ERROR, S.BROKEN, S.KILLED})
"""States that nothing leaves; restarting makes a new task."""

HELD = frozenset({S.ASSIGNED, S.AT_CLIENT, S.EXECUTION, S.TRANSMISSION})
"""States in which a worker holds a lease."""

WAITING = frozenset({S.NEW, S.PAUSED, S.SUSPENDED})
"""States in which nobody works on the task."""


WAIT_BOUNDS_SECONDS = (1.0, 5.0, 15.0, 60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0)
"""Upper bounds of the histogram of how long tasks wait before they are handed out first."""


class Verb(Enum):
    """What can happen to a task."""

    CLAIM = "claim"
    ACCEPT = "accept"
    EXECUTE = "execute"
    TRANSMIT = "transmit"
    FINISH = "finish"
    FAIL = "fail"
    BREAK = "break"
    HAND_ON = "hand on"
    SUSPEND = "suspend"
    RESUME = "resume"
    PAUSE = "pause"
    CONTINUE = "continue"
    KILL = "kill"


MOVES: dict[Verb, tuple[frozenset[TaskStatus], TaskStatus]] = {
    Verb.CLAIM: (frozenset({S.NEW}), S.ASSIGNED),
    Verb.ACCEPT: (frozenset({S.ASSIGNED}), S.AT_CLIENT),
    Verb.EXECUTE: (frozenset({S.ASSIGNED, S.AT_CLIENT, S.TRANSMISSION}), S.EXECUTION),
    Verb.TRANSMIT: (frozenset({S.ASSIGNED, S.AT_CLIENT, S.EXECUTION}), S.TRANSMISSION),
    Verb.FINISH: (HELD, S.DONE),
    Verb.FAIL: (HELD | {S.NEW, S.SUSPENDED}, S.ERROR),
    Verb.BREAK: (HELD | {S.NEW, S.SUSPENDED}, S.BROKEN),
    Verb.HAND_ON: (HELD, S.NEW),
    Verb.SUSPEND: (HELD | {S.NEW}, S.SUSPENDED),
    Verb.RESUME: (frozenset({S.SUSPENDED}), S.NEW),
    Verb.PAUSE: (HELD | {S.NEW, S.SUSPENDED}, S.PAUSED),
    Verb.CONTINUE: (frozenset({S.PAUSED}), S.NEW),
    Verb.KILL: (HELD | WAITING, S.KILLED),
}


def move(verb: Verb, status: TaskStatus) -> TaskStatus:
    """The state that `verb` leads to; WrongState names both when it may not happen there."""
    sources, target = MOVES[verb]
    if status not in sources:
        allowed = ", ".join(s.label for s in TaskStatus if s in sources)
        raise WrongState(
            f"A task with status {status.label} does not allow '{verb.value}'; allowed: {allowed}.",
            status=status.label,
        )
    return target
