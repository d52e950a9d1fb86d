"""The folders of an installation, whose they are, and who may enter them."""

from __future__ import annotations

import contextlib
import grp
import os
import pwd
import re
import stat
import time
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from rubackup.roles.installed.bundle import READABLE_BY_ALL, READABLE_BY_GROUP, put
from rubackup.roles.installed.config_file import ALL
from rubackup.roles.installed.layout import Layout
from rubackup.roles.up.faults import explained

USERS = {
    "api": "rubackup-api",
    "server": "rubackup-server",
    "media": "rubackup-media",
    "client": "root",
    "alone": "root",
}
Tell = Callable[[str], None]
"""Is given a sentence that the administrator has to know."""
CATALOGUE_GROUP = "rubackup"
"""Who may open the service database: the users of API and server are in it."""
REMAINS_SECONDS = 60
_REMAINS = re.compile(r"\..+\.[0-9a-f]{12}")  # as wire.pki names what it writes
PUBLIC, GROUP, PRIVATE = 0o755, 0o750, 0o700
OWN = 0o600


@dataclass(frozen=True)
class Folder:
    """One folder or file; user and group as packages make them."""

    path: Path
    mode: int
    user: str = "root"
    group: str = ""


def folders(layout: Layout, roles: Iterable[str]) -> Iterator[Folder]:
    """The folders that a host with these roles has, outer ones first."""
    root = layout.root
    for name in ("", "bin", "lib", "etc", "keys", "keys/rootCA", "log", "mnt", "var", "var/run"):
        yield Folder(root / name, PUBLIC)
    yield Folder(root / "keys/database", GROUP, group=CATALOGUE_GROUP)
    for role in sorted(roles):
        user = USERS[role]
        if role == "alone":
            yield Folder(layout.run(role), PUBLIC, user, user)
            continue
        yield Folder(layout.key(role).parent, PRIVATE, user, user)
        yield Folder(layout.log(role), GROUP, user, user)
        yield Folder(layout.run(role), PUBLIC, user, user)
        if role == "api":
            yield Folder(layout.log(role) / "access", GROUP, user, user)
        if role in ALL:
            yield Folder(layout.state(role), PRIVATE, user, user)
        if role == "media":
            yield Folder(layout.default_storage.parent, PUBLIC, user, user)
            yield Folder(layout.emergency, PRIVATE, user, user)


def files(layout: Layout, roles: Iterable[str]) -> Iterator[Folder]:
    """The files of keys that a host with these roles may have, with their modes and owners."""
    yield Folder(layout.root_certificate, READABLE_BY_ALL)
    yield Folder(layout.root_key, OWN)
    yield Folder(layout.database_password, READABLE_BY_GROUP, group=CATALOGUE_GROUP)
    for path in (layout.issuing_key, layout.issuing_certificate):
        yield Folder(path, OWN, USERS["server"], USERS["server"])
    for role in sorted(set(roles) - {"alone"}):
        yield Folder(layout.hwid(role), READABLE_BY_GROUP, USERS[role], USERS[role])
        for path in (layout.key(role), layout.certificate(role)):
            yield Folder(path, OWN, USERS[role], USERS[role])
        if role == "api":
            yield Folder(layout.token_secret, OWN, USERS[role], USERS[role])


def make(layout: Layout, roles: Iterable[str]) -> None:
    """Make folders that are missing and put owners and modes right, of keys as well, which a kill may have left otherwise.

    Users that this host has not keep nothing for themselves.
    """
    roles = frozenset(roles)
    with explained(f"Cannot make the folders of {layout.root}"):
        for file in files(layout, roles):
            if file.path.exists():
                if stat.S_IMODE(file.path.stat().st_mode) != file.mode:
                    file.path.chmod(file.mode)
                own(file.path, file.user, file.group)
        for folder in folders(layout, roles):
            folder.path.mkdir(mode=folder.mode, parents=True, exist_ok=True)
            folder.path.chmod(folder.mode)
            own(folder.path, folder.user, folder.group)


def settle(target: Path, data: bytes, mode: int) -> None:
    """Make a file have this content and mode; one that has both is left alone."""
    try:
        found = target.stat()
        if stat.S_IMODE(found.st_mode) == mode and target.read_bytes() == data:
            return
    except OSError:
        pass  # what cannot be read is written anew, and says why not
    put(target, data, mode)


def sweep(layout: Layout) -> None:
    """Remove what a killed process left half written beside keys and settings, once nobody can be at it any more."""
    for path in (*layout.root.glob("keys/**/.*"), *layout.root.glob("etc/.*")):
        if _REMAINS.fullmatch(path.name) and time.time() - path.lstat().st_mtime > REMAINS_SECONDS:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def acting_as(user: str) -> Iterator[None]:
    """Look at files as a user of a package would, where this process may and there is such a user."""
    before = os.geteuid()
    if before == 0 and user in {account.pw_name for account in pwd.getpwall()}:
        os.seteuid(pwd.getpwnam(user).pw_uid)
    try:
        yield
    finally:
        os.seteuid(before)


def own(path: Path, user: str, group: str = "") -> None:
    """Give a file or folder to a user of a package, if this process may and there is such a user."""
    if os.geteuid() != 0:
        return
    try:
        uid = pwd.getpwnam(user).pw_uid
        gid = grp.getgrnam(group or user).gr_gid
    except KeyError:
        return
    os.chown(path, uid, gid, follow_symlinks=False)
