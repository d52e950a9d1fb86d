"""Tickets open exactly one session of one client on one media server, for a while."""

from __future__ import annotations

from datetime import UTC, datetime

import msgspec
import pytest
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

from rubackup.domain import errors
from rubackup.wire import certificates, pki, tickets
from support.wire import CLIENT, MEDIA, SERVER

NOW = datetime(2026, 1, 2, tzinfo=UTC)
KEY = pki.new_key_pem()
ISSUED = pki.issue(
    pki.make_issuing(pki.make_root(NOW), NOW), pki.make_csr(KEY, "s"), role="server", hwid=SERVER, now=NOW
)
LEAF = certificates.load_certificates(ISSUED.chain_pem)[0].public_bytes(Encoding.DER)
KEYS = {SERVER: tickets.public_key_of(LEAF)}
TICKET = tickets.Ticket(
    task_id=7,
    fence=3,
    epoch=2,
    mode="backup",
    client_hwid=CLIENT,
    media_hwid=MEDIA,
    pool_id=1,
    record="0" * 32,
    parent="",
    share=True,
    server_hwid=SERVER,
    expires_at=1000.0,
    client_key="k" * 64,
)
SIGNED = tickets.sign(TICKET, KEY)


def verify(data=SIGNED, keys=KEYS, **changes):
    return tickets.verify(data, keys, **{"client": (CLIENT, "k" * 64), "media_hwid": MEDIA, "now": 999.9} | changes)


def test_a_good_ticket_is_read():
    """What the server signed is what the media server reads, with the key of the server's certificate."""
    assert verify() == TICKET


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"client": ("d" * 16, "k" * 64)}, "another client"),
        ({"client": (CLIENT, "l" * 64)}, "another client"),
        ({"media_hwid": "d" * 64}, "another media server"),
        ({"now": 1000.0}, "expired"),
        ({"now": float("nan")}, "expired"),
        ({"keys": {}}, "not known"),
        ({"keys": {SERVER: pki.load_key(pki.new_key_pem()).public_key()}}, "signature"),
        ({"data": b""}, "cannot be read"),
        ({"data": bytes(5000)}, "too large"),
        ({"data": SIGNED + b"x"}, "cannot be read"),
    ],
)
def test_any_other_ticket_is_refused_with_the_reason(changes, reason):
    """Each thing that can be wrong has its sentence."""
    with pytest.raises(errors.Refused, match=reason):
        verify(**changes)


@given(st.integers(0, len(SIGNED) * 8 - 1))
def test_no_bit_of_a_ticket_can_be_changed(bit):
    """A ticket is good as it was signed or not at all."""
    data = bytearray(SIGNED)
    data[bit // 8] ^= 1 << bit % 8

    with pytest.raises(errors.Refused):
        verify(bytes(data))


@given(st.binary(max_size=300))
def test_noise_is_refused(data):
    """Whatever a client sends as a ticket, the answer is Refused."""
    with pytest.raises(errors.Refused):
        verify(data)


def test_a_signature_for_something_else_is_no_ticket():
    """The key also signs handshakes; only what was signed as a ticket is one."""
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import ec

    body = msgspec.msgpack.encode(TICKET)
    signature = pki.load_key(KEY).sign(body, ec.ECDSA(hashes.SHA256()))

    with pytest.raises(errors.Refused, match="signature"):
        verify(msgspec.msgpack.encode([body, signature]))


def test_a_ticket_of_an_older_server_names_no_key():
    """It is good for the hardware id, as it was there."""
    old = msgspec.structs.replace(TICKET, client_key="")
    assert verify(tickets.sign(old, KEY), client=(CLIENT, "l" * 64)) == old


def test_an_unknown_mode_is_refused():
    """A ticket of a newer server for a mode not known here opens nothing."""
    with pytest.raises(errors.Refused, match="cannot be read"):
        verify(tickets.sign(msgspec.structs.replace(TICKET, mode="erase"), KEY))
