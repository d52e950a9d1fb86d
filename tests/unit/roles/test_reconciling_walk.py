"""The command goes over a pool call by call, and goes on when something was started again."""

from __future__ import annotations

from typing import Any

import pytest

from rubackup.domain.errors import Unavailable
from rubackup.domain.pools import PoolProblem
from rubackup.roles.recovery import rebuilding, reconciling
from rubackup.roles.rest import RestClient


def answer(number: int, after: str | None, hwid: str = "a") -> dict[str, Any]:
    """A call that has found a thousand copies and lost one."""
    found = [{"client_hwid": hwid, "uuid": f"{number}-{at}"} for at in range(1000)]
    return {
        "applied": True, "found": 1000, "lost": 1, "seen": 1000, "after": after,
        "away": [], "not_there": 0, "found_records": found, "lost_records": [{"id": number, "uuid": "u"}],
    }  # fmt: skip


def test_the_counts_of_all_calls_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first thousand copies are named, whose they are is counted of all; how far it is is said on the way."""
    monkeypatch.setattr(reconciling, "_TELL_SECONDS", -1.0)
    asked: list[str] = []
    told: list[str] = []
    pages = {
        "": answer(1, "adopt.t.5.x"), "adopt.t.5.x": answer(2, "compare.t.0."), "compare.t.0.": answer(3, None, "b")
    }  # fmt: skip

    def ask(after: str) -> dict[str, Any]:
        asked.append(after)
        return pages[after]

    found = reconciling.walk(ask, lambda _: False, told.append)
    assert asked == list(pages)
    assert (found.answer["found"], found.answer["lost"], found.answer["applied"]) == (3000, 3, True)
    assert [one["uuid"] for one in found.answer["found_records"]] == [f"1-{at}" for at in range(1000)]
    assert [one["id"] for one in found.answer["lost_records"]] == [1, 2, 3]
    assert found.owners == {"a": 2000, "b": 1000}
    assert told[0] == "1000 copies looked at, 1000 adopted, 1 lost."
    assert len(told) == 3


def test_what_is_away_in_any_call_is_told_once() -> None:
    """With how many copies were left as they are; an API that is older tells neither."""
    pages = {
        "": answer(1, "look.t.5.x") | {"away": ["/two"], "not_there": 3},
        "look.t.5.x": answer(2, "look-part.t.6.x") | {"away": ["/two", "/one"], "not_there": 4},
        "look-part.t.6.x": {key: value for key, value in answer(3, None).items() if key not in {"away", "not_there"}},
    }
    found = reconciling.walk(pages.__getitem__, lambda _: False, lambda _text: None)
    assert (found.answer["away"], found.answer["not_there"]) == (["/two", "/one"], 7)


def test_a_call_that_nobody_answers_is_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same one, for a while; a refusal is told at once."""
    monkeypatch.setattr(reconciling, "_AGAIN_SECONDS", 0.0)
    told: list[str] = []
    tries: list[str] = []

    def ask(after: str) -> dict[str, Any]:
        tries.append(after)
        if len(tries) in {2, 3}:
            raise Unavailable("Nobody answers.")
        return answer(1, "more" if len(tries) == 1 else None)

    reconciling.walk(ask, lambda error: isinstance(error, Unavailable), told.append)
    assert tries == ["", "more", "more", "more"]
    assert told == ["It is asked again: Nobody answers."]
    with pytest.raises(Unavailable):
        reconciling.walk(lambda _: _silent(), lambda error: isinstance(error, Unavailable), told.append, -1.0)
    with pytest.raises(ValueError, match="refused"):
        reconciling.walk(lambda _: _refuse(), lambda error: isinstance(error, Unavailable), told.append)


def _silent() -> dict[str, Any]:
    raise Unavailable("Nobody answers.")


def _refuse() -> dict[str, Any]:
    raise ValueError("refused")


def test_a_pool_that_needs_somebody_is_not_waited_for() -> None:
    """By its code, whatever the sentence says; without a problem calls are made again for a while."""
    for code, waits in {"": True, PoolProblem.OPENING: True, PoolProblem.OTHER: True, PoolProblem.FULL: True,
                        PoolProblem.UNUSABLE: False, PoolProblem.NO_STORAGE: False}.items():  # fmt: skip
        assert bool(reconciling.patience({"problem": "Any sentence.", "problem_code": code})) == waits


class Telling(RestClient):
    """An API that says of a pool what it is told to, and then always the last."""

    def __init__(self, *said: tuple[str, str]) -> None:
        self._said = list(said)

    def get(self, path: str) -> dict[str, Any]:
        """The next word of it."""
        problem, code = self._said.pop(0) if len(self._said) > 1 else self._said[0]
        return {"problem": problem, "problem_code": code}

    def close(self) -> None:
        """Nothing was opened."""


def test_a_rebuild_waits_for_what_passes_and_takes_what_can_be_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """By the code of the problem; what stands is told after a moment."""
    monkeypatch.setattr(rebuilding, "_POLL_SECONDS", 0.0)
    monkeypatch.setattr(rebuilding, "_SETTLE_SECONDS", -1.0)
    row, said = {"id": 1, "pool_name": "Vault"}, []

    def wait(*told: tuple[str, str]) -> str:
        return rebuilding._wait_open(Telling(*told), row, said.append)

    passing = [("Any sentence.", PoolProblem.OPENING), ("Another.", PoolProblem.UNREPORTED)]
    assert wait(*passing, ("", "")) == ""
    assert said == ["Pool Vault: Any sentence.", "Pool Vault: Another."]
    assert wait(("There is no room left.", PoolProblem.FULL)) == ""
    assert wait(("Its disk is away.", PoolProblem.UNUSABLE)) == "Its disk is away."
    assert wait(*passing, ("A riddle.", PoolProblem.OTHER)) == "A riddle."
