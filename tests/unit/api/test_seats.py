"""What users have open at once is one number for all workers of an API."""

from __future__ import annotations

import pytest

from rubackup.api.board import Board
from rubackup.api.seats import MAX_DOWNLOADS
from rubackup.domain.errors import Busy, TooManyAttempts

ANNA, OLGA = 7, 8


def test_a_user_is_counted_over_all_workers() -> None:
    """Whichever worker is asked for one more refuses; another user is none of it, and whoever leaves makes room."""
    board = Board([], 2)
    first, second = board.seats(0)[0], board.seats(1)[0]
    seat = first.take(ANNA, of_user=3, of_worker=10)
    first.take(ANNA, of_user=3, of_worker=10)
    second.take(ANNA, of_user=3, of_worker=10)

    for worker in (first, second):
        with pytest.raises(TooManyAttempts, match="A user may have 3 event streams at once"):
            worker.take(ANNA, of_user=3, of_worker=10)
    second.take(OLGA, of_user=3, of_worker=10)
    assert (len(first), len(second), board.streams()) == (2, 2, 4)
    first.leave(seat)
    assert second.take(ANNA, of_user=3, of_worker=10) >= 0


def test_a_worker_has_its_own_bound() -> None:
    """Its memory is bounded whoever asks, the other worker has room; downloads and streams are counted apart."""
    board = Board([], 2)
    for user in range(1, MAX_DOWNLOADS + 1):
        board.seats(0)[1].take(user, of_user=8, of_worker=MAX_DOWNLOADS)

    with pytest.raises(Busy, match="Too many downloads are open"):
        board.seats(0)[1].take(100, of_user=8, of_worker=MAX_DOWNLOADS)
    board.seats(1)[1].take(100, of_user=8, of_worker=MAX_DOWNLOADS)
    assert board.streams() == 0


def test_who_dies_leaves_its_seats() -> None:
    """The keeper clears what a worker had, so its users have room in the others."""
    board = Board([], 2)
    for _ in range(3):
        board.seats(0)[0].take(ANNA, of_user=3, of_worker=10)

    board.ended(0)

    assert board.streams() == 0
    board.seats(1)[0].take(ANNA, of_user=3, of_worker=10)


def test_two_at_once_never_get_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """A seat that another worker gave away after this one had counted is seen before this one's is kept."""
    board = Board([], 2)
    first, second = board.seats(0)[0], board.seats(1)[0]
    counted = first.of

    def late(user_id: int) -> int:
        found = counted(user_id)
        if found == 0:
            second.take(ANNA, of_user=1, of_worker=10)
        return found

    monkeypatch.setattr(first, "of", late)
    with pytest.raises(TooManyAttempts):
        first.take(ANNA, of_user=1, of_worker=10)
    assert board.streams() == 1
