"""Where a session is kept between programs: in memory, or in a file that only its owner can read.

Several programs may share a file. Refreshing changes the tokens, so it is done under a lock, by one of them.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import stat
import threading
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Any, Protocol

from rubackup.sdk.errors import Misused
from rubackup.sdk.files import ours


@dataclass(frozen=True)
class Session:
    """A session, and where it is good."""

    url: str
    ca_file: str | None
    user: str
    access_token: str = field(repr=False)
    refresh_token: str = field(repr=False)
    csrf_token: str = field(repr=False)
    roles: tuple[str, ...] = ()
    logged_in_at: float = 0.0
    """Seconds since 1970."""


class Store(Protocol):
    """Keeps one session."""

    def load(self) -> Session | None:
        """The session; None when there is none."""

    def save(self, session: Session) -> None:
        """Keep this session."""

    def drop(self) -> None:
        """Forget the session."""

    def locked(self) -> contextlib.AbstractContextManager[None]:
        """Keeps others from changing it meanwhile."""


class MemoryStore:
    """Keeps a session as long as the program runs."""

    def __init__(self, session: Session | None = None) -> None:
        self._session = session
        self._lock = threading.RLock()

    def load(self) -> Session | None:
        """The session; None when there is none."""
        return self._session

    def save(self, session: Session) -> None:
        """Keep this session."""
        self._session = session

    def drop(self) -> None:
        """Forget the session."""
        self._session = None

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold other threads off."""
        with self._lock:
            yield


class FileStore:
    """Keeps a session in a file of mode 0600, in a folder of mode 0700."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def load(self) -> Session | None:
        """The session; None when there is none. Misused when others could have read it, or it is not ours."""
        text = read_private(self.file)
        if text is None:
            return None
        try:
            told: dict[str, Any] = json.loads(text)
            known = {f.name for f in fields(Session)}
            kept = {name: value for name, value in told.items() if name in known}
            return replace(Session(**kept), roles=tuple(kept["roles"]))
        except (ValueError, TypeError, AttributeError, KeyError) as error:
            raise Misused(f"{self.file} is no session: log in again.") from error

    def save(self, session: Session) -> None:
        """Keep this session: the file is replaced as a whole, and never readable by others."""
        beside = self.file.with_name(f".{self.file.name}.{os.getpid()}.{threading.get_ident()}")
        with ours(self.file):
            self._folder()
            descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW, 0o600)
            try:
                with os.fdopen(descriptor, "w", encoding="utf-8") as file:
                    json.dump(asdict(session), file)
                beside.replace(self.file)
            except BaseException:
                beside.unlink(missing_ok=True)
                raise

    def drop(self) -> None:
        """Forget the session."""
        with ours(self.file):
            self.file.unlink(missing_ok=True)

    @contextlib.contextmanager
    def locked(self) -> Iterator[None]:
        """Hold the lock beside the file."""
        with ours(self.file):
            self._folder()
            lock = self.file.with_name(f"{self.file.name}.lock")
            descriptor = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _folder(self) -> None:
        self.file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)


def read_private(file: Path) -> str | None:
    """A file with a secret in it; None when there is none, Misused when it is not its owner's alone."""
    try:
        with file.open(encoding="utf-8") as opened:
            facts = os.fstat(opened.fileno())
            if facts.st_uid not in {0, os.geteuid()}:
                raise Misused(f"{file} has a secret in it and belongs to another user.")
            if not stat.S_ISREG(facts.st_mode) or facts.st_mode & 0o077:
                raise Misused(f"{file} has a secret in it and can be read by others: chmod go= {file}")
            return opened.read()
    except FileNotFoundError:
        return None
    except OSError as error:
        raise Misused(f"{file}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise Misused(f"{file} is no text.") from error
