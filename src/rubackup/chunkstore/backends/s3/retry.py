"""The same request again, later and later, for a bounded time."""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final, TypeVar

from rubackup.chunkstore.backends.s3.failures import Failure, failure_of

_T = TypeVar("_T")
log = logging.getLogger(__name__)
TOTAL_SECONDS: Final = 180.0
"""No further attempt begins later than this after the first."""


class Refused(Exception):
    """A request failed for good."""

    def __init__(self, failure: Failure, *, uncertain: bool) -> None:
        self.failure = failure
        self.uncertain = uncertain
        """Whether one of the attempts may have done what was asked: its answer was lost."""
        super().__init__(failure.code or failure.status)


@dataclass(frozen=True)
class Patience:
    """How long and how often; the waits are random between half and all of what they may be."""

    total_seconds: float = TOTAL_SECONDS
    first_seconds: float = 0.2
    longest_seconds: float = 15.0
    sleep: Callable[[float], None] = time.sleep
    steady: Callable[[], float] = time.monotonic

    def call(self, what: str, request: Callable[[], _T]) -> _T:
        """What the request answers; Refused."""
        end = self.steady() + self.total_seconds
        wait, uncertain = self.first_seconds, False
        while True:
            try:
                return request()
            except Exception as error:
                failure = failure_of(error)
                uncertain = uncertain or failure.unknown_effect
                pause = wait * random.uniform(0.5, 1)  # noqa: S311 - spreads retries, guards nothing
                if not failure.again or self.steady() + pause > end:
                    raise Refused(failure, uncertain=uncertain) from None
                log.info("%s: %s %s; again in %.1f s", what, failure.status or "no answer", failure.code, pause)
            self.sleep(pause)
            wait = min(2 * wait, self.longest_seconds)
