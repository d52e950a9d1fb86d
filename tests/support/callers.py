"""Everybody who may come to a listener: hosts that enrolled over the wire, and certificates that nobody should believe."""

from __future__ import annotations

import contextlib
import datetime as dt
import itertools
import time
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization

from rubackup.agent.seals import SealBook
from rubackup.catalog.database import Database
from rubackup.domain.permissions import Principal, Role
from rubackup.media.pools import PoolKeeper
from rubackup.media.sessions import DataSessions
from rubackup.server.control import ControlPlane
from rubackup.server.heartbeats import Heartbeats
from rubackup.server.monitoring import Monitor
from rubackup.server.registry import Registry
from rubackup.server.reports import Reports
from rubackup.server.signer import IssuingSigner
from rubackup.server.tickets import TicketOffice
from rubackup.server.tools import ClientTools
from rubackup.services import admission, api_hosts, dispatch, enrolment, unauthorised
from rubackup.services.api_hosts import ApiHost
from rubackup.services.change import Change, changing
from rubackup.services.no_hosts import NoHosts
from rubackup.services.rekeying import Expected
from rubackup.wire import control, pki
from rubackup.wire.certificates import Identity, identity_uri, load_certificates, serial_text
from rubackup.wire.data import DataServer
from rubackup.wire.messages import Enrol, EnrolGranted, PoolConfig, StorageConfig
from rubackup.wire.tickets import Ticket, sign
from support.control import enrol_message, soon
from support.wire import SERVER, Installation

VAULT, ANNEX = "a1" * 32, "a2" * 32
POOL = 7
WHO = Principal(1, "root", frozenset({Role.SUPERUSER}))


async def nobody(_peer: object) -> None:
    """Nothing follows."""


@dataclass
class Office:
    """A server's control listener and a media server's data listener, with a catalogue and a pool."""

    database: Database
    installation: Installation
    registry: Registry
    plane: ControlPlane
    signer: IssuingSigner
    server: pki.TlsFiles
    control: tuple[str, int] = ("", 0)
    data: tuple[str, int] = ("", 0)
    sessions: DataSessions | None = None
    _numbers: itertools.count[int] = field(default_factory=itertools.count)

    @contextlib.asynccontextmanager
    async def change(self) -> AsyncIterator[Change]:
        """A change by an administrator, whom the servers hear of."""
        async with changing(self.database, WHO, NoHosts(), method="POST", path="/", resource="clients") as change:
            yield change

    def files(self, key: bytes, chain: bytes) -> pki.TlsFiles:
        """A key and its certificate as files."""
        base = self.installation.folder / f"caller{next(self._numbers)}"
        pki.write_private(base.with_suffix(".key"), key)
        pki.write_private(base.with_suffix(".pem"), chain)
        return pki.TlsFiles(base.with_suffix(".key"), base.with_suffix(".pem"), self.installation.root_file)

    def leaf(
        self, role: str, hwid: str, key: bytes = b"", *, days_ago: int = 0, issuing: pki.Authority | None = None
    ) -> pki.TlsFiles:
        """A certificate that the catalogue does not know."""
        key = key or pki.new_key_pem()
        now = self.installation.now - dt.timedelta(days=days_ago)
        csr = pki.make_csr(key, "host")
        chain = pki.issue(issuing or self.installation.issuing, csr, role=role, hwid=hwid, now=now).chain_pem
        return self.files(key, chain)

    def self_signed(self, role: str, hwid: str) -> pki.TlsFiles:
        """A certificate that its own key has signed."""
        key = pki.new_key_pem()
        private = serialization.load_pem_private_key(key, None)
        name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, hwid)])
        san = x509.SubjectAlternativeName([x509.UniformResourceIdentifier(identity_uri(role, hwid))])
        now = self.installation.now
        builder = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(private.public_key())
        builder = builder.serial_number(1).not_valid_before(now).not_valid_after(now + dt.timedelta(days=9))
        signed = builder.add_extension(san, critical=False).sign(private, hashes.SHA256())  # type: ignore[arg-type]
        return self.files(key, signed.public_bytes(serialization.Encoding.PEM))

    async def ask(self, role: str, hwid: str, name: str, key: bytes) -> pki.TlsFiles | None:
        """Ask for a certificate over the wire; None while an administrator has to decide."""
        trust = pki.enrolment_context(self.installation.root_file, None)
        csr = pki.make_csr(key, name)
        request: Enrol = enrol_message(role=role, hwid=hwid, hostname=name, csr_pem=csr)
        answer = await soon(control.enrol(*self.control, trust, request))
        return self.files(key, answer.chain_pem) if isinstance(answer, EnrolGranted) else None

    async def authorise(self, role: str, name: str, expected: Expected = Expected()) -> None:  # noqa: B008 - frozen
        """As an administrator does, of the one that waits under this host name."""
        async with self.change() as change:
            if role == "media":
                await enrolment.authorise_media_server(change, name, expected)
                return
            found = await change.db.fetchval("SELECT id FROM unauthorised_clients WHERE hostname = $1", name)
            await enrolment.authorise_clients(change, [found], expected)

    async def enrolled(self, role: str, hwid: str, name: str, key: bytes = b"") -> pki.TlsFiles:
        """A host that asked, was authorised and got its certificate."""
        key = key or pki.new_key_pem()
        assert await self.ask(role, hwid, name, key) is None
        await self.authorise(role, name)
        found = await self.ask(role, hwid, name, key)
        assert found is not None
        return found

    async def rekeyed(self, role: str, hwid: str, name: str) -> pki.TlsFiles:
        """The known host gets another key, as an administrator says."""
        key = pki.new_key_pem()
        assert await self.ask(role, hwid, name, key) is None
        fingerprint = pki.csr_fingerprint(pki.make_csr(key, name))
        await self.authorise(role, name, Expected(replace_key=True, fingerprint=fingerprint))
        found = await self.ask(role, hwid, name, key)
        assert found is not None
        return found

    async def delete(self, role: str, hwid: str) -> None:
        """Delete a host."""
        table = "clients" if role == "client" else "media_servers"
        async with self.change() as change:
            found = await change.db.fetchval(f"SELECT id FROM {table} WHERE hwid = $1", hwid)
            withdraw = enrolment.withdraw_clients if role == "client" else enrolment.withdraw_media_servers
            await withdraw(change, [found])

    async def refuse(self, name: str) -> None:
        """Delete a client from those that wait."""
        async with self.change() as change:
            found = await change.db.fetchval("SELECT id FROM unauthorised_clients WHERE hostname = $1", name)
            await unauthorised.forget_clients(change, [found])

    async def api(self, name: str, *, hwid: str = "") -> pki.TlsFiles:
        """An API on a host of its own, as `rb_init --enroll-api` makes it known."""
        key, hwid = pki.new_key_pem(), hwid or uuid.uuid4().hex * 2
        signed = self.signer.sign_api(pki.make_csr(key, name), hwid, name)
        async with self.change() as change:
            host = ApiHost(name=name, hwid=hwid, database_role=f"role_{name}")
            await api_hosts.keep(change, host, signed.serial, signed.not_after)
        return self.files(key, signed.chain_pem)

    async def own_api(self, hwid: str) -> pki.TlsFiles:
        """The API of a server, which notes itself."""
        files = self.leaf("api", hwid)
        leaf = load_certificates(files.chain.read_bytes())[0]
        assert await api_hosts.note_own(self.database, hwid, serial_text(leaf), leaf.not_valid_after_utc)
        return files

    async def expel(self, name: str) -> None:
        """As `rb_init --expel-api`."""
        async with self.change() as change:
            await api_hosts.expel(change, name)

    async def execute(self, statement: str, *values: object) -> None:
        """Change the catalogue past the product, as the restore of an older one does."""
        async with self.database.transaction() as db:
            await db.execute(statement, *values)

    async def ticket(self, who: Identity) -> bytes:
        """A good ticket that was made out to this host: a client's to write, everybody else's to read."""
        mode, table = ("backup", "clients") if who.role == "client" else ("restore", "media_servers")
        async with self.database.connection() as db:
            key = await db.fetchval(f"SELECT fingerprint FROM {table} WHERE hwid = $1", who.hwid)
        ticket = Ticket(
            task_id=1, fence=1, epoch=1, mode=mode, client_hwid=who.hwid, client_key=key or who.key, media_hwid=VAULT, pool_id=POOL,  # type: ignore[arg-type]
            record=uuid.uuid4().hex, parent="", share=False, server_hwid=SERVER, expires_at=time.time() + 900,
        )  # fmt: skip
        return sign(ticket, self.server.key.read_bytes())


