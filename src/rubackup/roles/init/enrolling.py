"""Files for further hosts: an API's or a secondary server's bundle, PostgreSQL's certificate; and shutting an API out."""

from __future__ import annotations

import asyncio
import secrets
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from rubackup.catalog.database import DatabaseAddress
from rubackup.catalog.migrate import check_ready
from rubackup.domain.errors import Conflict, NotFound, RubackupError
from rubackup.domain.identity import SERVER_HWID, is_host
from rubackup.roles import authority
from rubackup.roles.init import access
from rubackup.roles.init.access import Administrator, NoAdministrator
from rubackup.roles.init.file_and_rows import Write, change_catalogue, change_with_file
from rubackup.roles.init.folders import Tell
from rubackup.roles.init.nodes import catalogue_address
from rubackup.roles.installed.bundle import Bundle, new_bundle, write_bundle
from rubackup.roles.installed.config_file import read_hwid
from rubackup.roles.installed.layout import Layout
from rubackup.roles.settings import ConfigurationFault
from rubackup.roles.up.faults import explained
from rubackup.services import api_hosts
from rubackup.services.api_hosts import ApiHost
from rubackup.services.change import Change
from rubackup.wire import pki
from rubackup.wire.certificates import load_certificates, serial_text

DATABASE_DAYS = 730
"""Nobody renews PostgreSQL's certificate by itself, so it lives longer than those of our own processes."""


@dataclass(frozen=True)
class Issuer:
    """The issuing CA of this host, and where its service database is."""

    layout: Layout
    address: DatabaseAddress
    authority: pki.Authority

    @classmethod
    def of(cls, layout: Layout) -> Issuer:
        """ConfigurationFault on a host that signs nothing."""
        if not layout.issuing_key.exists():
            raise ConfigurationFault("Certificates are signed on the primary server: run this there.")
        issuing = pki.Authority(layout.issuing_key.read_bytes(), layout.issuing_certificate.read_bytes())
        return cls(layout, catalogue_address(layout), issuing)

    def bundle(self, role: str, name: str, hwid: str, *, user: str = "", password: str = "") -> Bundle:
        """A new certificate for a host, with what else it needs; the database's part as it is given."""
        key = pki.new_key_pem()
        days = api_hosts.API_DAYS if role == "api" else 365
        chain = authority.leaf(self.authority, role, hwid, key, [name, "localhost", "127.0.0.1"], days)
        address = self.address
        return Bundle(
            role="server" if role == "server" else "api",
            host=name,
            hwid=hwid,
            key=key.decode(),
            certificate=chain.decode(),
            root=self.layout.root_certificate.read_text(),
            database=address.database,
            database_user=user or address.user,
            database_password=password,
            database_sslmode=address.sslmode if address.sslmode != "prefer" else "",
            database_root=Path(address.root_cert).read_text() if address.root_cert else "",
        )


def enroll_server(layout: Layout, name: str, target: Path | None) -> Path:
    """Write the file that makes another host a secondary server; the file."""
    _require_name(name)
    issuer = Issuer.of(layout)
    bundle = issuer.bundle("server", name, secrets.token_hex(authority.HWID_BYTES["server"]))
    bundle.database_password = issuer.address.password
    bundle.issuing_key = issuer.authority.key_pem.decode()
    bundle.issuing_certificate = issuer.authority.cert_pem.decode()
    path = _place(layout, "server", name, target)
    write_bundle(path, bundle)
    return path


def enroll_api(
    layout: Layout, name: str, target: Path | None, administrator: Administrator, workers: int, tell: Tell
) -> Path:
    """Write the file that makes another host an API with a role of its own in PostgreSQL; the file.

    A host that was enrolled under this name gets another role's password and another certificate: what it had is over.
    """
    _require_api_name(name)
    issuer = Issuer.of(layout)
    name = name.lower()
    path = _place(layout, "api", name, target)
    role, password = access.role_of(issuer.address.user, name), secrets.token_urlsafe(24)
    host = ApiHost(name=name, hwid=secrets.token_hex(authority.HWID_BYTES["api"]), database_role=role)
    by_hand = ""

    async def work(change: Change, write: Write) -> None:
        bundle = issuer.bundle("api", name, host.hwid, user=role, password=password)
        await _keep(change, host, bundle)
        if not by_hand:
            await access.give(change.db, issuer.address, role, password)
        write(bundle)

    with new_bundle(path) as write:
        asyncio.run(check_ready(issuer.address))
        try:
            access.prepare(issuer.address, administrator, role, password, workers)
        except NoAdministrator as error:
            by_hand = error.message
        change_with_file(issuer.address, path, "rb_init --enroll-api", write, work)
    if by_hand:
        tell(by_hand)
        return path
    try:
        access.settle(issuer.address, administrator, role, workers)
    except RubackupError as error:
        tell(f"The file counts; what is left to be done in PostgreSQL may wait: {error.message}")
    return path


