"""An autonomous client: the whole system on one host for itself, in one folder, as an installed service.

It is `rubackup up` on the folder that `rb_init -a` names, with the settings of config.file. What
belongs to the host and not to the folder lies where every client's does: socket, master key.
"""

from __future__ import annotations

import asyncio
import os
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any

from rubackup.domain.errors import Conflict, Unavailable
from rubackup.roles.installed import pidfile
from rubackup.roles.installed.config_file import AUTONOMOUS, ConfigFile, read_hwid
from rubackup.roles.installed.layout import Layout
from rubackup.roles.settings import ConfigurationFault, Settings, render_folders, time_zone
from rubackup.roles.up import beside, catalogue
from rubackup.roles.up.faults import explained
from rubackup.roles.up.main import serve
from rubackup.roles.up.own import own
from rubackup.roles.up.settings import Wishes
from rubackup.roles.up.state import State, holder, locked

ROLE = "alone"
UNIT = "rubackup_alone.service"
NEW = "rubackup_alone --new-catalogue"
_PASSED = {
    "server": ("TIMEZONE",),
    "api": ("TIMEZONE",),
    "media": ("PARALLEL_TASKS",),
    "client": ("PARALLEL_TASKS", "CLIENT_DEFINED_STORAGES", "SNAPSHOT_DIR"),
}


def state_of(layout: Layout) -> State | None:
    """The folder of an autonomous client; None when this host is none."""
    if not layout.config_file.exists():
        return None
    file = ConfigFile.load(layout.config_file)
    return State(settings(layout).path("ALONE_DIR")) if file.node == AUTONOMOUS else None


def own_hwid(role: str, layout: Layout) -> str:
    """The hardware id of a role on this host; ConfigurationFault when it has none."""
    state = state_of(layout)
    if state is None:
        return read_hwid(role, layout)
    path = state.root / "keys" / ("client" if role == ROLE else role) / "hwid"
    try:
        return path.read_text(encoding="utf-8").strip()
    except OSError as error:
        raise ConfigurationFault(f"Cannot read {path}: {error.strerror}.") from error


def settings(layout: Layout) -> Settings:
    """What config.file says; ConfigurationFault when this host is no autonomous client."""
    return ConfigFile.load(layout.config_file).settings(ROLE, layout, os.environ)


def master_key(layout: Layout, state: State) -> Path:
    """The key of encrypted copies: apart from the copies, unless it came with them."""
    return state.master_key if state.master_key.exists() else layout.master_key


def wishes(layout: Layout, found: Settings) -> Wishes:
    """The settings of each process that follow from config.file; ConfigurationFault names the key that is wrong."""
    time_zone(found)
    state = State(found.path("ALONE_DIR"))
    by_role = {role: {key: text for key in keys if (text := found.text(key, ""))} for role, keys in _PASSED.items()}
    by_role["client"] |= {
        "CLIENT_SOCKET": str(layout.client_socket),
        "MASTER_KEY": str(master_key(layout, state)),
        "PROTECTED_DIRS": render_folders([path.resolve() for path in (state.root, layout.root / "keys")]),
    }
    named = os.environ.get(beside.VARIABLE, "")
    return Wishes(by_role, own_tools=True, new_command=NEW, socket=Path(named) if named else None)


def folder_of(found: Settings) -> State:
    """The folder of these settings; ConfigurationFault when it is not there, or is none."""
    state = State(found.path("ALONE_DIR"))
    with explained(f"autonomous-directory names {state.root}, which cannot be used"):
        there = (state.root / "version").exists()
    if not there:
        raise ConfigurationFault(
            f"autonomous-directory names {state.root}, which holds no autonomous client: is its disk mounted?"
            f" rb_init -n {AUTONOMOUS} -a DIR makes one."
        )
    return state


def check_free(layout: Layout, found: Settings) -> None:
    """Conflict when another system than this host's own autonomous client runs on the folder."""
    state = folder_of(found)
    with explained(f"autonomous-directory names {state.root}, which cannot be used"):
        pid = holder(state)
    if pid is not None and pid != pidfile.holder(layout.run(ROLE) / f"rubackup_{ROLE}.pid"):
        raise Conflict(
            f"autonomous-directory names {state.root}, on which another system runs (process {pid}); stop that first:"
            f" rubackup down --state {shlex.quote(str(state.root))}."
        )


def check_runs(layout: Layout) -> None:
    """Why nobody answers on this host, when it is an autonomous client: its folder is away, or it does not run."""
    if not layout.config_file.exists() or ConfigFile.load(layout.config_file).node != AUTONOMOUS:
        return
    folder_of(settings(layout))
    raise Unavailable(
        f"The autonomous client of this host does not run: systemctl start {UNIT.removesuffix('.service')}."
    )


def run(layout: Layout, announce: Callable[[dict[str, Any]], None]) -> None:
    """Serve until a signal ends it."""
    found = settings(layout)
    state = folder_of(found)
    serve(
        state.root, port=found.port("APP_PORT"), log_level=found.log_level(), announce=announce,
        wishes=wishes(layout, found),
    )  # fmt: skip


def prepare_postgres(layout: Layout, runtime: Path) -> None:
    """Make the data ready for PostgreSQL's own unit, whose runtime folder this is; root calls it before the unit starts."""
    state = folder_of(settings(layout))
    beside.prepare(
        state, runtime, layout.run(ROLE) / "postgres", supervised=lambda pid: pidfile.unit_of(pid) == UNIT, command=NEW
    )


def begin_anew(layout: Layout) -> State:
    """Let the next start begin with an empty catalogue; Conflict while there is one, or while it runs."""
    state = folder_of(settings(layout))
    if (pid := holder(state)) is not None:
        raise Conflict(f"The autonomous client runs (process {pid}); stop it first: systemctl stop {UNIT}.")
    data = state.root / "postgres/data"
    with locked(state):
        if data.exists():
            with own(state) as found:
                catalogue.make(found)
                if not asyncio.run(catalogue.is_empty(found)):
                    raise Conflict(
                        f"{state.root} has a catalogue. If it is to go: mv {shlex.quote(str(data))}"
                        f" {shlex.quote(f'{data}.old')}, and say this again."
                    )
        catalogue.begin(state, new=True)
    return state