def identity(files: pki.TlsFiles) -> Identity:
    """Who a certificate names."""
    leaf = load_certificates(files.chain.read_bytes())[0]
    return pki.identity_of(leaf.public_bytes(serialization.Encoding.DER))


@contextlib.asynccontextmanager
async def office(database: Database, folder: Path) -> AsyncIterator[Office]:
    """Both listeners on loopback. The media server VAULT is authorised, and owns the data listener."""
    installation = Installation(folder)
    server = installation.files("server", SERVER)
    signer, registry = IssuingSigner(installation.issuing), Registry()
    tickets = TicketOffice(SERVER, server.key.read_bytes())
    heartbeats = Heartbeats(lambda beats: dispatch.heartbeat(database, beats, 15))
    monitor, tools = Monitor(database, (SERVER, "server.example")), ClientTools(database)
    reports = Reports(database, registry, heartbeats, tickets, monitor, tools, signer=signer)
    plane = ControlPlane(database, signer, registry, (SERVER, "server.example"), lambda: 1, nobody, nobody)
    found = Office(database, installation, registry, plane, signer, server)
    listener = await control.serve_control(
        "127.0.0.1", 0, pki.server_context(server, optional_peer=True), enrol=plane.enrol, admit=plane.admit,
        connected=plane.connected, gone=plane.gone, handle=reports.handle,
    )  # fmt: skip
    try:
        found.control = listener.address
        vault = await found.enrolled("media", VAULT, "vault")
        with contextlib.ExitStack() as stack:
            _serve_data(found, vault, folder, stack)
            yield found
    finally:
        await listener.close()


def _serve_data(found: Office, vault: pki.TlsFiles, folder: Path, stack: contextlib.ExitStack) -> None:
    pools = PoolKeeper(folder / "metadata")
    stack.callback(pools.close)
    storage = StorageConfig(id=1, path=str(folder / "storage"))
    wanted = {"name": "Default", "compression": "fast", "reserve_bytes": 0, "storages": [storage]}
    pools.configure([PoolConfig(id=POOL, uuid=uuid.uuid4().hex, **wanted)])
    key = pki.public_key_of(
        load_certificates(found.server.chain.read_bytes())[0].public_bytes(serialization.Encoding.DER)
    )
    found.sessions = DataSessions(VAULT, pools, SealBook(folder / "unreported"), lambda: {SERVER: key})
    server = DataServer(
        "127.0.0.1", 0, pki.server_context(vault), found.sessions.serve, roles=(pki.Role.CLIENT, pki.Role.MEDIA)
    )
    server.start()
    stack.callback(server.close)
    found.data = server.address


async def tell_revoked(found: Office) -> None:
    """What a server tells the media server."""
    assert found.sessions is not None
    found.sessions.revoke(await admission.revoked_hosts(found.database))
