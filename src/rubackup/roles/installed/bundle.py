"""One file that carries what a further host needs of the primary server: certificate, root, access to the catalogue.

JSON, readable by its owner only. Whoever has it can be that host: it is carried over a safe way and deleted.
"""

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Literal

import msgspec
from cryptography import x509
from cryptography.exceptions import InvalidSignature

from rubackup.domain.errors import Conflict, Unavailable
from rubackup.roles.installed.layout import Layout
from rubackup.roles.installed.owners import give_to_owner_of
from rubackup.roles.settings import ConfigurationFault, render
from rubackup.wire import pki

VERSION = 1
READABLE_BY_ALL = 0o644
READABLE_BY_GROUP = 0o640


class Bundle(msgspec.Struct, kw_only=True, forbid_unknown_fields=True):
    """What a host `host` of a role needs."""

    version: int = VERSION
    role: Literal["api", "server"]
    host: str
    hwid: Annotated[str, msgspec.Meta(pattern=r"^[0-9a-f]{64}$")]
    key: str
    """Private key, PEM."""
    certificate: str
    """The leaf, followed by the issuing CA's."""
    root: str
    database: str
    """Name of the service database."""
    database_user: str
    database_password: str
    """Of an API its own role's; empty: the password that the host has stays good."""
    database_sslmode: str = ""
    """How the way to PostgreSQL is encrypted; empty: as is usual."""
    database_root: str = ""
    """Certificate that PostgreSQL's leads to, where one is checked."""
    issuing_key: str = ""
    """The key that signs certificates of hosts; of servers only."""
    issuing_certificate: str = ""

    def __repr__(self) -> str:
        return f"Bundle({self.role} {self.host})"


class OutcomeUnknown(Unavailable):
    """Nobody knows whether what belongs to the file was done: it stays."""


@contextlib.contextmanager
def new_bundle(path: Path) -> Iterator[Callable[[Bundle], None]]:
    """What writes the file, mode 0600 and durably; it goes again when the block fails, but by OutcomeUnknown.

    Conflict when there is one already, ConfigurationFault when none can be made there, both before the block begins.
    """
    if path.exists() or path.is_symlink():
        raise _taken(path)
    hidden = path.with_name(f".{path.name}.{secrets.token_hex(6)}")  # as wire.pki names what it writes
    with _writing(path):
        descriptor = os.open(hidden, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    there = False

    def write(bundle: Bundle) -> None:
        nonlocal there
        with _writing(path):
            file.write(msgspec.json.format(msgspec.json.encode(bundle), indent=1) + b"\n")
            file.flush()
            os.fsync(file.fileno())
            try:
                path.hardlink_to(hidden)  # unlike a rename it replaces nothing
            except FileExistsError:
                raise _taken(path) from None
            there = True
            hidden.unlink()
            pki.sync_folder(path.parent)

    with os.fdopen(descriptor, "wb") as file:
        try:
            yield write
        except OutcomeUnknown:
            raise
        except BaseException:
            if there:
                path.unlink(missing_ok=True)
            raise
        finally:
            hidden.unlink(missing_ok=True)


def write_bundle(path: Path, bundle: Bundle) -> None:
    """Write the file where nothing else hangs on it; errors as of `new_bundle`."""
    with new_bundle(path) as write:
        write(bundle)


def _taken(path: Path) -> Conflict:
    return Conflict(f"There is {path} already; delete it, or name another with --to.")


@contextlib.contextmanager
def _writing(path: Path) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise ConfigurationFault(f"Cannot write {path}: {error.strerror}. Nothing was changed.") from error


def read_bundle(path: Path, role: str) -> Bundle:
    """What the file carries; ConfigurationFault when it is damaged or for another role."""
    try:
        found = msgspec.json.decode(path.read_bytes(), type=Bundle)
    except OSError as error:
        raise ConfigurationFault(f"Cannot read {path}: {error.strerror}.") from error
    except msgspec.MsgspecError as error:
        raise ConfigurationFault(f"{path} is not a file of rb_init: {error}.") from error
    if found.version != VERSION or found.role != role:
        raise ConfigurationFault(f"{path} is for a {found.role} (version {found.version}), not for this.")
    try:
        leaf, issuing = x509.load_pem_x509_certificates(found.certificate.encode())[:2]
        leaf.verify_directly_issued_by(issuing)
        issuing.verify_directly_issued_by(x509.load_pem_x509_certificate(found.root.encode()))
    except (ValueError, TypeError, InvalidSignature) as error:
        raise ConfigurationFault(f"The certificate in {path} does not lead to the root in it.") from error
    return found


def install_bundle(layout: Layout, path: Path, host: str) -> Bundle:
    """Take over what an API's file carries; ConfigurationFault when it is for another APP_HOST."""
    found = read_bundle(path, "api")
    if found.host.lower() != host.lower():
        raise ConfigurationFault(
            f"{path} is for {found.host}, but APP_HOST is {host}: set APP_HOST in {layout.api_environment} first."
        )
    place(layout, found)
    return found


def place(layout: Layout, bundle: Bundle) -> None:
    """Write the parts where the programs look for them, each its folder's owner's."""
    role = bundle.role
    parts = [
        (layout.root_certificate, bundle.root, READABLE_BY_ALL),
        (layout.hwid(role), bundle.hwid + "\n", READABLE_BY_GROUP),
        (layout.key(role), bundle.key, 0),
        (layout.certificate(role), bundle.certificate, 0),
    ]
    if bundle.database_password:
        parts.append((layout.database_password, bundle.database_password + "\n", READABLE_BY_GROUP))
    if bundle.database_root:
        parts.append((layout.database_root, bundle.database_root, READABLE_BY_ALL))
    if role == "api":
        parts.append((layout.database_access, render(_access(bundle)), READABLE_BY_GROUP))
    if bundle.issuing_key:
        parts += [
            (layout.issuing_key, bundle.issuing_key, 0),
            (layout.issuing_certificate, bundle.issuing_certificate, 0),
        ]
    for target, text, mode in parts:
        put(target, text.encode(), mode)


def _access(bundle: Bundle) -> dict[str, str]:
    """What `rubackup_api.env` need not say, in its form."""
    found = {"DB_NAME": bundle.database, "DB_USER": bundle.database_user}
    return found | ({"DB_SSLMODE": bundle.database_sslmode} if bundle.database_sslmode else {})


def put(target: Path, data: bytes, mode: int = 0) -> None:
    """Replace a file of the installation; 0: only its folder's owner may read it."""
    if not target.parent.is_dir():
        raise ConfigurationFault(f"There is no {target.parent}; install the package of this role, or run rb_init.")
    pki.write_private(target, data)
    if mode:
        target.chmod(mode)
    give_to_owner_of(target.parent, target)
