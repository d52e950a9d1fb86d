"""`rubackup_alone`: an autonomous client, as an administrator or systemd calls it."""

from __future__ import annotations

import os
from typing import Any

from rubackup.cli.output import facts
from rubackup.cli.programs import Program, main
from rubackup.roles.installed import alone as autonomous
from rubackup.roles.installed import pidfile
from rubackup.roles.installed.owners import become_owner_of
from rubackup.roles.process import ready
from rubackup.roles.settings import Settings


class Alone(Program):
    """All processes of an autonomous client under one supervisor."""

    def start(self) -> None:
        """Serve until a signal ends it."""
        become_owner_of(autonomous.settings(self._layout).path("ALONE_DIR"), self.name)
        with pidfile.held(self._pid, self.name):
            autonomous.run(self._layout, _announce)


def _announce(found: dict[str, Any]) -> None:
    """Tell the terminal or the journal where everything is, and systemd that it serves."""
    names = {"api": "API", "superuser": "user", "password_file": "password in", "ca_file": "CA", "client": "client"}
    facts([(name, found[key]) for key, name in names.items()])
    ready(Settings({}, "the environment", os.environ))


def alone() -> int:
    """Entry of `rubackup_alone`."""
    return main("alone", make=Alone)
