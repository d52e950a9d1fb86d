"""Programs of tasks in transient units of systemd, where the client is itself a service.

The client's unit leaves it what reading and restoring takes. A script of an administrator may
need more (become PostgreSQL's user, see processes, mount for the whole host), so systemd starts
it beside the client, as root and without that unit's limits.
"""

from __future__ import annotations

import logging
import os
import subprocess
import uuid
from collections.abc import Mapping, Sequence

from rubackup.domain.errors import Invalid

log = logging.getLogger(__name__)

VARIABLE = "RUBACKUP_SCRIPT_UNITS"
"""The client's own unit, which sets it: what ends that ends its scripts."""
SPARE_SECONDS = 60
"""After its time systemd ends a program whose client has died."""
ASK_SECONDS = 30.0
EXIT_EXEC = 203
"""systemd.exec(5): the program could not be executed."""
_KILLED = frozenset({"2", "3"})
"""CLD_KILLED, CLD_DUMPED."""


class Unit:
    """One transient unit, which runs one program."""

    def __init__(self, program: str) -> None:
        self.name = f"rubackup-script-{uuid.uuid4().hex}.service"
        self._program = program

    def command(
        self, arguments: Sequence[str], environment: Mapping[str, str], seconds: float, grace: float
    ) -> list[str]:
        """What starts the program, waits for it and passes its output on."""
        own = os.environ[VARIABLE]
        properties = {
            "BindsTo": own, "After": own, "WorkingDirectory": "/", "UMask": "0027",
            "RuntimeMaxSec": f"{seconds + SPARE_SECONDS:g}", "TimeoutStopSec": f"{grace:g}",
        }  # fmt: skip
        return [
            "systemd-run", "--quiet", "--wait", "--pipe", "--service-type=exec", f"--unit={self.name}",
            f"--description=RuBackup: {self._program}",
            *[f"--property={key}={value}" for key, value in properties.items()],
            *[f"--setenv={key}={value}" for key, value in environment.items()],
            "--", self._program, *[one.replace("$", "$$") for one in arguments],
        ]  # fmt: skip

    def end(self) -> None:
        """End the program with all that it started: politely, then not."""
        try:
            _ask("stop", self.name)
        except Invalid as error:  # the end of its time ends it
            log.warning("%s: %s", self._program, error.message)

    def exit_code(self, returned: int, output: str) -> int:
        """How the program ended: minus the signal that ended it. Invalid when it was not run."""
        if returned == 0:
            return 0
        if returned < 0:  # not the program was ended, but who waits for it
            self.end()
        told = dict(
            line.partition("=")[::2]
            for line in _ask("show", "-p", "LoadState,ExecMainCode,ExecMainStatus", self.name).splitlines()
        )
        _ask("reset-failed", self.name)
        status = int(told.get("ExecMainStatus") or 0)
        if told.get("LoadState") != "loaded" or status == EXIT_EXEC:
            raise Invalid(f"{self._program} cannot be run: {output or 'systemd does not start it'}.")
        return -status if told.get("ExecMainCode") in _KILLED else status


def in_units() -> bool:
    """Whether this process is the client's service."""
    return bool(os.environ.get(VARIABLE))


def _ask(*words: str) -> str:
    try:
        return subprocess.run(
            ["systemctl", *words], capture_output=True, text=True, timeout=ASK_SECONDS, check=False,
            stdin=subprocess.DEVNULL,
        ).stdout  # fmt: skip
    except (OSError, subprocess.TimeoutExpired) as error:
        raise Invalid(f"systemctl {words[0]} failed: {error}.") from error
