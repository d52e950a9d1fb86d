"""Who gets onto a control port: certificates, enrolment, limits."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest

from rubackup import __version__
from rubackup.domain import errors
from rubackup.wire import control, framing, pki
from rubackup.wire.messages import (
    OLDEST_PROTOCOL_VERSION,
    PROTOCOL_VERSION,
    Ack,
    AskPools,
    AskRoot,
    Enrol,
    EnrolGranted,
    EnrolPending,
    Fault,
    Hello,
    Root,
)
from support.control import (
    HELLO,
    Behaviour,
    dialled,
    enrol_message,
    raw_connection,
    read_message,
    serving,
    soon,
)
from support.wire import CLIENT, MEDIA, Installation, refusing

TURNED_AWAY = (errors.Refused, errors.Unavailable)
"""A refused certificate: the alert, or only the end of the connection, as the event loops do not send the alert."""


async def _ack(_peer, _message):
    return Ack()


async def _dial(address, context, hello=HELLO):
    mine, _ = await soon(control.dial_control(*address, context, hello, _ack))
    mine.close()
    await soon(mine.wait_closed())


@pytest.fixture(scope="session")
def stranger(tmp_path_factory):
    """Another installation, with a CA of its own."""
    return Installation(tmp_path_factory.mktemp("stranger"))


def _trusting(files, root):
    return pki.TlsFiles(files.key, files.chain, root)


def test_a_client_of_another_authority_gets_nowhere(run, installation, server_files, stranger):
    """Only certificates under our root are accepted."""

    async def main():
        foreign = stranger.files("client", CLIENT, root=installation.root_file)
        async with serving(server_files) as (address, notes):
            with pytest.raises(TURNED_AWAY, match=r"certificate|unknown ca"):
                await _dial(address, pki.client_context(foreign))
        assert notes.admitted == []
        assert notes.peers.empty()

    run(main())


def test_a_client_refuses_a_server_of_another_authority(run, client_files, stranger):
    """Nobody can pose as the server, not even to be told a hostname."""

    async def main():
        async with serving(stranger.files("server", MEDIA)) as (address, notes):
            with pytest.raises(errors.Refused, match="not accepted"):
                await _dial(address, pki.client_context(client_files))
        assert notes.admitted == []

    run(main())


@pytest.mark.parametrize("days_ago", [400, -400])
def test_an_expired_or_future_certificate_gets_nowhere(run, installation, server_files, days_ago):
    """A certificate counts between its two dates only."""
    then = installation.now - timedelta(days=days_ago)

    async def main():
        async with serving(server_files) as (address, notes):
            with pytest.raises(TURNED_AWAY):
                await _dial(address, pki.client_context(installation.files("client", CLIENT, now=then)))
        assert notes.admitted == []

    run(main())


def test_an_expired_server_is_refused(run, installation, client_files):
    """The same holds for the other direction."""
    expired = installation.files("server", MEDIA, now=installation.now - timedelta(days=400))

    async def main():
        async with serving(expired) as (address, _):
            with pytest.raises(errors.Refused, match="expired"):
                await _dial(address, pki.client_context(client_files))

    run(main())


@pytest.mark.parametrize(
    ("role", "why"),
    [("client", "unsuitable certificate purpose"), ("media", "is not a server"), ("api", "is not a server")],
)
def test_a_certificate_of_another_role_is_no_server(run, installation, client_files, role, why):
    """A client or media server cannot pose as the server, though our root signed it."""

    async def main():
        hwid = CLIENT if role == "client" else MEDIA
        async with serving(installation.files(role, hwid)) as (address, notes):
            with pytest.raises(errors.Refused, match=why):
                await _dial(address, pki.client_context(client_files))
        assert notes.admitted == []

    run(main())


def test_a_leaf_signs_nobody(run, installation, server_files, client_files):
    """A client's key cannot issue certificates that anybody accepts."""
    leaf = client_files.chain.read_bytes()
    forger = pki.Authority(client_files.key.read_bytes(), leaf)
    key = pki.new_key_pem()
    forged = pki.issue(forger, pki.make_csr(key, "x"), role="server", hwid=MEDIA, now=installation.now)
    pki.write_private(installation.folder / "forged.key", key)
    pki.write_private(installation.folder / "forged.pem", forged.chain_pem)
    files = pki.TlsFiles(installation.folder / "forged.key", installation.folder / "forged.pem", installation.root_file)

    async def main():
        async with serving(server_files) as (address, notes):
            with pytest.raises(TURNED_AWAY):
                await _dial(address, pki.client_context(files))
        assert notes.admitted == []

    run(main())


