"""`backup-catalogue` and `restore-catalogue`: what is written where, what is kept, what is refused."""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import fcntl
import os
import re
import socket
import stat
from collections.abc import Callable
from pathlib import Path
from typing import Final

from rubackup.catalog.backup.file import SUFFIX, Header, header_of, key_files
from rubackup.catalog.backup.file import check as check_file
from rubackup.catalog.backup.restoring import restore
from rubackup.catalog.backup.taking import Taken, take
from rubackup.catalog.database import DatabaseAddress
from rubackup.domain.errors import Conflict, Invalid, RubackupError
from rubackup.roles.init.plan import Plan
from rubackup.roles.recovery.homes import INSTALLED, Home, reading, replacing
from rubackup.roles.up.catalogue import connected

_NAME = re.compile(r"rubackup-catalogue-\d{8}T\d{6}Z" + re.escape(SUFFIX))
_PART = re.compile(r"\.rubackup-catalogue-.*\.part")
_SHORTEST: Final = 12


def backup(home: Home, target: Path, *, keep: int = 0, passphrase: bytes = b"", with_keys: bool = False) -> Taken:
    """Write a backup: into a file of this name, or into a folder under a name with the time.

    `keep`: so many of the folder's are left that are alike: of this server, with keys and a passphrase or not; the newest. Invalid when keys would be written without a passphrase.
    """
    if with_keys and not passphrase:
        raise Invalid("Keys are written with --passphrase-file only: whoever has them can read and sign everything.")
    into_folder = target.is_dir()
    if keep and not into_folder:
        raise Invalid(f"--keep is for a folder; {target} is none.")
    files = home.files() if with_keys else []
    path = target
    if into_folder:
        path = target / f"rubackup-catalogue-{dt.datetime.now(dt.UTC):%Y%m%dT%H%M%SZ}{SUFFIX}"
        _sweep(target)
    with reading(home) as address:
        work = take(
            address,
            path,
            server=socket.gethostname(),
            root=home.fingerprint,
            home=home.kind,
            keys=files,
            passphrase=passphrase,
        )
        taken = asyncio.run(work)
    if keep:
        prune(target, taken.header, keep)
    return taken


def prune(folder: Path, ours: Header, keep: int) -> None:
    """Leave so many of the backups that are like ours, the newest, and everything else."""
    alike = (one for one in folder.iterdir() if _NAME.fullmatch(one.name) and _is_alike(one, ours))
    for old in sorted(alike)[:-keep]:
        old.unlink()


def _is_alike(path: Path, ours: Header) -> bool:
    """Whether it is a backup of the same server, of the same worth: nothing else gives way to a new one."""
    if path.is_symlink() or not path.is_file():
        return False
    try:
        found = header_of(path)
    except RubackupError:  # another file, whatever it is called, or a damaged one: somebody may want to look at it
        return False
    return _worth(found) == _worth(ours)


def _worth(one: Header) -> tuple[str, str, str, bool, bool]:
    return one.root, one.server, one.home, one.keys, bool(one.salt)


def bring_back(
    home: Home,
    path: Path,
    *,
    replace: bool = False,
    passphrase: bytes = b"",
    with_keys: bool = False,
    other_ca: bool = False,
    plan: Plan | None = None,
    tell: Callable[[str], None] = lambda _text: None,
) -> Header:
    """Make the catalogue of this host what the file says; its header. All that is refused is refused before anything is changed.

    `tell` hears where keys and settings are kept that were replaced, and what is to be done about APIs on hosts of their own.
    """
    header, _, _ = check_file(path, passphrase)
    if with_keys and not header.keys:
        raise Invalid(f"{path} carries no keys: it was written without --with-keys.")
    if with_keys and header.home != home.kind:
        raise Conflict(
            f"{path} is of {_KINDS[header.home]}, whose keys lie elsewhere than those of {_KINDS[home.kind]}: restore it there."
        )
    here = home.fingerprint
    if not with_keys and not other_ca and header.root and here != header.root:
        found = f"another installation: root certificate {here}" if here else "no certificates yet"
        hint = "add --with-keys" if header.keys else "bring its folder keys here first"
        raise Conflict(
            f"{path} is of the installation with the root certificate {header.root}; here is {found}. Its hosts would not be"
            f" recognised: {hint}, or say --other-ca when those keys are lost, and enrol its hosts again."
        )
    files = key_files(path, passphrase) if with_keys else []
    with replacing(home, files, replace=replace, plan=plan, tell=tell) as address:
        restored = asyncio.run(restore(address, path, replace=replace, passphrase=passphrase))
        for name in asyncio.run(_dedicated(address)):
            tell(
                f"API {name}: if it was enrolled or got another certificate after the backup, servers refuse it:"
                f" rb_init --enroll-api {name}. If it was expelled after the backup, it is back: rb_init --expel-api {name}."
            )
        return restored


async def _dedicated(address: DatabaseAddress) -> list[str]:
    """APIs on hosts of their own that a catalogue knows, by name."""
    async with connected(address) as connection:
        if await connection.fetchval("SELECT to_regclass('api_hosts')") is None:  # older than these
            return []
        rows = await connection.fetch("SELECT name FROM api_hosts WHERE database_role <> '' ORDER BY name")
        return [row["name"] for row in rows]


def read_passphrase(path: Path | None) -> bytes:
    """The passphrase in a file that only its owner may read; b'' without a file."""
    if path is None:
        return b""
    try:
        mode, found = path.stat().st_mode, path.read_bytes().strip(b"\r\n")
    except OSError as error:
        raise Invalid(f"--passphrase-file: {path}: {error.strerror}.") from error
    if stat.S_ISREG(mode) and mode & 0o077:
        raise Invalid(f"--passphrase-file: {path} can be read by others (mode {mode & 0o777:o}): chmod 600 {path}.")
    if len(found) < _SHORTEST:
        raise Invalid(f"--passphrase-file: the passphrase in {path} must have {_SHORTEST} characters or more.")
    return found


def _sweep(folder: Path) -> None:
    """Remove what killed backups left; one that is being written is locked."""
    for one in folder.iterdir():
        if not _PART.fullmatch(one.name):
            continue
        with contextlib.suppress(OSError):
            handle = os.open(one, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)
            try:
                fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
                one.unlink()
            finally:
                os.close(handle)


_KINDS: Final = {"up": "a state of `rubackup up`", INSTALLED: "an installation", "": "an unknown place"}
