"""`rubackup_alone`: an autonomous client, as an administrator or systemd calls it."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import Any

from rubackup.cli.output import facts
from rubackup.cli.programs import Program, main
from rubackup.roles.installed import alone as autonomous
from rubackup.roles.installed import pidfile
from rubackup.roles.installed.owners import become_owner_of
from rubackup.roles.process import ready
from rubackup.roles.settings import ConfigurationFault, Settings
from rubackup.roles.up import beside


class Alone(Program):
    """All processes of an autonomous client under one supervisor; PostgreSQL, too, unless systemd runs it beside."""

    def start(self) -> None:
        """Serve until a signal ends it."""
        self._become_owner()
        with pidfile.held(self._pid, self.name):
            autonomous.run(self._layout, _announce)

    @classmethod
    def actions(cls, group: Any) -> None:
        """What this program does beside all others."""
        group.add_argument(
            "--new-catalogue", dest="action", action="store_const", const="new-catalogue",
            help="let the next start begin with an empty catalogue, where the client's is lost",
        )  # fmt: skip
        for word in ("prepare", "become"):  # of the unit rubackup_postgres
            group.add_argument(
                f"--{word}-postgres", dest="action", action="store_const", const=f"{word}-postgres", help=argparse.SUPPRESS
            )  # fmt: skip

    def act(self, action: str) -> int:
        """Do one of `actions`."""
        if action == "prepare-postgres":
            autonomous.prepare_postgres(self._layout, _runtime())
        elif action == "become-postgres":
            beside.become(_runtime())
        elif action == "new-catalogue":
            self._become_owner()
            state = autonomous.begin_anew(self._layout)
            print(
                f"The next start begins with an empty catalogue in {state.root}. When it runs, take over what lies in its"
                " pools: rubackup rebuild-catalogue."
            )
        else:
            return super().act(action)
        return 0

    def _become_owner(self) -> None:
        found = autonomous.settings(self._layout)
        if not found.path("ALONE_DIR").exists():
            autonomous.folder_of(found)  # says so
        become_owner_of(found.path("ALONE_DIR"), self.name)


def _runtime() -> Path:
    """The runtime folder of PostgreSQL's unit."""
    named = os.environ.get("RUNTIME_DIRECTORY", "")
    if not named:
        raise ConfigurationFault(f"Only {beside.UNIT} calls this: RUNTIME_DIRECTORY is not set.")
    return Path(named)


def _announce(found: dict[str, Any]) -> None:
    """Tell the terminal or the journal where everything is, and systemd that it serves."""
    names = {"api": "API", "superuser": "user", "password_file": "password in", "ca_file": "CA", "client": "client"}
    facts([(name, found[key]) for key, name in names.items()])
    ready(Settings({}, "the environment", os.environ))


def alone() -> int:
    """Entry of `rubackup_alone`."""
    return main("alone", make=Alone)