def test_who_is_not_admitted_learns_why(run, server_files, client_files):
    """A revoked or unknown host gets the server's sentence, and no connection."""

    async def revoked():
        raise errors.Refused("The certificate is revoked.")

    async def main():
        async with serving(server_files, Behaviour(admit=revoked)) as (address, notes):
            with pytest.raises(errors.Refused, match="The certificate is revoked"):
                await _dial(address, pki.client_context(client_files))
        assert notes.peers.empty()
        assert notes.gone.empty()

    run(main())


def test_another_version_is_refused_by_number(run, server_files, client_files):
    """Both versions of the product stand in the sentence, and which one is to be upgraded."""

    async def main():
        hello = Hello(version=PROTOCOL_VERSION + 1, hostname="h", package_version="2")
        async with serving(server_files) as (address, notes):
            with pytest.raises(
                errors.Refused, match=rf"version 2 speaks version {PROTOCOL_VERSION + 1} .* upgrade the server\."
            ):
                await _dial(address, pki.client_context(client_files), hello)
            older = Hello(version=OLDEST_PROTOCOL_VERSION - 1, hostname="h", package_version="1\n")
            with pytest.raises(errors.Refused, match=rf"version unknown speaks .* {__version__} .* upgrade the host\."):
                await _dial(address, pki.client_context(client_files), older)
        assert notes.peers.empty()

    run(main())


def test_a_connection_ends_with_its_certificate(run, installation, server_files):
    """A certificate that expires takes the living connection with it."""
    brief = installation.files("client", CLIENT, now=datetime.now(UTC), days=1)

    async def main():
        how = Behaviour(heartbeat_seconds=0.05)
        async with serving(server_files, how) as (address, notes), dialled(address, brief) as mine:
            theirs = await soon(notes.peers.get())
            clock = theirs._clock
            theirs._clock = lambda: clock() + 80_000
            await asyncio.sleep(0.2)
            assert not theirs.is_closed
            theirs._clock = lambda: clock() + 86_401
            assert await soon(notes.gone.get()) is theirs
            await soon(mine.wait_closed())

    run(main())


def test_enrolment_by_the_root_file(run, installation, server_files):
    """A host without a certificate that has the root asks, and the server sees its address and key."""

    async def main():
        trust = pki.enrolment_context(installation.root_file, None)
        async with serving(server_files) as (address, notes):
            message = enrol_message()
            answer = await soon(control.enrol(*address, trust, message))
        assert answer == EnrolPending(fingerprint=pki.csr_fingerprint(message.csr_pem), retry_after_seconds=1.0)
        assert notes.enrolled == ["127.0.0.1"]

    run(main())


def test_enrolment_by_the_fingerprint(run, installation, server_files):
    """A host that has only the fingerprint gets the root itself and keeps it."""

    async def main():
        trust = pki.enrolment_context(None, pki.root_fingerprint(installation.root.cert_pem))
        async with serving(server_files) as (address, _):
            assert isinstance(await soon(control.enrol(*address, trust, enrol_message())), EnrolPending)
        assert trust.root_pem == installation.root.cert_pem

    run(main())


def test_a_wrong_fingerprint_is_told_nothing(run, server_files):
    """The request, with hostname and key, is not sent to a server of another root."""

    async def main():
        trust = pki.enrolment_context(None, "0" * 64)
        async with serving(server_files) as (address, notes):
            with pytest.raises(errors.Refused, match="fingerprint"):
                await soon(control.enrol(*address, trust, enrol_message()))
        assert notes.enrolled == []

    run(main())


