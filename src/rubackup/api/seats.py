"""What users have open at once, counted over all workers of one API: each has a row of seats in memory that all read.

A seat is the user's id, or 0. A worker writes its own row alone, so nothing is locked: a worker that hangs or is killed
keeps nobody out for longer than until its row is cleared.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rubackup.domain.errors import Busy, TooManyAttempts

MAX_STREAMS: Final = 200
MAX_DOWNLOADS: Final = 32
"""Of one worker: they bound its memory."""
RETRY_SECONDS = 5


class Seats:
    """The seats of one worker for one kind of thing, and the view of all workers'."""

    def __init__(self, what: str, rows: Sequence[memoryview[float]], place: int) -> None:
        """`rows` are of doubles, one for each worker; `what` is how people call these things."""
        self._what = what
        self._rows = rows
        self._own = rows[place]

    def __len__(self) -> int:
        """How many are taken in this worker."""
        return len(self._own) - self._taken().count(0)

    def _taken(self) -> Sequence[float]:
        return self._own.tolist()

    def take(self, user_id: int, *, of_user: int, of_worker: int) -> int:
        """A seat, to be left by `leave`; TooManyAttempts when the user has so many, Busy when this worker has."""
        taken = self._taken()
        if self.of(user_id) >= of_user:
            raise self._user_full(of_user)
        if len(taken) - taken.count(0) >= of_worker or 0 not in taken:
            raise Busy(f"Too many {self._what} are open; try again later.")
        seat = taken.index(0)
        self._own[seat] = user_id
        if (
            self.of(user_id) > of_user
        ):  # another worker gave one away since: of two that come at once none gets the last
            self._own[seat] = 0
            raise self._user_full(of_user)
        return seat

    def leave(self, seat: int) -> None:
        """It is free again."""
        self._own[seat] = 0

    def of(self, user_id: int) -> int:
        """How many a user has, in whichever worker."""
        return sum(row.tolist().count(user_id) for row in self._rows)

    def _user_full(self, of_user: int) -> TooManyAttempts:
        return TooManyAttempts(f"A user may have {of_user} {self._what} at once.", retry_after_seconds=RETRY_SECONDS)
