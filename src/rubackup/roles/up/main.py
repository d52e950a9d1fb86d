"""The supervisor's process: `rubackup up` in the foreground, `python -m rubackup.roles.up` behind `--detach`.

However it ends, nothing that it started is left running.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rubackup.agent.folders import Ground, check_fresh
from rubackup.domain.errors import Invalid, RubackupError
from rubackup.roles import arguments as given
from rubackup.roles import systemd
from rubackup.roles.settings import Settings
from rubackup.roles.up.faults import StartupFault, explained, reason
from rubackup.roles.up.settings import AS_IT_IS, Wishes
from rubackup.roles.up.state import State, locked, runtime_folder
from rubackup.roles.up.supervisor import StopRequestedError, Supervisor
from rubackup.roles.up.system import System

log = logging.getLogger(__name__)

Announce = Callable[[dict[str, Any]], None]


def serve(root: Path, *, port: int, log_level: str, announce: Announce, wishes: Wishes = AS_IT_IS) -> None:
    """Bring the system up on a state, announce it, and look after it until SIGTERM, SIGINT or SIGHUP.

    An error is a RubackupError whose message is a sentence for the administrator.
    """
    systemd.tell_stacks()
    state = checked(root)
    check_place(state, wishes)
    state.make()
    with locked(state), runtime_folder(state) as runtime:
        with explained("Cannot write the log"):
            _log_to(state.log("up"), log_level)
            state.ready_file.unlink(missing_ok=True)
        supervisor = Supervisor()
        with supervisor.signals():
            try:
                system = System(state, runtime, supervisor, port=port, log_level=log_level, wishes=wishes)
                announce(system.bring_up())
                if seconds := systemd.wait_seconds():
                    supervisor.each(seconds / systemd.BEATS, systemd.moves)
                supervisor.run()
            except StopRequestedError:
                log.info("asked to stop")
            except RubackupError as error:
                log.error("%s", error.message)
                raise
            except OSError as error:
                log.exception("cannot go on")
                raise StartupFault(f"The system cannot run: {reason(error)}.") from error
            except Exception:
                log.exception("stopped by an error that nobody foresaw")
                raise
            finally:
                state.ready_file.unlink(missing_ok=True)
                supervisor.stop()


def checked(root: Path) -> State:
    """The state at an absolute path; StartupFault when its name cannot stand in a settings file."""
    path = root.absolute()
    try:
        text = str(path).encode().decode()
    except UnicodeEncodeError:
        text = "\n"
    if not text.isprintable():
        raise StartupFault("The path of the state must be UTF-8 without line breaks or control characters.")
    return State(path)


def check_place(state: State, wishes: Wishes) -> None:
    """StartupFault before anything is made where the copies of a new state could not stay."""
    if state.complete.exists():
        return
    settings = Settings(wishes.settings.get("media", {}), "the environment", os.environ)
    ground = Ground(memory=settings.flag("MEMORY_STORAGES", default=False), host="machine")
    with explained(f"Cannot use {state.root} as state"):
        storage = state.storage.resolve()
    try:
        check_fresh(str(storage), ground)
    except Invalid as error:
        raise StartupFault(
            f"The state {state.root} is to hold copies, and cannot: {storage} {error.message} Name another folder as state."
        ) from error


def _log_to(path: Path, level: str) -> None:
    handler = logging.FileHandler(path, encoding="utf-8")
    formatter = logging.Formatter("%(asctime)s.%(msecs)03dZ %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%S")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.addHandler(handler)
    root.setLevel(level)
    logging.getLogger("alembic").setLevel(logging.WARNING)


def main() -> int:
    """Entry of a supervisor that was started in the background; its starter reads one line of JSON from a pipe."""
    parser = argparse.ArgumentParser(prog="rubackup up")
    parser.add_argument("--state", type=given.path, required=True)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--log-level", default="INFO")
    parser.add_argument("--new-catalogue", action="store_true")
    parser.add_argument("--status-fd", type=int, required=True)
    arguments = parser.parse_args()

    def tell(what: dict[str, Any]) -> None:
        os.write(arguments.status_fd, json.dumps(what).encode() + b"\n")
        os.close(arguments.status_fd)

    told = False

    def announce(ready: dict[str, Any]) -> None:
        nonlocal told
        tell({"ready": ready})
        told = True

    try:
        wishes = Wishes(new_catalogue=arguments.new_catalogue)
        serve(arguments.state, port=arguments.port, log_level=arguments.log_level, announce=announce, wishes=wishes)
    except RubackupError as error:
        if not told:
            tell({"error": error.message})
        return 1
    return 0
