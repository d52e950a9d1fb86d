"""The demonstration from beginning to end. It starts the system if none runs on the state, and then stops it too."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sysconfig
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.filesize import decimal

from rubackup.cli.demo.job import Job
from rubackup.cli.demo.screen import Screen
from rubackup.client.compare import Comparison, compare_trees
from rubackup.domain.errors import Invalid
from rubackup.roles.rest import RestClient
from rubackup.roles.up import background
from rubackup.roles.up.faults import StartupFault, explained
from rubackup.roles.up.process import finish

SHOWN_ENTRIES = 8


def default_folder() -> Path:
    """The interpreter's standard library."""
    return Path(sysconfig.get_path("stdlib")).resolve()


def demonstrate(folder: Path, state: Path, *, port: int, once: bool) -> bool:
    """Run the job, and leave the system running until Ctrl-C unless `once`; whether everything matched."""
    folder, state = _checked(folder, state)
    screen = Screen()
    started = time.monotonic()
    with _system(state, port, screen) as (supervisor, ready):
        screen.say(f"The system runs ({time.monotonic() - started:.1f} s): {', '.join(ready['processes'])}.")
        # beside the state, as nothing is restored into it
        with tempfile.TemporaryDirectory(prefix=f"{state.name}-demo-", dir=state.parent) as scratch:
            found = _job(screen, ready, folder, Path(scratch) / "restored")
        if not once:
            screen.invitation(ready, str(folder))
            _stay(screen, supervisor)
    return found.equal


def _checked(folder: Path, state: Path) -> tuple[Path, Path]:
    if not folder.exists():
        raise Invalid(f"There is nothing at {folder}.")
    folder, state = folder.resolve(), state.resolve()
    if state.is_relative_to(folder):
        raise Invalid(f"The state {state} lies in {folder}: the copy would contain itself; name another --state.")
    return folder, state


@contextmanager
def _system(state: Path, port: int, screen: Screen) -> Iterator[tuple[subprocess.Popen[bytes] | None, dict[str, Any]]]:
    """The system of the state: the one that runs, which is left alone, or one of our own."""
    ready = background.running(state)
    if ready is not None:
        yield None, ready
        return
    screen.say("Starting the system ...")  # no bar: its thread and a fork do not go together
    supervisor, ready = background.start_bound(state, port=port)
    try:
        yield supervisor, ready
    finally:
        screen.say("Stopping the system.")
        finish(supervisor, signal.SIGTERM, background.STOP_SECONDS)


def _job(screen: Screen, ready: dict[str, Any], folder: Path, scratch: Path) -> Comparison:
    password = Path(ready["password_file"]).read_text().strip()
    api = RestClient(ready["api"], Path(ready["ca_file"]), ready["superuser"], password)
    try:
        return _steps(screen, Job(api, ready["client"], folder, screen.seen), scratch)
    finally:
        api.close()


def _steps(screen: Screen, job: Job, scratch: Path) -> Comparison:
    with screen.step(f"Backing up {job.folder}"), _timed() as took:
        record = job.backup()
    screen.say(
        f"1. Backed up {job.folder} ({record['backup_type']}): {record['files']} files,"
        f" {decimal(record['size_bytes'])}, {decimal(record['stored_bytes'])} new in the pool, in {took():.1f} s."
    )
    screen.say(f"2. Copy {record['id']} holds:")
    screen.entries(*job.listing(record, SHOWN_ENTRIES))
    with screen.step("Verifying the copy"), _timed() as took:
        status = job.verify(record)
    screen.say(f"3. Verified: every chunk read again, {status}, in {took():.1f} s.")
    destination = _emptied(scratch)
    with screen.step("Restoring elsewhere"), _timed() as took:
        restored = job.restore(record, destination)
    screen.say(f"4. Restored to {restored} in {took():.1f} s.")
    with screen.step("Comparing"), _timed() as took, explained("Cannot compare"):
        found = compare_trees(str(job.folder), str(restored), ordinary_user=os.geteuid() != 0)
    _tell_comparison(screen, found, took())
    if status != "Trusted":
        found.differs(b"/", f"the verification says {status}")
    return found


def _tell_comparison(screen: Screen, found: Comparison, seconds: float) -> None:
    counted = (
        f"{found.files} files, {found.folders} folders, {found.links} links, {found.others} others,"
        f" {found.xattrs} extended attributes, {decimal(found.size_bytes)}"
    )
    if found.equal:
        screen.say(f"5. Equal: {counted}: every byte, mode, owner, time, link and attribute, in {seconds:.1f} s.")
        if found.taken_over:
            screen.say(f"   {found.taken_over} entries of other owners are yours now: only root can give files away.")
        return
    screen.say(f"5. {found.difference_count} DIFFERENCES among {counted}:")
    screen.differences(found.differences, found.difference_count)


@contextmanager
def _timed() -> Iterator[Any]:
    """A function that tells how long the block took."""
    started, ended = time.monotonic(), 0.0

    def took() -> float:
        return (ended or time.monotonic()) - started

    try:
        yield took
    finally:
        ended = time.monotonic()


def _emptied(scratch: Path) -> Path:
    """An empty folder for what is restored; that of the last run is removed."""
    with explained("Cannot make room for what is restored"):
        if scratch.exists():
            shutil.rmtree(scratch)
        scratch.mkdir(mode=0o700)
    return scratch


def _stay(screen: Screen, supervisor: subprocess.Popen[bytes] | None) -> None:
    """Leave the system running until Ctrl-C."""
    if supervisor is None:
        screen.say("The system was running before and goes on.")
        return
    screen.say("The system runs until Ctrl-C.")
    try:
        status = supervisor.wait()
    except KeyboardInterrupt:
        return
    if status:
        raise StartupFault("The supervisor ended; its log says why: log/up.log in the state.")
