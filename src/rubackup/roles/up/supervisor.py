"""Keeps the processes alive: starts them, starts them again with growing delays, stops them in order.

One thread, woken by signals. A process that ends with EXIT_CONFIGURATION cannot be helped:
its last line is the error, and everything stops. Nobody outlives a supervisor that is
killed: see `process`.
"""

from __future__ import annotations

import logging
import os
import select
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from types import FrameType
from typing import NoReturn

from rubackup.domain.errors import RubackupError
from rubackup.roles.process import EXIT_CONFIGURATION
from rubackup.roles.up.faults import StartupFault
from rubackup.roles.up.logs import rotate
from rubackup.roles.up.service import Service

FIRST_DELAY_SECONDS = 0.2
LONGEST_DELAY_SECONDS = 10.0
STABLE_SECONDS = 60.0
"""A process that lived so long starts again with the first delay."""
ROTATE_SECONDS = 5.0
TICK_SECONDS = 0.25
"""The longest wait: signals end it at once, ready files are looked for as often as this / 10."""

log = logging.getLogger(__name__)


class StopRequestedError(Exception):
    """SIGTERM or SIGINT came while something was waited for."""


@dataclass
class _Watched:
    service: Service
    started_at: float = 0.0
    delay_seconds: float = FIRST_DELAY_SECONDS
    again_at: float | None = None
    words: str = ""
    """With which it ended last: it may have been started again a moment ago, and have said nothing yet."""


@dataclass
class _Round:
    seconds: float
    work: Callable[[], object]
    due_at: float


class Supervisor:
    """The processes in the order in which they were started. `changed` is called when one was started again."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._watched: list[_Watched] = []
        self._clock = clock
        self._stop = False
        self._wake = -1
        self._rotated_at = 0.0
        self._rounds: list[_Round] = []
        self.changed: Callable[[], object] = lambda: None
        self._tell_at: float | None = None

    # --- signals ---

    @contextmanager
    def signals(self) -> Iterator[None]:
        """Take SIGTERM, SIGINT and SIGHUP as the request to stop, for the block."""
        self._wake, write = os.pipe2(os.O_CLOEXEC | os.O_NONBLOCK)
        signs = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
        before = {sign: signal.signal(sign, self._on_stop) for sign in signs}
        before[signal.SIGCHLD] = signal.signal(signal.SIGCHLD, lambda _number, _frame: None)
        wakeup = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        try:
            yield
        finally:
            signal.set_wakeup_fd(wakeup)
            for sign, handler in before.items():
                signal.signal(sign, handler)
            os.close(self._wake)
            os.close(write)
            self._wake = -1

    def _on_stop(self, _number: int, _frame: FrameType | None) -> None:
        self._stop = True

    def check(self) -> None:
        """StopRequestedError once a stop was asked for."""
        if self._stop:
            raise StopRequestedError

    # --- life ---

    def start(self, service: Service) -> None:
        """Start a process and look after it from now on; `wait_ready` tells when it serves."""
        watched = _Watched(service)
        self._watched.append(watched)
        self._launch(watched)

    def wait_ready(self, service: Service, limit_seconds: float) -> None:
        """Wait until a process serves; StartupFault with its last words when it does not in time."""
        self.wait(service.ready, limit_seconds, lambda: f"{service.name} does not become ready: {self._said(service)}")

    def wait(self, condition: Callable[[], bool], limit_seconds: float, complaint: Callable[[], str]) -> None:
        """Look after the processes until the condition holds; StartupFault with the complaint after the time."""
        deadline = self._clock() + limit_seconds
        while not condition():
            if self._clock() > deadline:
                raise StartupFault(complaint())
            self.step(TICK_SECONDS / 10)

    def each(self, seconds: float, work: Callable[[], object]) -> None:
        """Do something each time that so many seconds are over; what fails is told and tried again then."""
        self._rounds.append(_Round(seconds, work, self._clock() + seconds))

    def run(self) -> NoReturn:
        """Look after the processes; ends with StopRequestedError or StartupFault."""
        while True:
            self.step(TICK_SECONDS)

    def step(self, wait_seconds: float) -> None:
        """One round: wait for a signal or the time, take note of ends, start again what is due."""
        self.check()
        if self._wake >= 0:
            if select.select([self._wake], [], [], wait_seconds)[0]:
                os.read(self._wake, 4096)
        else:
            time.sleep(wait_seconds)
        self.check()
        for watched in self._watched:
            self._look(watched)
        if self._tell_at is not None and self._clock() >= self._tell_at:
            self._tell()
        self._rotate()
        for turn in self._rounds:
            if self._clock() >= turn.due_at:
                turn.due_at = self._clock() + turn.seconds
                try:
                    turn.work()
                except (RubackupError, OSError):
                    log.exception("what is done every %g s failed", turn.seconds)

    def stop(self) -> None:
        """Stop everything, the last started first; a repeated signal changes nothing."""
        for watched in reversed(self._watched):
            log.info("stopping %s", watched.service.name)
            try:
                watched.service.stop()
            except OSError:
                log.exception("%s was not stopped in order", watched.service.name)
        self._watched.clear()

    def pids(self) -> dict[str, int]:
        """Process ids by name, of those that live."""
        return {w.service.name: pid for w in self._watched if (pid := w.service.pid) is not None}

    # --- parts ---

    def _launch(self, watched: _Watched) -> None:
        watched.again_at = None
        watched.started_at = self._clock()
        watched.service.start(self.check)
        log.info("started %s, process %s", watched.service.name, watched.service.pid)

    def _look(self, watched: _Watched) -> None:
        if watched.again_at is not None:
            if self._clock() >= watched.again_at:
                self._again(watched)
            return
        status = watched.service.exit_status()
        if status is None:
            watched.service.end_if_still()
            return
        if status == EXIT_CONFIGURATION:
            raise StartupFault(self._told(watched.service))
        watched.words = watched.service.last_words()
        log.warning("%s ended with status %d: %s", watched.service.name, status, self._told(watched.service))
        if self._clock() - watched.started_at >= STABLE_SECONDS:
            watched.delay_seconds = FIRST_DELAY_SECONDS
        self._postpone(watched)

    def _postpone(self, watched: _Watched) -> None:
        watched.again_at = self._clock() + watched.delay_seconds
        watched.delay_seconds = min(watched.delay_seconds * 2, LONGEST_DELAY_SECONDS)

    def _again(self, watched: _Watched) -> None:
        try:
            self._launch(watched)
        except (StartupFault, OSError) as error:
            log.warning("%s does not start again: %s", watched.service.name, error)
            self._postpone(watched)
        else:
            self._tell()

    def _tell(self) -> None:
        """Say that the processes have changed; where that fails, on a full disk, they go on, and it is said later."""
        try:
            self.changed()
        except (RubackupError, OSError) as error:
            log.warning("what runs now is told later: %s", error)
            self._tell_at = self._clock() + LONGEST_DELAY_SECONDS
        else:
            self._tell_at = None

    def _said(self, service: Service) -> str:
        before = next((one.words for one in self._watched if one.service is service), "")
        return service.last_words() or before or self._told(service)

    @staticmethod
    def _told(service: Service) -> str:
        return service.last_words() or f"it left no message in {service.log_file}"

    def _rotate(self) -> None:
        if self._clock() - self._rotated_at < ROTATE_SECONDS:
            return
        self._rotated_at = self._clock()
        for watched in self._watched:
            try:
                rotate(watched.service.log_file)
            except OSError as error:
                log.warning("%s cannot be rotated: %s", watched.service.log_file, error.strerror)
