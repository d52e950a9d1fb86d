"""A pool knows its catalogue by the names of its take-overs, and notices when it was set back."""

from __future__ import annotations

from pathlib import Path

import pytest

from rubackup.media.history import FILE, History

POOL = "0" * 32
FIRST, SECOND, THIRD, OTHER = (1, "a"), (2, "b"), (3, "c"), (2, "x")


@pytest.fixture
def history(tmp_path: Path) -> History:
    """A pool that has seen two take-overs."""
    found = History(tmp_path)
    assert found.meet(POOL, [FIRST], reconciled=False)
    assert found.meet(POOL, [FIRST, SECOND], reconciled=False)
    return found


def test_a_catalogue_that_goes_on_is_known(history: History, tmp_path: Path) -> None:
    """Also after a restart of the media server, and where take-overs were missed."""
    assert history.meet(POOL, [FIRST, SECOND, THIRD], reconciled=False)
    assert History(tmp_path).meet(POOL, [THIRD, (4, "d")], reconciled=False)


@pytest.mark.parametrize("terms", [[FIRST], [FIRST, OTHER], [FIRST, OTHER, THIRD], [THIRD], [(9, "b")]])
def test_a_catalogue_that_does_not_know_the_last_one_is_another(history: History, terms: list) -> None:
    """One that was restored from an older dump, however often it was taken over since."""
    assert not history.meet(POOL, terms, reconciled=False)


def test_it_stays_so_until_it_was_reconciled(history: History, tmp_path: Path) -> None:
    """Neither later take-overs nor a restart make it right; an administrator does, for this catalogue."""
    assert not history.meet(POOL, [FIRST, OTHER], reconciled=False)
    assert not History(tmp_path).meet(POOL, [FIRST, OTHER, THIRD], reconciled=False)
    assert history.meet(POOL, [FIRST, OTHER, THIRD], reconciled=True)
    assert History(tmp_path).meet(POOL, [OTHER, THIRD, (4, "d")], reconciled=False)
    assert not history.meet(POOL, [FIRST, SECOND], reconciled=False)


def test_a_damaged_file_is_no_excuse(history: History, tmp_path: Path) -> None:
    """What the pool has known cannot be told any more: it has to be reconciled."""
    (tmp_path / POOL / FILE).write_bytes(b"{")

    assert not history.meet(POOL, [FIRST, SECOND], reconciled=False)
    assert history.meet(POOL, [FIRST, SECOND], reconciled=True)
