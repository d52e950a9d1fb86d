"""The folder that holds everything of one installation, and the lock that one supervisor has on it.

version  lock  ready.json
etc/<role>.env            settings of each process, written anew at each start
keys/rootCA keys/server keys/api keys/client keys/media
secrets/                  passwords, one a file
postgres/data             the embedded PostgreSQL
media/                    the media server's indexes; pools/Default: its first storage; emergency/: for pools without room
log/<process>.log  run/<process>.ready  run/client.sock
"""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import json
import os
import secrets
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rubackup.roles.up.faults import StartupFault, explained
from rubackup.wire.pki import write_private

STATE_VERSION = 1
_FOLDERS = (
    "etc", "keys/rootCA", "keys/server", "keys/api", "keys/client", "keys/media",
    "secrets", "postgres", "media", "pools/Default", "log", "run",
)  # fmt: skip


@dataclass(frozen=True)
class State:
    """Paths of a state folder."""

    root: Path

    @property
    def ready_file(self) -> Path:
        """What runs here and where; there only while everything does."""
        return self.root / "ready.json"

    @property
    def root_certificate(self) -> Path:
        """The certificate that API and hosts are verified with."""
        return self.root / "keys/rootCA/serverRootCACert.crt"

    @property
    def client_socket(self) -> Path:
        """Where this machine's client serves the command line."""
        return self.root / "run" / "client.sock"

    @property
    def master_key(self) -> Path:
        """The key of this machine's encrypted copies, once there are some: beside the client's own (MASTER_KEY)."""
        return self.root / "keys/client/master-key"

    @property
    def emergency(self) -> Path:
        """The emergency storage of this machine's pools, made when it is needed."""
        return self.root / "emergency"

    @property
    def storage(self) -> Path:
        """The first storage of the pool that is made at the first start."""
        return self.root / "pools/Default"

    @property
    def complete(self) -> Path:
        """There since hosts and pool were made: the state has a catalogue, or had one."""
        return self.root / "etc/complete"

    @property
    def place(self) -> Path:
        """Where the state lay when its catalogue was looked at last: its own storages are found again where it is now."""
        return self.root / "etc/place"

    def secret(self, name: str) -> Path:
        """The file of a secret."""
        return self.root / "secrets" / name

    def log(self, process: str) -> Path:
        """The log of a process."""
        return self.root / "log" / f"{process}.log"

    def settings(self, process: str) -> Path:
        """The env file of a process."""
        return self.root / "etc" / f"{process}.env"

    def ready_mark(self, process: str) -> Path:
        """What a process writes when it serves."""
        return self.root / "run" / f"{process}.ready"

    def make(self) -> None:
        """Make the folders that are missing; StartupFault when a newer version made the state."""
        with explained(f"Cannot use {self.root} as state"):
            self.root.mkdir(mode=0o700, parents=True, exist_ok=True)
            self.check_version()
            for name in _FOLDERS:
                folder = self.root
                for part in Path(name).parts:
                    folder /= part
                    folder.mkdir(mode=0o700, exist_ok=True)
            write_text(self.root / "version", f"{STATE_VERSION}\n")

    def check_version(self) -> None:
        """StartupFault when the state is of a version that this code does not know, or no state at all."""
        path = self.root / "version"
        if not path.exists():
            foreign = sorted(p.name for p in self.root.iterdir() if p.name not in {"lock", "lost+found"})
            known = {Path(name).parts[0] for name in _FOLDERS} | {"version"}
            if any(name not in known and not name.startswith(".version") for name in foreign):
                raise StartupFault(f"{self.root} holds files of something else; name an empty folder as state.")
            return
        text = path.read_text().strip()
        if not text.isdigit() or int(text) > STATE_VERSION:
            raise StartupFault(
                f"The state {self.root} was made by a newer version (state version {text}, known {STATE_VERSION})."
            )

    def keep_secret(self, name: str) -> str:
        """The secret of that name, made at random when it is asked for the first time."""
        return self.keep_text(self.secret(name), secrets.token_urlsafe(24))

    def keep_text(self, path: Path, fresh: str) -> str:
        """The text of a private file; `fresh` becomes its text when there is none."""
        if not path.exists():
            write_private(path, f"{fresh}\n".encode())
        return path.read_text().strip()


def write_text(path: Path, text: str) -> None:
    """Replace a private file as a whole."""
    write_private(path, text.encode())


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Replace a private JSON file as a whole."""
    write_text(path, json.dumps(value, indent=2) + "\n")


@contextlib.contextmanager
def locked(state: State) -> Iterator[None]:
    """Hold the state alone; the lock file tells who does. StartupFault when another supervisor has it."""
    with explained(f"Cannot use {state.root} as state"):
        fd = os.open(state.root / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise StartupFault(f"The system of {state.root} is already running (process {holder(state)}).") from None
        os.ftruncate(fd, 0)
        os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        yield
        os.ftruncate(fd, 0)
    finally:
        os.close(fd)


def holder(state: State) -> int | None:
    """The process that holds the state, None when nobody does."""
    try:
        fd = os.open(state.root / "lock", os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        try:
            fcntl.flock(fd, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            text = os.pread(fd, 32, 0).decode().strip()
            return int(text) if text.isdigit() else None
        return None
    finally:
        os.close(fd)


@contextlib.contextmanager
def runtime_folder(state: State) -> Iterator[Path]:
    """A short folder of ours for sockets, made for the state and removed afterwards.

    A socket's path is limited to 107 bytes, the state's is not.
    """
    owner = os.geteuid()
    digest = hashlib.sha256(os.fsencode(state.root.resolve())).hexdigest()[:12]
    folder = _runtime_base() / f"rb-{owner}-{digest}"
    with explained("Cannot make the folder for sockets"):
        with contextlib.suppress(FileExistsError):
            folder.mkdir(mode=0o711)
        found = folder.lstat()
        if not folder.is_dir() or folder.is_symlink() or found.st_uid != owner:
            raise StartupFault(f"{folder} belongs to somebody else; remove it.")
        folder.chmod(0o711)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _runtime_base() -> Path:
    named = os.environ.get("XDG_RUNTIME_DIR", "")
    candidates = [Path("/run")] if os.geteuid() == 0 else [Path(named)] if named else []
    for base in candidates:
        if base.is_absolute() and base.is_dir() and os.access(base, os.W_OK | os.X_OK) and len(str(base)) < 40:
            return base
    return Path(tempfile.gettempdir()) if len(tempfile.gettempdir()) < 60 else Path("/tmp")  # noqa: S108 - see lstat
