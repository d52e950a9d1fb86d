"""What the certificate of an authorised host is good for: its own connections, and nobody else's name."""

from __future__ import annotations

import asyncio
import datetime as dt
import ssl

import pytest
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

from rubackup.agent import link
from rubackup.agent.link import AgentHost, ServerLink
from rubackup.catalog.database import Database
from rubackup.server.control import ControlPlane
from rubackup.server.registry import Registry
from rubackup.server.signer import IssuingSigner
from rubackup.services import enrolment
from rubackup.wire import pki
from rubackup.wire.certificates import has_names, identity_uri
from rubackup.wire.messages import PROTOCOL_VERSION, Enrol, EnrolGranted, EnrolPending
from support.catalogue import CLIENT, MEDIA, SERVER, change
from support.control import Behaviour, serving
from support.wire import Installation

API = "api.rubackup.local"
HWIDS = {"client": CLIENT, "media": MEDIA}


async def _nobody(_peer):
    """No host comes."""


async def _granted(database: Database, signer: IssuingSigner, role: str, key: bytes) -> bytes:
    """What a host gets that was authorised as host1.example and then asks as the API."""
    plane = ControlPlane(database, signer, Registry(), ("s", "server"), lambda: 1, _nobody, _nobody)

    async def ask(hostname: str) -> EnrolPending | EnrolGranted:
        told = {"hostname": hostname, "csr_pem": pki.make_csr(key, hostname), "package_version": "2"}
        return await plane.enrol(Enrol(version=PROTOCOL_VERSION, role=role, hwid=HWIDS[role], **told), "10.0.0.7")

    assert isinstance(await ask("host1.example"), EnrolPending)
    async with database.transaction() as db:
        if role == "client":
            await enrolment.authorise_clients(change(db), [1])
        else:
            await enrolment.authorise_media_server(change(db), "host1.example")
    answer = await ask(API)
    assert isinstance(answer, EnrolGranted)
    return answer.chain_pem


def _shake(listening: ssl.SSLContext, dialling: ssl.SSLContext, name: str) -> None:
    """A TLS handshake in memory, and a byte each way: in TLS 1.3 the listener looks at the other's certificate last."""
    there, back = ssl.MemoryBIO(), ssl.MemoryBIO()
    caller = dialling.wrap_bio(back, there, server_hostname=name)
    callee = listening.wrap_bio(there, back, server_side=True)
    for side in (caller, callee, caller, callee):
        try:
            side.do_handshake()
        except ssl.SSLWantReadError:
            continue
    caller.write(b"x")
    callee.write(b"y")
    assert (callee.read(1), caller.read(1)) == (b"x", b"y")


@pytest.mark.postgres
@pytest.mark.parametrize("role", ["client", "media"])
def test_an_authorised_host_passes_for_nobody_else(run, tmp_path, role):
    """With the name of the API in its request it gets no name; what it needs to connect it gets."""
    now = dt.datetime.now(dt.UTC)
    root = pki.make_root(now)
    issuing = pki.make_issuing(root, now)
    (tmp_path / "root").write_bytes(root.cert_pem)

    def files(who: str, key: bytes, chain: bytes) -> pki.TlsFiles:
        pki.write_private(tmp_path / f"{who}.key", key)
        (tmp_path / f"{who}.pem").write_bytes(chain)
        return pki.TlsFiles(tmp_path / f"{who}.key", tmp_path / f"{who}.pem", tmp_path / "root")

    def listening(own: pki.TlsFiles) -> ssl.SSLContext:
        """As an HTTPS server or PostgreSQL listens: the caller needs no certificate."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(own.chain, own.key)
        return context

    async def scenario(database: Database):
        key = pki.new_key_pem()
        host = files(role, key, await _granted(database, IssuingSigner(issuing), role, key))
        csr = pki.make_csr(key, API)
        api = files("api", key, IssuingSigner(issuing).sign_api(csr, SERVER, API).chain_pem)
        server = files("server", key, pki.issue(issuing, csr, role="server", hwid=SERVER, now=now).chain_pem)
        believing = ssl.create_default_context(cafile=str(tmp_path / "root"))

        for name in (API, "localhost"):
            _shake(listening(api), believing, name)
            for impostor in (host, server):
                with pytest.raises(ssl.SSLCertVerificationError):
                    _shake(listening(impostor), believing, name)
        _shake(pki.server_context(server, optional_peer=True), pki.client_context(host), "server")
        if role == "media":
            _shake(pki.server_context(host), pki.client_context(server), "media")
        else:
            with pytest.raises(ssl.SSLCertVerificationError, match="unsuitable certificate purpose"):
                _shake(pki.server_context(host), pki.client_context(server), "client")

    run(scenario)


def _named(installation: Installation, csr: bytes) -> bytes:
    """A client's leaf as servers signed them before: with the host's name and localhost."""
    names = [x509.UniformResourceIdentifier(identity_uri("client", CLIENT)), x509.DNSName(API)]
    usages = [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    return pki._leaf(installation.issuing, csr, CLIENT, names, usages, installation.now, 365).chain_pem


class _Idle:
    """An agent that nobody orders anything."""

    async def connected(self, _peer, _welcome):
        """Nothing is to be done."""

    async def handle(self, _peer, message):
        raise AssertionError(message)


@pytest.mark.parametrize("names", [False, True])
def test_a_certificate_with_names_is_replaced(tmp_path, monkeypatch, names):
    """When its agent starts; a server of an older version, which signs names again, is not asked without end."""
    monkeypatch.setattr(link, "RENEWAL_CHECK_SECONDS", 0.01)
    installation = Installation(tmp_path)
    key, chain = tmp_path / "key", tmp_path / "chain"
    pki.write_private(key, pki.new_key_pem())
    old = _named(installation, pki.make_csr(key.read_bytes(), API))
    pki.write_private(chain, old)

    async def grant(message: Enrol) -> EnrolGranted:
        if names:
            return EnrolGranted(chain_pem=_named(installation, message.csr_pem))
        made = pki.issue(installation.issuing, message.csr_pem, role="client", hwid=CLIENT, now=installation.now)
        return EnrolGranted(chain_pem=made.chain_pem)

    async def main() -> int:
        async with serving(installation.files("server", SERVER), Behaviour(enrol=grant)) as (address, notes):
            host = AgentHost("client", CLIENT, API, key, chain, installation.root_file, (address,))
            running = asyncio.create_task(ServerLink(host).run(_Idle()))
            async with asyncio.timeout(60):
                while chain.read_bytes() == old:  # noqa: ASYNC110 - a file tells of no change
                    await asyncio.sleep(0.01)
            await asyncio.sleep(0.3)
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)
            return len(notes.enrolled)

    assert asyncio.run(main()) == 1
    assert has_names(chain.read_bytes()) is names
