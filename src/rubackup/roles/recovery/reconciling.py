"""Reconciling a pool however many copies it has: a thousand a call, told on the way, going on when something was started again."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, Final

import msgspec

from rubackup.domain.pools import STANDING

COPIES: Final = 1000
"""Of one call: so many it names, and they take a few seconds at most."""
NAMED: Final = 1000
_TELL_SECONDS: Final = 5.0
PATIENCE_SECONDS: Final = 180.0
"""How long a call is tried again while nobody answers; hosts that were started again are there much sooner."""
_AGAIN_SECONDS: Final = 1.0


def patience(pool: Mapping[str, Any]) -> float:
    """How many seconds an answer about a row of pool_list is waited for: a disk that is not there does not come by waiting."""
    return 0.0 if pool.get("problem_code") in STANDING else PATIENCE_SECONDS


class Walked(msgspec.Struct, kw_only=True):
    """What came of all calls."""

    answer: dict[str, Any]
    """As the API answers for a whole pool: the counts of all calls, and the first copies of each kind."""
    owners: Counter[str]
    """How many of the copies that were found are of which client, by hardware id."""


def walk(
    ask: Callable[[str], Mapping[str, Any]],
    failed: Callable[[Exception], bool],
    tell: Callable[[str], None],
    patience_seconds: float = PATIENCE_SECONDS,
) -> Walked:
    """Everything of one pool. `ask` makes the call that goes on behind its argument; `failed`: it may be made again."""
    whole: dict[str, Any] = {
        "applied": False, "found": 0, "lost": 0, "found_records": [], "lost_records": [], "away": [], "not_there": 0,
    }  # fmt: skip
    owners: Counter[str] = Counter()
    seen, said = 0, time.monotonic()
    after: str | None = ""
    while after is not None:
        part = _patiently(partial(ask, after), failed, tell, patience_seconds)
        owners.update(one["client_hwid"] for one in part["found_records"])
        seen += part["seen"]
        whole["applied"] = part["applied"]
        # An API that is older tells nothing of these.
        whole["away"] += [path for path in part.get("away", ()) if path not in whole["away"]]
        whole["not_there"] += part.get("not_there", 0)
        for kind in ("found", "lost"):
            whole[kind] += part[kind]
            named = whole[f"{kind}_records"]
            named += part[f"{kind}_records"][: NAMED - len(named)]
        after = part["after"]
        if time.monotonic() - said > _TELL_SECONDS:
            said = time.monotonic()
            what = "adopted" if part["applied"] else "unknown to the catalogue"
            walking = "compared" if after and after.startswith("compare") else "looked at"
            tell(f"{seen} copies {walking}, {whole['found']} {what}, {whole['lost']} lost.")
        if after and after.endswith("."):  # behind no record: the second walk over the pool begins
            seen = 0
    return Walked(answer=whole, owners=owners)


def _patiently(
    ask: Callable[[], Mapping[str, Any]],
    failed: Callable[[Exception], bool],
    tell: Callable[[str], None],
    patience_seconds: float,
) -> Mapping[str, Any]:
    deadline, said = time.monotonic() + patience_seconds, ""
    while True:
        try:
            return ask()
        except Exception as error:
            if not failed(error) or time.monotonic() > deadline:
                raise
            if str(error) != said:
                said = str(error)
                tell(f"It is asked again: {said}")
        time.sleep(_AGAIN_SECONDS)
