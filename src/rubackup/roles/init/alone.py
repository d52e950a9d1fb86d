"""Making this host an autonomous client: its folder, and the settings of the service that runs everything there."""

from __future__ import annotations

import os
import pwd
import tempfile
from collections.abc import Callable
from pathlib import Path

from rubackup.catalog.database import DatabaseAddress
from rubackup.domain.errors import Unavailable
from rubackup.roles.init import folders
from rubackup.roles.init.plan import Plan
from rubackup.roles.installed import alone
from rubackup.roles.installed.layout import Layout
from rubackup.roles.process import database_address
from rubackup.roles.settings import ConfigurationFault, Settings
from rubackup.roles.up.binaries import MINIMUM_MAJOR, choose
from rubackup.roles.up.catalogue import SUPERUSER_PASSWORD
from rubackup.roles.up.certificates import hwid
from rubackup.roles.up.faults import StartupFault, explained
from rubackup.roles.up.main import checked
from rubackup.roles.up.state import State, holder, write_text

ROLES = ("server", "api", "media", "client")


def check(plan: Plan) -> State:
    """The folder, looked at before anything is made; ConfigurationFault or StartupFault say why it cannot be used."""
    assert plan.alone is not None
    state = checked(plan.alone)
    with explained(f"Cannot use {state.root} (-a)"):
        if state.root.exists():
            if not state.root.is_dir():
                raise ConfigurationFault(f"-a must be a folder, and {state.root} is something else.")
            if (owner := state.root.stat().st_uid) != os.geteuid():
                raise ConfigurationFault(
                    f"-a must be a folder of {_name(os.geteuid())}; {state.root} belongs to {_name(owner)},"
                    " who could change what the service runs on."
                )
            state.check_version()
        _can_be_made(state.root)
        _postgresql(state)
    return state


def _can_be_made(folder: Path) -> None:
    """OSError unless something can be made in the folder, or in the one above it that is there. Nothing stays."""
    there = next(path for path in (folder, *folder.parents) if path.exists())
    Path(tempfile.mkdtemp(prefix=".rubackup-", dir=there)).rmdir()


def _postgresql(state: State) -> None:
    """Whether this host has a PostgreSQL for the catalogue; its own cluster is not used, only its programs."""
    version = state.root / "postgres/data/PG_VERSION"
    major = int(version.read_text()) if version.exists() else None
    try:
        choose(major)
    except StartupFault as error:
        raise StartupFault(
            f"{error.message} An autonomous client runs a PostgreSQL of its own for its catalogue and needs the"
            f" programs of version {major or MINIMUM_MAJOR}{'' if major else ' or newer'}: apt install"
            f" {f'postgresql-{major}' if major else 'postgresql'}, or dnf install postgresql-server."
        ) from error


def _name(uid: int) -> str:
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return f"user {uid}"


def make_folder(layout: Layout, state: State) -> None:
    """The folders of the programs, and the one that holds everything."""
    folders.make(layout, {"client", alone.ROLE})
    state.make()


def keep_password(state: State, plan: Plan, tell: Callable[[str], None]) -> None:
    """The superuser's first password; one who is there already keeps his own."""
    path = state.secret(SUPERUSER_PASSWORD)
    if plan.superuser_password and not path.exists():
        write_text(path, plan.superuser_password + "\n")
    elif plan.superuser_password and path.read_text(encoding="utf-8").strip() != plan.superuser_password:
        tell("The superuser has a password already, which stays: rb_init --passwd changes it.")
    state.keep_secret(SUPERUSER_PASSWORD)


def keep_hwids(state: State) -> None:
    """Hardware ids, which go with the folder wherever it is carried."""
    for role in ROLES:
        hwid(state, role)


def catalogue_address(layout: Layout) -> DatabaseAddress:
    """Where the service database of a running autonomous client is; Unavailable when it does not run."""
    state = alone.state_of(layout)
    assert state is not None
    if holder(state) is None or not state.ready_file.exists():
        raise Unavailable("The autonomous client of this host does not run: systemctl start rubackup_alone.")
    return database_address(Settings.load(state.settings("server"), {}))


def farewell(layout: Layout, state: State, tell: Callable[[str], None]) -> None:
    """What comes next."""
    unit: Path = layout.root / "etc/systemd/system/rubackup_alone.service"
    tell(f"Catalogue, keys and copies lie in {state.root}; systemctl enable --now {unit} starts it.")
    tell(
        "Then rubackup client backup FOLDER --wait makes a copy, rubackup client copies lists them; rb login for the rest."
    )
