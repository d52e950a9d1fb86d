"""The secret that session tokens and links to files are signed with: kept, so that sessions outlive the process.

Whoever has it and the name of a live session can act in that session, so it lies where the API's key lies, and goes nowhere else.
"""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
from pathlib import Path

from rubackup.domain.errors import StorageFault
from rubackup.roles.installed.layout import TOKEN_SECRET
from rubackup.roles.settings import ConfigurationFault, Settings
from rubackup.wire.pki import sync_folder

log = logging.getLogger(__name__)

LEAST_BYTES = 32


def token_secret(settings: Settings) -> bytes:
    """The secret of TOKEN_SECRET_FILE, else the one that is kept in STATE_DIR; without either one for this run."""
    if settings.text("TOKEN_SECRET_FILE", ""):
        return _named(settings.path("TOKEN_SECRET_FILE"))
    if not settings.text("STATE_DIR", ""):
        return secrets.token_bytes(LEAST_BYTES)
    try:
        return keep(settings.path("STATE_DIR") / TOKEN_SECRET)
    except StorageFault as error:
        log.warning("sessions end with this process: %s", error)
        return secrets.token_bytes(LEAST_BYTES)


def keep(path: Path) -> bytes:
    """The secret of this file, which is made when it is not there: 0600, and of the folder's owner.

    Of several processes that come at once one makes it. StorageFault when it can be neither read nor made,
    ConfigurationFault when it is too short.
    """
    try:
        if not path.exists():
            _make(path)
        found = path.read_bytes().strip()
    except OSError as error:
        raise StorageFault(f"{path} can be neither read nor made: {error.strerror}.") from error
    if len(found) < LEAST_BYTES:
        raise ConfigurationFault(f"{path} holds less than {LEAST_BYTES} bytes: delete it, and the API makes another.")
    return found


def _named(path: Path) -> bytes:
    try:
        secret = path.read_bytes().strip()
    except OSError as error:
        raise ConfigurationFault(f"TOKEN_SECRET_FILE names {path}, which cannot be read: {error.strerror}.") from error
    if len(secret) < LEAST_BYTES:
        raise ConfigurationFault(f"TOKEN_SECRET_FILE names {path}, which holds less than {LEAST_BYTES} bytes.")
    return secret


def _make(path: Path) -> None:
    """Durable before it has its name, and never in the place of another."""
    beside = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    descriptor = os.open(beside, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            if os.geteuid() == 0:
                owner = path.parent.stat()
                os.fchown(file.fileno(), owner.st_uid, owner.st_gid)
            file.write(f"{secrets.token_urlsafe(LEAST_BYTES)}\n".encode())
            file.flush()
            os.fsync(file.fileno())
        with contextlib.suppress(FileExistsError):
            os.link(beside, path)
    finally:
        beside.unlink()
    sync_folder(path.parent)
