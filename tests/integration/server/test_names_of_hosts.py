"""What the certificate of an authorised host is good for: its own connections, and nobody else's name."""

from __future__ import annotations

import datetime as dt
import ssl

import pytest

from rubackup.catalog.database import Database
from rubackup.server.control import ControlPlane
from rubackup.server.registry import Registry
from rubackup.server.signer import IssuingSigner
from rubackup.services import enrolment
from rubackup.wire import pki
from rubackup.wire.messages import PROTOCOL_VERSION, Enrol, EnrolGranted, EnrolPending
from support.catalogue import CLIENT, MEDIA, SERVER, change

pytestmark = pytest.mark.postgres

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