def renew_api(layout: Layout, name: str, target: Path | None) -> Path:
    """Write a file with a new certificate alone for an API that goes on meanwhile; the file. NotFound when there is none."""
    _require_api_name(name)
    issuer, name = Issuer.of(layout), name.lower()
    path = _place(layout, "api", name, target)

    async def work(change: Change, write: Write) -> None:
        host = await api_hosts.find(change.db, name)
        if host is None:
            raise NotFound(f"No API was enrolled as {name}: rb_init --enroll-api {name}.")
        bundle = issuer.bundle("api", name, host.hwid, user=host.database_role)
        await _keep(change, host, bundle)
        write(bundle)

    with new_bundle(path) as write:
        change_with_file(issuer.address, path, "rb_init --renew-api", write, work)
    return path


def expel_api(layout: Layout, name: str, administrator: Administrator, tell: Tell) -> None:
    """Shut a host of the API out: its certificate, its role in PostgreSQL, its connections.

    One from before such hosts had roles of their own is named by its hardware id, and has the servers' role: what ends that is told.
    """
    if not SERVER_HWID.fullmatch(name.lower()):
        _require_api_name(name)
    elif layout.hwid("api").exists() and read_hwid("api", layout) == name.lower():
        raise Conflict("This is the hardware id of this host's own API.")
    address = catalogue_address(layout)
    gone: list[ApiHost] = []

    async def work(change: Change) -> None:
        gone.append(await api_hosts.expel(change, name.lower()))

    change_catalogue(address, "rb_init --expel-api", work)
    tell(f"No server takes the API {name} in any more: its certificates are revoked.")
    if not gone[0].database_role:
        tell(_left_to_do(layout, address, name))
        return
    try:
        access.revoke(address, administrator, gone[0].database_role)
    except NoAdministrator as error:
        raise NoAdministrator(f"The role {gone[0].database_role} is still there: {error.message}") from error
    tell(f"The role {gone[0].database_role} is gone, and its connections with it.")


def _left_to_do(layout: Layout, address: DatabaseAddress, name: str) -> str:
    """What ends an API that knows the password of the servers' role."""
    user = address.user
    ended = (
        f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = '{user}' AND client_addr = 'ADDRESS'"  # noqa: S608 - told, not run
    )
    return (
        f"It knows the password of {user}, the role of the servers, with which it can let itself in again. As PostgreSQL's"
        f" administrator: \\password {user}; write that into {layout.database_password} of each server and restart their services;"
        f" then, with its address, {ended}; and rb_init --expel-api {name} again, in case it came back meanwhile."
    )


def enroll_database(layout: Layout, name: str, target: Path | None, tell: Tell) -> Path:
    """Sign a certificate for the PostgreSQL of a host; the folder with what it needs."""
    _require_name(name)
    issuer = Issuer.of(layout)
    folder = target or layout.root / "keys" / f"database-{name}"
    if folder.exists():
        raise Conflict(f"There is {folder} already; delete it, or name another with --to.")
    key = pki.new_key_pem()
    dns, addresses = authority.sorted_names([name])
    issued = pki.issue_foreign(
        issuer.authority, pki.make_csr(key, name), name=name, now=datetime.now(UTC), days=DATABASE_DAYS,
        dns_names=dns, addresses=addresses,
    )  # fmt: skip
    with explained(f"Cannot make the folder {folder}"):
        folder.mkdir(mode=0o700)
    for file, data in (
        ("server.key", key), ("server.crt", issued.chain_pem), ("root.crt", layout.root_certificate.read_bytes()),
    ):  # fmt: skip
        pki.write_private(folder / file, data)
    tell(
        f"PostgreSQL of {name}: bring server.key and server.crt there a safe way, as files of its user with mode 0600; in"
        " postgresql.conf ssl = on, ssl_cert_file and ssl_key_file; in pg_hba.conf hostssl in place of host."
        f" The certificate ends on {issued.not_after:%Y-%m-%d}."
        f" Then have it verified here: --db-root-cert {layout.root_certificate}."
    )
    return folder


async def _keep(change: Change, host: ApiHost, bundle: Bundle) -> None:
    leaf = load_certificates(bundle.certificate.encode())[0]
    await api_hosts.keep(change, host, serial_text(leaf), leaf.not_valid_after_utc)


def _require_name(name: str) -> None:
    if not is_host(name):
        raise ConfigurationFault(
            f"The name of a host or its address is wanted, not {name!r}: letters, digits, dots and hyphens, without a port."
        )


def _require_api_name(name: str) -> None:
    _require_name(name)
    if name.lower() == "localhost":
        raise ConfigurationFault(
            "localhost is every host's own name: name the host as others call it, which is its APP_HOST."
        )


def _place(layout: Layout, role: str, name: str, target: Path | None) -> Path:
    """Where the file goes."""
    return target or layout.root / "keys" / f"{role}-{name}.bundle"
