"""A short run of `scripts/move-copies`: real processes that are killed, pools of every kind; and stores that break a rule."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from moving.broken import BROKEN

TESTS = Path(__file__).parents[2]


def moved(records: int, *more: str) -> tuple[int, str]:
    """Exit code and output of a run in one process, which ends only at calls that the seed chooses."""
    done = subprocess.run(
        [sys.executable, "-m", "moving", "--records", f"{records}", "--processes=1", "--threads=1", "--life=0", *more],
        env={**os.environ, "PYTHONPATH": str(TESTS)}, capture_output=True, text=True, timeout=300, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout + done.stderr


def count(text: str, what: str) -> int:
    """A line of the end."""
    found = re.search(rf"^ *(\d+) {what}$", text, re.MULTILINE)
    assert found, text
    return int(found[1])


def test_copies_that_move_under_kills_restore() -> None:
    """Each from the pool that the catalogue names; nothing is lost, double or left behind."""
    code, text = moved(60, "--seed=6")

    assert code == 0, text
    assert count(text, "processes killed") >= 4
    assert count(text, "sealed before a kill, adopted") + count(text, "sealed before a kill, refused") >= 1
    assert count(text, "moved") + count(text, "copied") >= 60
    assert count(text, "chunks that the target had, not read") > 0
    assert count(text, "copies restored at the end") >= 60


@pytest.mark.parametrize(
    ("broken", "seed", "noticed"),
    [
        ("hasty", 7, "The pool has no record"),
        ("forgetful", 2, "that nobody listed there"),
        ("greedy", 2, "were read although"),
        ("hoarding", 2, "is needed by no copy|holds nothing"),
    ],
)
def test_a_broken_rule_is_noticed(broken: str, seed: int, noticed: str) -> None:
    """A trial that cannot fail would show nothing. The first two need a kill at the right place, which a seed makes: the next ones are tried, too."""
    for one in range(seed, seed + 8):
        code, text = moved(25, f"--seed={one}", "--broken", broken)
        if code == 1:
            break

    assert code == 1, text
    assert re.search(noticed, text), text
    assert set(BROKEN) == {"hasty", "forgetful", "greedy", "hoarding"}
