"""The master keys of this client: the current one, and those that older copies were encrypted with.

    master-key        the current key, 0600; made when it is first needed, never overwritten in place
    old/<key id>      a key that is only read with
    damaged/<number>  a current key that was damaged when another one, or the same from its sheet, took its place
    lock              held while a key is made, rotated or imported

A key is one line: `rubackup master-key 1`, its 32 bytes in hex, its id, which is a keyed hash of them and so shows any damage.

Whoever reads these files can read every encrypted copy of the client; without them nobody can. Design: `docs/encryption.md`.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import threading
from collections.abc import Iterator
from pathlib import Path

from rubackup.chunkstore.keys import MASTER_BYTES, MasterKey
from rubackup.domain.errors import Conflict, StorageFault
from rubackup.domain.identity import KEY_ID
from rubackup.wire.pki import write_private

OLD, DAMAGED = "old", "damaged"
NAME = "master-key"
_LINE = re.compile(rb"rubackup master-key 1 ([0-9a-f]{64}) ([0-9a-f]{32})\n")


def secret_in(content: bytes) -> bytes | None:
    """The bytes of the key that a key file holds; None when the file is damaged."""
    line = _LINE.fullmatch(content)
    secret = bytes.fromhex(line[1].decode()) if line else b""
    return secret if line and MasterKey(secret).id.hex() == line[2].decode() else None


class KeyStore:
    """The keys in one folder; `path` is that of the current one. Safe for threads and processes (chunkstore.keys.Keys)."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._old = path.parent / OLD
        self._lock = threading.Lock()
        self._known: dict[bytes, MasterKey] = {}
        """A key keeps what was derived from it."""

    # --- reading ---

    def current(self) -> MasterKey:
        """The key for new copies, made now when there is none; StorageFault when it cannot be read or made."""
        found = self._read(self.path)
        if found is not None:
            return found
        with self._changing():
            found = self._read(self.path)
            if found is None:
                if self._old_ids():
                    raise StorageFault(
                        f"{self.path} is missing, but there are older keys in {self._old}: bring it back from its "
                        "recovery sheet, or make a new one with `rubackup client key rotate`."
                    )
                self._write(self.path, os.urandom(MASTER_BYTES))
                found = self._whole(self.path)
            return found

    def get(self, key_id: bytes, /) -> MasterKey:
        """The key of this id; Conflict names it when it is not here."""
        with self._lock:
            known = self._known.get(key_id)
        if known is not None:
            return known
        for path in (self._old / key_id.hex(), self.path):  # copies of older keys do not need the current one
            key = self._read(path)
            if key is not None and key.id == key_id:
                return key
        raise Conflict(
            f"The copy is encrypted with the key {key_id.hex()}, which is not on this host; "
            "import it from its recovery sheet."
        )

    def keys(self) -> list[MasterKey]:
        """Every key that can be read, the current one first; none is made."""
        return [key for key, _, _ in self.readable()[0]]

    def key_ids(self) -> list[str]:
        """Ids of every key that can be read, the current one first."""
        return [key.id.hex() for key in self.keys()]

    def uses(self) -> list[tuple[MasterKey, bytes, str]]:
        """Every key with its bytes and what it is for, for a recovery sheet; StorageFault when one cannot be read."""
        found, problems = self.readable()
        if problems:
            raise StorageFault(" ".join(problems))
        return found

    def readable(self) -> tuple[list[tuple[MasterKey, bytes, str]], list[str]]:
        """Keys as `uses` gives them, without those that cannot be read, and a sentence for each of these."""
        found: dict[bytes, tuple[MasterKey, bytes, str]] = {}
        problems: list[str] = []
        for path in (self.path, *(self._old / key_id for key_id in self._old_ids())):
            try:
                secret = self._secret(path)
            except StorageFault as error:
                problems.append(error.message)
                continue
            if secret is not None:
                key = self._remember(secret)
                use = "current: new copies" if path == self.path else "older copies"
                found.setdefault(key.id, (key, secret, use))
        return list(found.values()), problems

    def _old_ids(self) -> list[str]:
        with self._explained(self._old), contextlib.suppress(FileNotFoundError):
            return sorted(file.name for file in self._old.iterdir() if KEY_ID.fullmatch(file.name))
        return []

    def _read(self, path: Path) -> MasterKey | None:
        secret = self._secret(path)
        return None if secret is None else self._remember(secret)

    def _remember(self, secret: bytes) -> MasterKey:
        key = MasterKey(secret)
        with self._lock:
            return self._known.setdefault(key.id, key)

    def _secret(self, path: Path) -> bytes | None:
        """The bytes of the key in a file, None when there is no file; StorageFault names it and the way out."""
        try:
            with self._explained(path):
                secret = secret_in(path.read_bytes())
        except FileNotFoundError:
            return None
        if secret is None:
            raise StorageFault(f"The key file {path} is damaged. {self._way_out(path)}")
        if path.parent == self._old and path.name != MasterKey(secret).id.hex():
            raise StorageFault(
                f"The key file {path} is damaged: it holds another key than its name says. {self._way_out(path)}"
            )
        return secret

    def _way_out(self, path: Path) -> str:
        if path == self.path:
            return (
                "Bring the key back from its recovery sheet by `rubackup client key import --current`; without a sheet move "
                "the file away and make a new key by `rubackup client key rotate`."
            )
        return "Bring the key back from its recovery sheet by `rubackup client key import`."

    def _whole(self, path: Path) -> MasterKey:
        key = self._read(path)
        if key is None:
            raise StorageFault(f"{path} is gone.")
        return key

    # --- changing ---

    def rotate(self) -> MasterKey:
        """A new current key; the one before stays readable. It is durable as an old key before it is replaced."""
        with self._changing():
            self._keep_current()
            self._write(self.path, os.urandom(MASTER_BYTES))
            return self._whole(self.path)

    def add(self, secret: bytes, *, current: bool = False) -> MasterKey:
        """Keep a key that was brought here: for reading, and for new copies too with `current` or when there is none.

        It takes the place of a damaged current key with `current`, or where what is left of the file shows that it is
        this key. The damaged file is kept.
        """
        key = MasterKey(secret)
        with self._changing():
            try:
                now = self._read(self.path)
            except StorageFault:
                remains = self._remains()
                if current or key.id.hex().encode() in remains or secret.hex().encode() in remains:
                    self._set_aside(remains)
                    self._write(self.path, secret)
                else:
                    self._keep(secret, key)
                return key
            if now is not None and now.id == key.id:
                return key
            if current or now is None:
                self._keep_current()
                self._write(self.path, secret)
            else:
                self._keep(secret, key)
            return key

    def keep(self, secret: bytes) -> None:
        """Keep a key for reading only, also where there is no current one."""
        with self._changing():
            self._keep(secret, MasterKey(secret))

    def _remains(self) -> bytes:
        with self._explained(self.path):
            return self.path.read_bytes()

    def _set_aside(self, remains: bytes) -> None:
        """Keep the damaged file: somebody may make out what it was."""
        folder = self.path.parent / DAMAGED
        with self._explained(folder):
            folder.mkdir(mode=0o700, exist_ok=True)
            self._give(folder)
            number = 1 + max((int(file.name) for file in folder.iterdir() if file.name.isdecimal()), default=0)
        self._put(folder / str(number), remains)

    def _keep_current(self) -> None:
        secret = self._secret(self.path)
        if secret is not None:
            self._keep(secret, MasterKey(secret))

    def _keep(self, secret: bytes, key: MasterKey) -> None:
        with self._explained(self._old):
            self._old.mkdir(mode=0o700, exist_ok=True)
            self._give(self._old)
        self._write(self._old / key.id.hex(), secret)

    def _write(self, path: Path, secret: bytes) -> None:
        self._put(path, f"rubackup master-key 1 {secret.hex()} {MasterKey(secret).id.hex()}\n".encode())

    def _put(self, path: Path, content: bytes) -> None:
        """Durable and whole under its name, or not there; of the owner of the keys."""
        staged = path.with_name(f".{path.name}.staged")
        write_private(staged, content)
        with self._explained(path):
            self._give(staged)
            staged.rename(path)
            folder = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
            try:
                os.fsync(folder)
            finally:
                os.close(folder)

    def _give(self, path: Path) -> None:
        """Root's tool works for the user of the client's process: what it makes belongs to the owner of the folder."""
        if os.geteuid() == 0:
            owner = self.path.parent.stat()
            os.chown(path, owner.st_uid, owner.st_gid)

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        with self._explained(self.path.parent):
            self.path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle = os.open(self.path.parent / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            with self._explained(self.path.parent):
                self._give(self.path.parent / "lock")
            fcntl.flock(handle, fcntl.LOCK_EX)
            yield
        finally:
            os.close(handle)

    @staticmethod
    @contextlib.contextmanager
    def _explained(path: Path) -> Iterator[None]:
        """Errors of the file system as ours, but for a file that is not there."""
        try:
            yield
        except FileNotFoundError:
            raise
        except OSError as error:
            raise StorageFault(f"{path} cannot be used: {error.strerror}.") from error
