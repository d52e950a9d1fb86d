"""A pool knows its catalogue by the names of its take-overs, and notices when it was set back."""

from __future__ import annotations

from pathlib import Path

import pytest

from rubackup.media.history import FILE, LATE, History, Standing

POOL = "0" * 32
FIRST, SECOND, THIRD, OTHER = (1, "a"), (2, "b"), (3, "c"), (2, "x")


@pytest.fixture
def history(tmp_path: Path) -> History:
    """A pool that has seen two take-overs."""
    found = History(tmp_path)
    assert found.meet(POOL, [FIRST], reconciled=False).reconciled
    assert found.meet(POOL, [FIRST, SECOND], reconciled=False).reconciled
    return found


def test_a_catalogue_that_goes_on_is_known(history: History, tmp_path: Path) -> None:
    """Also after a restart of the media server, and where take-overs were missed."""
    assert history.meet(POOL, [FIRST, SECOND, THIRD], reconciled=False).reconciled
    assert History(tmp_path).meet(POOL, [THIRD, (4, "d")], reconciled=False).reconciled


@pytest.mark.parametrize("terms", [[FIRST], [FIRST, OTHER], [FIRST, OTHER, THIRD], [THIRD], [(9, "b")]])
def test_a_catalogue_that_does_not_know_the_last_one_is_another(history: History, terms: list) -> None:
    """One that was restored from an older dump, however often it was taken over since."""
    assert not history.meet(POOL, terms, reconciled=False).reconciled


def test_it_stays_so_until_it_was_reconciled(history: History, tmp_path: Path) -> None:
    """Neither later take-overs nor a restart make it right; an administrator does, for this catalogue."""
    assert not history.meet(POOL, [FIRST, OTHER], reconciled=False).reconciled
    assert not History(tmp_path).meet(POOL, [FIRST, OTHER, THIRD], reconciled=False).reconciled
    assert history.meet(POOL, [FIRST, OTHER, THIRD], reconciled=True).reconciled
    assert History(tmp_path).meet(POOL, [OTHER, THIRD, (4, "d")], reconciled=False).reconciled
    assert not history.meet(POOL, [FIRST, SECOND], reconciled=False).reconciled


def test_a_damaged_file_is_no_excuse(history: History, tmp_path: Path) -> None:
    """What the pool has known cannot be told any more: it has to be reconciled."""
    (tmp_path / POOL / FILE).write_bytes(b"{")

    assert not history.meet(POOL, [FIRST, SECOND], reconciled=False).reconciled
    assert history.meet(POOL, [FIRST, SECOND], reconciled=True).reconciled


def meet(history: History, contact: int, **more) -> Standing:
    """A contact in the second term."""
    return history.meet(POOL, [FIRST, SECOND], contact=contact, **{"reconciled": False, **more})


@pytest.mark.parametrize("way", ["connection", "question"])
def test_a_catalogue_of_the_same_term_that_was_set_back_is_noticed(history: History, tmp_path: Path, way: str) -> None:
    """Its next contact has a number that the pool has passed, with or without a take-over since."""
    assert [meet(history, number).contact for number in (1, 2, 3)] == [1, 2, 3]
    assert [history.meet_again(POOL, number).contact for number in range(4, 20)] == list(range(4, 20))
    if way == "question":
        assert not history.meet_again(POOL, 9).reconciled
    else:
        assert not History(tmp_path).meet(POOL, [FIRST, SECOND, THIRD], reconciled=False, contact=9).reconciled
    assert not History(tmp_path).meet_again(POOL, 40).reconciled
    assert not meet(history, 41).reconciled
    assert meet(history, 10, reconciled=True) == Standing(reconciled=True, contact=10)
    assert History(tmp_path).meet_again(POOL, 11) == Standing(reconciled=True, contact=11)


def test_an_answer_that_was_lost_and_orders_that_overtake_change_nothing(history: History) -> None:
    """The same number again, and one that was on its way for long."""
    for number in (1, 2, 2, 3, 4, 4 - LATE, 5):
        assert meet(history, number).reconciled
        assert history.meet_again(POOL, number).reconciled
    assert meet(history, 5).contact == 5


@pytest.mark.parametrize(
    ("contact", "file", "fits"),
    [(1, "", True), (2, "", False), (1, "packs/ab/abc.pack", False), (1, "manifests/abc.manifest", False)],
)
def test_a_lost_metadata_folder_is_no_fresh_pool(tmp_path: Path, contact: int, file: str, fits: bool) -> None:
    """A pool is new when the catalogue never met it and nothing lies in its storages."""
    storage = tmp_path / "storage"
    (storage / "packs").mkdir(parents=True)
    if file:
        (storage / file).parent.mkdir(exist_ok=True)
        (storage / file).touch()
    found = History(tmp_path / "metadata").meet(POOL, [FIRST], reconciled=False, contact=contact, folders=[storage])

    assert found.reconciled is fits


def test_a_folder_that_cannot_be_read_may_hold_something(tmp_path: Path) -> None:
    """Nobody knows, so the pool has to be reconciled."""
    (tmp_path / "storage").write_text("a file is in its place")
    found = History(tmp_path / "metadata").meet(
        POOL, [FIRST], reconciled=False, contact=1, folders=[tmp_path / "storage"]
    )

    assert not found.reconciled


def test_a_file_that_goes_while_the_server_is_connected_is_noticed(history: History, tmp_path: Path) -> None:
    """From the next question on."""
    assert meet(history, 1).reconciled
    (tmp_path / POOL / FILE).unlink()

    assert not history.meet_again(POOL, 2).reconciled
    assert not meet(history, 2).reconciled