def test_the_right_root_does_not_help_another_server(run, installation, stranger):
    """Who shows our root without having a certificate under it is found out."""

    async def main():
        trust = pki.enrolment_context(installation.root_file, None)
        async with serving(stranger.files("server", MEDIA)) as (address, notes):
            with pytest.raises(errors.Refused, match="not accepted"):
                await soon(control.enrol(*address, trust, enrol_message()))
        assert notes.enrolled == []

    run(main())


def test_nobody_but_a_server_takes_enrolments(run, installation, media_files):
    """A media server cannot collect requests."""

    async def main():
        trust = pki.enrolment_context(installation.root_file, None)
        async with serving(media_files) as (address, notes):
            with pytest.raises(errors.Refused, match="is not a server"):
                await soon(control.enrol(*address, trust, enrol_message()))
        assert notes.enrolled == []

    run(main())


def test_a_granted_certificate_opens_the_door(run, installation, server_files):
    """From the request to the first call with the certificate that came of it."""

    async def grant(message: Enrol):
        issued = pki.issue(
            installation.issuing, message.csr_pem, role=message.role, hwid=message.hwid, now=installation.now
        )
        return EnrolGranted(chain_pem=issued.chain_pem)

    async def main():
        key = pki.new_key_pem()
        trust = pki.enrolment_context(None, pki.root_fingerprint(installation.root.cert_pem))
        async with serving(server_files, Behaviour(enrol=grant)) as (address, _):
            granted = await soon(control.enrol(*address, trust, enrol_message(key=key)))
            files = pki.TlsFiles(*(installation.folder / f"granted.{part}" for part in ("key", "pem", "root")))
            for path, data in zip(
                (files.key, files.chain, files.root), (key, granted.chain_pem, trust.root_pem), strict=True
            ):
                pki.write_private(path, data)
            async with dialled(address, files) as mine:
                assert await soon(mine.call(AskPools())) == Ack()

    run(main())


def test_a_grant_for_another_key_is_refused(run, installation, server_files):
    """The host notices that it could never use it."""

    async def grant(_message):
        csr = pki.make_csr(pki.new_key_pem(), "x")
        issued = pki.issue(installation.issuing, csr, role="client", hwid=CLIENT, now=installation.now)
        return EnrolGranted(chain_pem=issued.chain_pem)

    async def main():
        trust = pki.enrolment_context(installation.root_file, None)
        async with serving(server_files, Behaviour(enrol=grant)) as (address, _):
            with pytest.raises(errors.Refused, match="another key"):
                await soon(control.enrol(*address, trust, enrol_message()))

    run(main())


def test_enrolments_of_an_address_are_limited(run, installation, server_files):
    """A host that asks too often is told to wait."""

    async def main():
        trust = pki.enrolment_context(installation.root_file, None)
        how = Behaviour(limits=control.Limits(enrol_burst=2, enrol_per_second=0.001))
        async with serving(server_files, how) as (address, notes):
            for _ in range(2):
                await soon(control.enrol(*address, trust, enrol_message()))
            with pytest.raises(errors.TooManyAttempts):
                await soon(control.enrol(*address, trust, enrol_message()))
        assert len(notes.enrolled) == 2

    run(main())


@pytest.mark.parametrize("first", [HELLO, Ack(), Fault(code="x", message="y")])
def test_without_a_certificate_one_can_only_enrol(run, server_files, first):
    """Any other first message is refused."""

    async def main():
        async with (
            serving(server_files) as (address, notes),
            raw_connection(address, pki.Trust.blind_context()) as (reader, writer),
        ):
            writer.write(framing.frame(first))
            assert (await read_message(reader)).code in {"refused", "wire"}
            assert await soon(reader.read()) == b""
        assert notes.admitted == []

    run(main())


@pytest.mark.parametrize("first", [AskPools(), AskRoot(), enrol_message()])
def test_with_a_certificate_one_begins_with_hello(run, server_files, client_files, first):
    """Nothing is answered before the host has been admitted, and nobody enrols in another's name."""

    async def main():
        async with (
            serving(server_files) as (address, notes),
            raw_connection(address, pki.client_context(client_files)) as (reader, writer),
        ):
            writer.write(framing.frame(first))
            assert (await read_message(reader)).code == "wire"
            assert await soon(reader.read()) == b""
        assert notes.enrolled == []

    run(main())


