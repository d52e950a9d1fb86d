"""Several processes that do one role's work, and the one that keeps them. Knows no API.

The keeper is what systemd, the process file and `--stop` mean. It has no loop and no thread, so that a worker can be its
fork at any time: what it holds in memory, secrets among it, reaches workers without any file, argument or variable.
Workers that end are started again, and so are those whose loops stand still; none outlives the keeper, however that ends.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from time import monotonic
from typing import Protocol

from rubackup.roles.liveness import STACK_SECONDS, Silence, Witness
from rubackup.roles.signals import next_signal
from rubackup.roles.up.process import end_with_parent

log = logging.getLogger(__name__)

STOP_SECONDS = 20.0
"""More than a worker takes to end its calls; less than `--stop` waits."""
POLL_SECONDS = 0.05
IDLE_SECONDS = 5.0
SILENT_SECONDS = 30
"""A worker whose loop has not come round for so long is ended, unless the settings say otherwise."""
START_SECONDS = 60.0
"""What one may take before it serves: it makes its routes and their checks at one go, which no loop gets between."""
LOOKS = 6
"""So often a worker is looked at before it counts as silent: none of these looks alone can end it."""
FIRST_PAUSE, LAST_PAUSE = 0.5, 30.0
"""Seconds before a worker is started again that did not live for LAST_PAUSE; doubled each time."""
_HEARD = frozenset({signal.SIGCHLD, signal.SIGTERM, signal.SIGINT, signal.SIGHUP})


class Places(Protocol):
    """Where it stands which worker runs, in memory that workers share."""

    def begun(self, place: int, pid: int) -> None:
        """A worker was started."""
        ...

    def ended(self, place: int) -> None:
        """It is gone."""
        ...

    def is_ready(self, place: int) -> bool:
        """Whether it serves."""
        ...

    def beats(self, place: int) -> float:
        """How often it has beaten; any other number than the one before shows that it lives."""
        ...


@dataclass
class _Worker:
    """One place: who is there, or when the next one comes."""

    place: int
    silence: Silence
    witness: Witness = field(default_factory=Witness)
    pid: int = 0
    began: float = 0.0
    due: float = 0.0
    pause: float = FIRST_PAUSE


class Keeper:
    """Starts workers, hands signals on, and waits for their end."""

    def __init__(
        self,
        count: int,
        places: Places,
        work: Callable[[int], None],
        *,
        idle: Callable[[], float | None],
        silent_seconds: float = SILENT_SECONDS,
    ) -> None:
        """`work` is a worker's life in the fork. `idle` is called now and then and says in how many seconds it wants to be.

        A worker that has not beaten for `silent_seconds` is ended.
        """
        self._look = min(IDLE_SECONDS, silent_seconds / LOOKS)
        self._silent = silent_seconds
        self._workers = [_Worker(place, self._unheard()) for place in range(count)]
        self._places = places
        self._work = work
        self._idle = idle
        self._ended: int | None = None
        """The exit status, once this is to end."""

    def run(self, ready: Callable[[], None]) -> int:
        """Keep workers until SIGTERM or SIGINT; the exit status. `ready` is called when all serve.

        A worker that ends before that ends all: what is wrong will not be better the second time.
        """
        before = signal.pthread_sigmask(signal.SIG_BLOCK, _HEARD)
        try:
            if self._start(ready):
                while self._ended is None:
                    self._rest()
                    self._end_silent()
                    self._revive()
            self._stop()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        return self._ended or 0

    def _start(self, ready: Callable[[], None]) -> bool:
        """Whether all serve. The first comes alone: what is wrong with all of them is said once."""
        for group in (self._workers[:1], self._workers[1:]):
            for worker in group:
                self._fork(worker)
            while not all(self._places.is_ready(worker.place) for worker in group):
                self._hear(POLL_SECONDS)
                self._end_silent()
                for worker, status in self._reap():
                    if self._ended is None:
                        log.error("worker %d ended before it served: %s", worker.place, _told(status))
                        self._ended = max(os.waitstatus_to_exitcode(status), 1)
                if self._ended is not None:
                    return False
        ready()
        return True

    def _fork(self, worker: _Worker) -> None:
        keeper = os.getpid()
        pid = os.fork()
        if pid == 0:
            status = 1
            try:
                end_with_parent(keeper, signal.SIGKILL)
                signal.signal(signal.SIGHUP, signal.SIG_IGN)  # until it serves there is nothing to read anew
                signal.pthread_sigmask(signal.SIG_UNBLOCK, _HEARD)
                worker.witness.enter()
                self._work(worker.place)
                status = 0
            except SystemExit as error:
                status = error.code if isinstance(error.code, int) else 1
            except BaseException:
                log.exception("worker %d ends", worker.place)
            finally:
                logging.shutdown()
                os._exit(status)  # what the keeper has open and registered is not the worker's to end
        worker.pid, worker.began, worker.silence = pid, monotonic(), self._unheard()
        self._places.begun(worker.place, pid)

    def _rest(self) -> None:
        """Until a signal, a worker that is due, or what `idle` is there for."""
        waits = [self._look, self._idle()]
        waits += [worker.due - monotonic() for worker in self._workers if not worker.pid]
        self._hear(max(min(wait for wait in waits if wait is not None), 0.01))

    def _hear(self, seconds: float) -> None:
        """Wait for a signal, and hand on what is meant for workers."""
        found = next_signal(_HEARD, seconds)
        if found is None or found == signal.SIGCHLD:
            return
        if found == signal.SIGHUP:
            self._tell(signal.SIGHUP)
        else:
            self._ended = 0

    def _unheard(self) -> Silence:
        return Silence(2 * self._look)

    def _limit(self, worker: _Worker) -> float:
        return self._silent if self._places.is_ready(worker.place) else max(self._silent, START_SECONDS)

    def _end_silent(self) -> None:
        """End workers whose loops stand still, and tell what they were doing. They cannot end in order."""
        silent = [
            (worker, beats)
            for worker in self._workers
            if worker.pid and worker.silence.look(beats := self._places.beats(worker.place)) >= self._limit(worker)
        ]
        for worker, _ in silent:
            worker.witness.ask(worker.pid)
        until = monotonic() + STACK_SECONDS
        for worker, beats in silent:
            doing, seconds = worker.witness.answer(worker.pid, until), worker.silence.seconds
            worker.silence = self._unheard()  # the kernel may not let it go at once
            if self._places.beats(worker.place) != beats:
                log.warning("worker %d stood still for %d s and goes on; %s", worker.place, seconds, doing)
                continue
            with contextlib.suppress(ProcessLookupError):
                os.kill(worker.pid, signal.SIGKILL)
            text = "worker %d (process %d) stands still for %d s and is ended; %s"
            log.error(text, worker.place, worker.pid, seconds, doing)

    def _revive(self) -> None:
        """Note who has ended, and start those whose pause is over."""
        for worker, status in self._reap():
            if self._ended is not None:
                return
            lived = monotonic() - worker.began
            worker.pause = FIRST_PAUSE if lived > LAST_PAUSE else min(worker.pause * 2, LAST_PAUSE)
            worker.due = monotonic() + (0 if lived > LAST_PAUSE else worker.pause)
            log.error("worker %d ended: %s; it is started again", worker.place, _told(status))
        for worker in self._workers:
            if not worker.pid and worker.due <= monotonic() and self._ended is None:
                self._fork(worker)

    def _reap(self) -> Iterable[tuple[_Worker, int]]:
        """Workers that have ended, with their statuses."""
        found = []
        for worker in self._workers:
            if worker.pid:
                pid, status = os.waitpid(worker.pid, os.WNOHANG)
                if pid:
                    worker.pid = 0
                    self._places.ended(worker.place)
                    found.append((worker, status))
        return found

    def _stop(self) -> None:
        """End all in order; after STOP_SECONDS by force."""
        self._tell(signal.SIGTERM)
        deadline = monotonic() + STOP_SECONDS
        while any(worker.pid for worker in self._workers):
            left = deadline - monotonic()
            if left <= 0:
                self._tell(signal.SIGKILL)
            next_signal({signal.SIGCHLD}, max(min(left, 1.0), POLL_SECONDS))
            self._reap()

    def _tell(self, sign: signal.Signals) -> None:
        for worker in self._workers:
            if worker.pid:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(worker.pid, sign)


def _told(status: int) -> str:
    code = os.waitstatus_to_exitcode(status)
    return f"exit status {code}" if code >= 0 else f"killed by {signal.Signals(-code).name}"
