"""Whose catalogue it is: that of a state of `rubackup up`, or of an installation; where its database and its keys are."""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import re
import shlex
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from rubackup.catalog.backup.file import KeyFile
from rubackup.catalog.database import DatabaseAddress
from rubackup.domain.errors import Conflict, Invalid, SystemFault
from rubackup.roles.init import folders, ownership
from rubackup.roles.init.database import ServiceDatabase
from rubackup.roles.init.nodes import catalogue_address, installation
from rubackup.roles.init.plan import Plan
from rubackup.roles.installed.alone import state_of
from rubackup.roles.installed.bundle import put
from rubackup.roles.installed.config_file import NODES, ConfigFile
from rubackup.roles.installed.layout import Layout
from rubackup.roles.process import database_address
from rubackup.roles.recovery import master_keys, replaced
from rubackup.roles.settings import Settings
from rubackup.roles.up import catalogue
from rubackup.roles.up.faults import StartupFault
from rubackup.roles.up.main import checked
from rubackup.roles.up.own import own
from rubackup.roles.up.state import State, holder, locked
from rubackup.wire import pki

UP: Final = "up"
INSTALLED: Final = "installed"
SERVER_ROLES: Final = frozenset({"server", "media", "client", "api"})
_UP_FILES: Final = ("keys", "secrets/superuser-password", "etc/complete")
_INSTALLED_FILES: Final = (
    "keys", "etc/config.file", "etc/rubackup_api.env", "etc/rubackup_api_logger.conf",
)  # fmt: skip
_LEFT_OUT: Final = re.compile(r"\..*|.*\.bundle|catalogue-passphrase|token-secret")
"""Files that were not finished, that are there only to be carried to another host, the timer's passphrase, which opens the backup, and the secret
of sessions, which a restore withdraws."""


@dataclass(frozen=True)
class Home:
    """An installation and what it has on this host."""

    kind: str
    root: Path
    root_certificate: Path

    @property
    def fingerprint(self) -> str:
        """SHA-256 of the root certificate; '' when there is none."""
        try:
            return pki.root_fingerprint(self.root_certificate.read_bytes())
        except FileNotFoundError:
            return ""
        except OSError as error:
            raise SystemFault(f"Cannot read {self.root_certificate}: {error.strerror}.") from error

    def files(self) -> list[KeyFile]:
        """Keys and settings of this host; SystemFault names one that cannot be read."""
        found = []
        for path in self._paths():
            try:
                found.append(KeyFile(str(path.relative_to(self.root)), path.stat().st_mode & 0o777, path.read_bytes()))
            except OSError as error:
                raise SystemFault(f"Cannot read {path}: {error.strerror}; run this as root.") from error
        return found

    def place(
        self, files: list[KeyFile], *, replace: bool, tell: Callable[[str], None] = lambda _text: None
    ) -> list[Path]:
        """Write them where they were; those that were new or other. Conflict names what is there and differs, without `replace`.

        What a kill left out the next call writes; each file is whole. `tell` hears where what was replaced is kept. Master keys that are there are kept beside those of
        the backup, whatever was said.
        """
        wanted = {self.root / one.path: one for one in files if self._may_be(one.path)}
        if len(wanted) != len(files):
            raise Invalid("The backup carries files that are no keys or settings of an installation.")
        ring = {path: one for path, one in wanted.items() if master_keys.is_one(one.path)}
        new = {
            path: one for path, one in wanted.items()
            if path not in ring and (not path.exists() or path.read_bytes() != one.content)
        }  # fmt: skip
        other = sorted(path for path in new if path.exists())
        if other and not replace:
            raise Conflict(
                f"There are other keys or settings here: {', '.join(map(str, other))}; say --replace to put the backup's in place."
            )
        if other:
            names = ", ".join(str(path.relative_to(self.root)) for path in other)
            tell(f"What is replaced is kept in {replaced.keep(self.root, other)}: {names}.")
        for path, one in new.items():
            if self.kind == UP:
                path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                pki.write_private(path, one.content)
            else:
                put(path, one.content, one.mode)
        return [*new, *master_keys.keep_both(ring)]

    def _paths(self) -> Iterator[Path]:
        for name in _UP_FILES if self.kind == UP else _INSTALLED_FILES:
            path = self.root / name
            found = sorted(path.rglob("*")) if path.is_dir() else [path]
            aside = self.root / replaced.FOLDER
            yield from (
                one for one in found
                if one.is_file() and not one.is_symlink() and not _LEFT_OUT.fullmatch(one.name)
                and aside not in one.parents
            )  # fmt: skip

    def _may_be(self, name: str) -> bool:
        path = Path(name)
        parents = _UP_FILES if self.kind == UP else _INSTALLED_FILES
        return ".." not in path.parts and any(name == one or name.startswith(f"{one}/") for one in parents)