def test_strangers_get_a_small_buffer(run, server_files):
    """A first message of more than 64 KiB is refused by its header."""

    async def main():
        async with (
            serving(server_files) as (address, _),
            raw_connection(address, pki.Trust.blind_context()) as (reader, writer),
        ):
            writer.write(framing.HEADER.pack(control.FIRST_MESSAGE_BYTES + 1, 1))
            assert (await read_message(reader)).code == "wire"

    run(main())


def test_who_says_nothing_is_sent_away(run, server_files, client_files):
    """Before and after TLS a connection has only so long to say who it is."""

    async def main():
        how = Behaviour(limits=control.Limits(arriving_seconds=0.5))
        async with serving(server_files, how) as (address, _):
            reader, writer = await soon(asyncio.open_connection(*address))
            assert await soon(reader.read()) == b""
            writer.close()
            while True:
                try:
                    async with raw_connection(address, pki.client_context(client_files)) as (reader, _writer):
                        assert await soon(reader.read()) == b""
                        break
                except ConnectionError:  # its time was over within the handshake
                    continue

    run(main())


def test_arriving_connections_are_limited(run, server_files, client_files):
    """Silent connections of one address do not pile up; a place that is freed serves the next."""

    async def main():
        how = Behaviour(limits=control.Limits(arriving_per_address=2))
        async with serving(server_files, how) as (address, _):
            silent = [await soon(asyncio.open_connection(*address)) for _ in range(2)]
            reader, writer = await soon(asyncio.open_connection(*address))
            assert await soon(reader.read()) == b""
            for _, held in [*silent, (reader, writer)]:
                held.transport.abort()
            while True:
                try:
                    await _dial(address, pki.client_context(client_files))
                    break
                except errors.Unavailable:  # the server has not seen the aborts yet
                    await asyncio.sleep(0)

    run(main())


def test_a_tls_version_below_1_3_gets_nowhere(run, server_files, client_files):
    """Only TLS 1.3 is spoken."""
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.maximum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(client_files.chain, client_files.key)
    context.load_verify_locations(client_files.root)

    async def main():
        async with serving(server_files) as (address, _):
            with pytest.raises(TURNED_AWAY):
                await _dial(address, context)

    run(main())


def test_the_root_is_shown_to_strangers(run, installation, server_files):
    """It is no secret; its fingerprint is what counts."""

    async def main():
        async with (
            serving(server_files) as (address, _),
            raw_connection(address, pki.Trust.blind_context()) as (reader, writer),
        ):
            writer.write(framing.frame(AskRoot()))
            assert await read_message(reader) == Root(certificate_pem=installation.root.cert_pem)

    run(main())


def test_nobody_there_is_unavailable(run, client_files):
    """A port without a listener and a name without an address are told as such."""

    async def main():
        with refusing() as address:
            for host, port in (address, ("no-such-host.invalid", 9991)):
                with pytest.raises(errors.Unavailable, match=host):
                    await _dial((host, port), pki.client_context(client_files))

    run(main())


def test_a_port_in_use_is_busy(run, server_files):
    """Two servers cannot share a port, and the second one says so."""

    async def main():
        async with serving(server_files) as (address, _):
            with pytest.raises(errors.Busy, match="in use"):
                await control.serve_control(
                    *address, None, enrol=None, admit=None, connected=None, gone=None, handle=None
                )

    run(main())


def test_files_that_do_not_fit_are_named(installation, server_files, client_files):
    """A key of another certificate, or no file at all, is a clear error at start."""
    for files in (
        pki.TlsFiles(client_files.key, server_files.chain, installation.root_file),
        pki.TlsFiles(server_files.key, server_files.chain, installation.folder / "missing"),
    ):
        with pytest.raises(errors.SystemFault, match="cannot be used"):
            pki.server_context(files)
