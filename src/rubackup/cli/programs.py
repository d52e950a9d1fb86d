"""`rubackup_api`, `rubackup_server`, `rubackup_media` and `rubackup_client`, as an administrator or systemd calls them.

`--start` serves in this terminal until Ctrl-C or `--stop` (guide: terminal mode); the units do the
same. A program that systemd has started is stopped and restarted through systemd.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from typing import Any

from rubackup import __version__
from rubackup.domain.errors import RubackupError
from rubackup.roles import arguments as given
from rubackup.roles.installed import certificate, logs, pidfile
from rubackup.roles.installed.bundle import install_bundle
from rubackup.roles.installed.config_file import ConfigFile
from rubackup.roles.installed.environment import api_settings, app_host
from rubackup.roles.installed.layout import Layout
from rubackup.roles.installed.owners import become_owner_of
from rubackup.roles.installed.serving import run_role
from rubackup.roles.process import EXIT_CONFIGURATION
from rubackup.roles.settings import ConfigurationFault, Settings

NOT_RUNNING = 3
"""Exit status of `--status`, as the Linux Standard Base has it."""
ACTIONS = ("start", "stop", "restart", "status")
_WORDS = {**{word: f"--{word}" for word in ACTIONS}, "hwid": "--hwid-lines"}
"""Bare words, which scripts for the product use; of `hwid` they take the third line."""


class Program:
    """One program of an installation."""

    def __init__(self, role: str, layout: Layout) -> None:
        self.role = role
        self.name = f"rubackup_{role}"
        self._layout = layout
        self._pid = layout.run(role) / f"{self.name}.pid"

    def start(self) -> None:
        """Serve until a signal ends it."""
        self._prepare()
        become_owner_of(self._layout.key(self.role).parent, self.name)
        with pidfile.held(self._pid, self.name):
            run_role(self.name, self.role, self._load)

    def stop(self) -> None:
        """End the process that runs, if one does."""
        unit = self._unit()
        if unit:
            _systemctl("stop", unit)
            print(f"{self.name} was stopped ({unit}).")
        elif pidfile.stop(self._pid, self.name):
            print(f"{self.name} was stopped.")
        else:
            print(f"{self.name} is not running.")

    def restart(self) -> None:
        """Stop what runs, and serve in its place: under systemd when it was systemd's."""
        if unit := self._unit():
            _systemctl("restart", unit)
            print(f"{self.name} was restarted ({unit}).")
            return
        self.stop()
        self.start()

    def status(self) -> int:
        """Tell whether it runs; 0 when it does, else NOT_RUNNING."""
        pid = pidfile.holder(self._pid)
        if pid is None:
            print(f"{self.name} is not running.")
            return NOT_RUNNING
        unit = pidfile.unit_of(pid)
        print(f"{self.name} is running (process {pid}{', ' + unit if unit else ''}).")
        return 0

    def hwid(self) -> str:
        """The hardware id of this host in this role."""
        from rubackup.roles.installed.alone import own_hwid  # noqa: PLC0415 - services need no supervisor

        return own_hwid(self.role, self._layout)

    @classmethod
    def actions(cls, group: Any) -> None:
        """Add what this program does beside all others to the parser's group."""

    def act(self, action: str) -> int:
        """Do what the arguments say; the exit status."""
        if action == "status":
            return self.status()
        if action == "hwid":
            print(self.hwid())
        elif action == "hwid-lines":
            print(f"RuBackup {self.role} {__version__}\nHardware id:\n{self.hwid()}")
        else:
            {"start": self.start, "stop": self.stop, "restart": self.restart}[action]()
        return 0

    def _unit(self) -> str:
        pid = pidfile.holder(self._pid)
        found = pidfile.unit_of(pid) if pid is not None else ""
        return found if found == f"{self.name}.service" else ""

    def _prepare(self) -> None:
        """What needs the issuing CA, while this process may still read it."""
        if self.role == "api" and certificate.prepare_api(self._layout, api_settings(self._layout)):
            print("The API has a new certificate.")

    def _load(self) -> Settings:
        if self.role == "api":
            return self._load_api()
        settings = ConfigFile.load(self._layout.config_file).settings(self.role, self._layout, os.environ)
        logs.configure_file(self._layout.log(self.role) / f"{self.name}.log", settings.log_level())
        return settings

    def _load_api(self) -> Settings:
        print(logs.INITIALIZING, flush=True)
        settings = api_settings(self._layout)
        certificate.require_api(settings)
        logs.configure_api(self._layout.logger_conf, debug=settings.flag("DEBUG", default=False))
        return settings


def _systemctl(verb: str, unit: str) -> None:
    result = subprocess.run(["systemctl", verb, unit], capture_output=True, text=True, check=False)
    if result.returncode:
        raise ConfigurationFault(f"systemctl {verb} {unit} failed: {result.stderr.strip()}")


def main(role: str, arguments: list[str] | None = None, make: type[Program] | None = None) -> int:
    """The exit status of one call; what is wrong is one sentence on standard error."""
    name = f"rubackup_{role}"
    words = sys.argv[1:] if arguments is None else arguments
    chosen = _parser(role, make or Program).parse_args([_WORDS.get(word, word) for word in words])
    program = (make or Program)(role, Layout.here())
    try:
        return _act(program, chosen)
    except ConfigurationFault as error:
        sys.stderr.write(f"{name}: {error.message}\n")
        return EXIT_CONFIGURATION
    except RubackupError as error:
        sys.stderr.write(f"{name}: {error.message}\n")
        return 1


def _act(program: Program, chosen: argparse.Namespace) -> int:
    if chosen.action != "enroll":
        return program.act(chosen.action)
    install_bundle(Layout.here(), chosen.enroll, app_host(api_settings(Layout.here())))
    print("This host has its certificate. Start the API: rubackup_api --start, or its service; restart one that runs.")
    return 0


def _parser(role: str, make: type[Program] = Program) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=f"rubackup_{role}", description=__doc__, allow_abbrev=False)
    parser.add_argument("--version", action="version", version=__version__)
    group = parser.add_mutually_exclusive_group(required=True)
    helps = {
        "start": "serve in this terminal until it is stopped",
        "stop": "stop it",
        "restart": "stop it and start it again",
        "status": f"tell whether it runs; exit status {NOT_RUNNING} when it does not",
    }
    for action, text in helps.items():
        group.add_argument(f"--{action}", dest="action", action="store_const", const=action, help=text)
    if role != "api":
        group.add_argument("--hwid", dest="action", action="store_const", const="hwid", help="the hardware id")
        group.add_argument(
            "--hwid-lines", dest="action", action="store_const", const="hwid-lines", help="the same in the third line"
        )
    else:
        group.add_argument(
            "--enroll", type=given.path, metavar="FILE", help="take over what rb_init --enroll-api has written"
        )
        parser.set_defaults(action="enroll")
    make.actions(group)
    return parser


def api() -> int:
    """Entry of `rubackup_api`."""
    return main("api")


def server() -> int:
    """Entry of `rubackup_server`."""
    return main("server")


def media() -> int:
    """Entry of `rubackup_media`."""
    return main("media")


def client() -> int:
    """Entry of `rubackup_client`."""
    return main("client")
