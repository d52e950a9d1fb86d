"""How a host gets its certificate, and how a control connection begins and lives.

Design: `docs/design/wire.md`.
"""

from __future__ import annotations

from rubackup.wire.messages.base import Message


class Enrol(Message, tag="enrol"):
    """A host asks for a certificate; a repeated request with the same key only asks how it stands."""

    version: int
    role: str
    """`client` or `media`."""
    hwid: str
    hostname: str
    csr_pem: bytes
    package_version: str
    os_type: str = "Linux"
    os_version: str = ""
    data_endpoint: str = ""
    """`host:port` where a media server takes bulk data."""


class EnrolPending(Message, tag="enrol_pending"):
    """An administrator has not decided yet."""

    fingerprint: str
    """SHA-256 of the public key (DER), hex: what the administrator is shown."""
    retry_after_seconds: float


class EnrolGranted(Message, tag="enrol_granted"):
    """The signed leaf certificate, followed by the issuing CA."""

    chain_pem: bytes


class RenewCertificate(Message, tag="renew_certificate"):
    """An API on a host of its own asks for another certificate, over a connection with the one that it has.

    Answered by EnrolGranted. Names, role and hardware id are those that the catalogue has of it.
    """

    csr_pem: bytes


class AskRoot(Message, tag="ask_root"):
    """Ask for the server's root certificate, whose fingerprint the host was given."""


class Root(Message, tag="root"):
    """The root certificate; worth nothing until its fingerprint was compared."""

    certificate_pem: bytes


# --- control channel ---


class Hello(Message, tag="hello"):
    """First message of every connection to the server; identity comes from the certificate."""

    version: int
    hostname: str
    package_version: str
    os_type: str = "Linux"
    os_version: str = ""
    resource_types: list[str] = []
    data_endpoint: str = ""
    ciphers: list[str] = []
    """Of a client: names of domain.lookups.Crypto that it can run."""
    key_ids: list[str] = []
    """Of a client: the keys that it holds, 32 hex digits each, the current one first."""
    storages: list[str] = []
    """Of a client: names of storages of Client defined pools that it has folders for."""
    tasks: int = 0
    """How many tasks it works on at a time; 0: it does not say."""
    sessions: int = 0
    """Of a media server: how many data sessions of tasks it has at a time; 0: it does not say."""


class Welcome(Message, tag="welcome"):
    """The server accepts the connection."""

    version: int
    server_hwid: str
    hostname: str
    epoch: int
    """Rises with every change of the leading server; orders of an older epoch are refused."""
    heartbeat_seconds: float


class Call(Message, tag="call"):
    """A request of either side; `body` is an encoded Message."""

    id: int
    body: bytes


class Answer(Message, tag="answer"):
    """The answer to the Call of the same id; an encoded Message, a Fault when it failed."""

    id: int
    body: bytes


class Ping(Message, tag="ping"):
    """Sent by either side when it has heard nothing for `heartbeat_seconds`; three silent intervals end the connection."""


class Pong(Message, tag="pong"):
    """The answer to Ping."""


class Ack(Message, tag="ack"):
    """Done; nothing to say."""

    failed: bool = False
    """The answer to ReportFinished: the task has ended in Error."""