def here() -> Home:
    """The installation of this host; of an autonomous client the state in its folder."""
    layout = Layout.here()
    alone = state_of(layout)
    return installed(layout) if alone is None else of_state(alone.root)


def installed(layout: Layout) -> Home:
    """The installation of this host."""
    return Home(INSTALLED, layout.root, layout.root_certificate)


def of_state(root: Path) -> Home:
    """The installation in a state folder."""
    state = checked(root)
    return Home(UP, state.root, state.root_certificate)


@contextlib.contextmanager
def reading(home: Home) -> Iterator[DatabaseAddress]:
    """Where its catalogue is, for the length of the block; a PostgreSQL of its own that does not run is started."""
    if home.kind == INSTALLED:
        yield catalogue_address(Layout(home.root))
        return
    state = State(home.root)
    if not state.root.is_dir():
        raise Invalid(f"There is no state {state.root}.")
    state.check_version()
    if holder(state) is not None:
        if not state.ready_file.exists():
            raise StartupFault(f"The system of {state.root} is just being started; try again.")
        yield database_address(Settings.load(state.settings("server")))
        return
    if not (state.root / "postgres/data").exists() and not _is_external(state):
        raise Invalid(f"The state {state.root} has no catalogue.")
    with locked(state), own(state) as found:
        yield found.address


@contextlib.contextmanager
def replacing(
    home: Home,
    files: list[KeyFile],
    *,
    replace: bool,
    plan: Plan | None = None,
    tell: Callable[[str], None] = lambda _text: None,
) -> Iterator[DatabaseAddress]:
    """The same, to put another catalogue there: keys and settings are placed, role and database are made where they are missing.

    `tell` hears where keys and settings are kept that were replaced.

    Conflict while the system of a state runs.
    """
    if home.kind == INSTALLED:
        layout = Layout(home.root)
        if files:
            folders.make(layout, SERVER_ROLES)
            home.place(files, replace=replace, tell=tell)
            folders.make(layout, SERVER_ROLES)  # owners and modes of what was placed
        service = _service(layout, plan or Plan("primary-server"), replace=replace)
        service.inspect()
        service.make()
        yield service.address()
        asyncio.run(ownership.mark(service.address(), installation(layout)))
        return
    state = State(home.root)
    if holder(state) is not None:
        raise Conflict(
            f"The system of {state.root} runs; stop it first: rubackup down --state {shlex.quote(str(state.root))}."
        )
    state.make()
    with locked(state):
        home.place(files, replace=replace, tell=tell)
        with own(state) as found:
            if found.administrator is not None:
                catalogue.make(found)
            yield found.address


def _is_external(state: State) -> bool:
    path = state.root / "etc/catalogue"
    return path.exists() and path.read_text().strip() == "external"


def _service(layout: Layout, plan: Plan, *, replace: bool) -> ServiceDatabase:
    """The database that config.file names; Invalid on a host that is no server."""
    values = ConfigFile.load(layout.config_file)
    if "server" not in NODES[values.node]:
        raise Invalid(f"This host is a {values.node}; the catalogue is restored on a server.")
    completed = dataclasses.replace(plan, node=values.node).completed(values.values)
    whose = dataclasses.replace(installation(layout, adopt=replace), replace=replace)
    return ServiceDatabase(layout, completed, lambda: whose)
