"""Task tickets: a server's signed word that a client may open one data session.

A ticket names the task, the record, both hosts and its end; a media server checks it
with the key of the server's certificate. Knows no sockets. Design: `docs/design/wire.md`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import msgspec
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec

from rubackup.domain.errors import Refused
from rubackup.wire.certificates import public_key_of
from rubackup.wire.pki import load_key

__all__ = ["LIFETIME_SECONDS", "Ticket", "public_key_of", "sign", "verify"]

LIFETIME_SECONDS = 15 * 60
"""How long a server lets a ticket live before it must be renewed."""

_MAX_BYTES = 4096
_PURPOSE = b"rubackup ticket 1\0"  # the signature is good for nothing else that the key may sign


class Ticket(msgspec.Struct, frozen=True, kw_only=True):
    """What may be done, by whom, where, and until when."""

    task_id: int
    fence: int
    epoch: int
    mode: Literal["backup", "restore", "kept"]
    """`kept`: about manifests of the client's own pools that are kept on the media server."""
    client_hwid: str
    """Of whoever opens the session: a client, or a media server that copies."""
    media_hwid: str
    pool_id: int
    record: str
    """The record to write or to read; UUID, hex."""
    parent: str
    """The record whose unchanged files are taken over, or ''."""
    share: bool
    """Whether chunks of other clients may be used after they were proved."""
    server_hwid: str
    """Whose key signs."""
    expires_at: float
    """Unix seconds."""
    crypto: str = ""
    """Of a backup: the cipher that the copy has to be encrypted with, '' for none."""
    client_key: str = ""
    """SHA-256 of the public key (DER) with which that host is authorised, hex; '' from an older server: any."""
    kept: str = ""
    """Where manifests are kept, as `domain.pools.kept_folder` names it; `record` '' stands for all of them then."""


class _Signed(msgspec.Struct, array_like=True, forbid_unknown_fields=True):
    ticket: bytes
    signature: bytes


_ENCODER = msgspec.msgpack.Encoder()
_SIGNED = msgspec.msgpack.Decoder(_Signed)
_TICKET = msgspec.msgpack.Decoder(Ticket)


def sign(ticket: Ticket, key_pem: bytes) -> bytes:
    """The ticket with its signature, by the key of the server that it names."""
    body = _ENCODER.encode(ticket)
    signature = load_key(key_pem).sign(_PURPOSE + body, ec.ECDSA(hashes.SHA256()))
    return _ENCODER.encode(_Signed(body, signature))


def verify(
    data: bytes,
    public_keys: Mapping[str, ec.EllipticCurvePublicKey],
    *,
    client: tuple[str, str],
    media_hwid: str,
    now: float,
) -> Ticket:
    """The ticket, when a known server signed it for this client (hwid, key) and media server and it has not expired.

    `public_keys` maps a server's hwid to the key of its certificate, `now` is in Unix seconds.
    Refused, with the reason, otherwise.
    """
    signed, ticket = _parse(data)
    key = public_keys.get(ticket.server_hwid)
    if key is None:
        raise Refused("The ticket is signed by a server that is not known here.")
    try:
        key.verify(signed.signature, _PURPOSE + signed.ticket, ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise Refused("The signature of the ticket is wrong.") from error
    if ticket.client_hwid != client[0] or ticket.client_key not in {"", client[1]}:
        raise Refused("The ticket was given to another client.")
    if ticket.media_hwid != media_hwid:
        raise Refused("The ticket is for another media server.")
    if not now < ticket.expires_at:
        raise Refused("The ticket has expired.")
    return ticket


def _parse(data: bytes) -> tuple[_Signed, Ticket]:
    if len(data) > _MAX_BYTES:
        raise Refused("The ticket is too large.")
    try:
        signed = _SIGNED.decode(data)
        return signed, _TICKET.decode(signed.ticket)
    except (ValueError, RecursionError) as error:
        raise Refused("The ticket cannot be read.") from error
