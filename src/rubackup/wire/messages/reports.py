"""What clients, media servers and the API say to the server.

Design: `docs/design/wire.md`.
"""

from __future__ import annotations

import msgspec

from rubackup.wire.messages.base import Message
from rubackup.wire.messages.orders import MediaAddress


class Progress(msgspec.Struct, frozen=True, kw_only=True):
    """How far a task is; totals are 0 while unknown."""

    task_id: int
    fence: int
    phase: str
    """`execution` or `transmission`."""
    files_done: int = 0
    files_total: int = 0
    bytes_done: int = 0
    bytes_total: int = 0
    bytes_sent: int = 0


class ReportProgress(Message, tag="report_progress"):
    """Progress and heartbeat of every task the agent holds, at most once a second."""

    tasks: list[Progress]


class ProgressAnswer(Message, tag="progress_answer"):
    """Tasks that the agent must drop because their fence is old or they ended."""

    drop: list[int]


class SessionOf(msgspec.Struct, frozen=True, kw_only=True):
    """A data session of a media server: the attempt that it is of."""

    task_id: int
    fence: int


class ReportSessions(Message, tag="report_sessions"):
    """Of which attempts a media server has data sessions; asked again and again while there are any."""

    sessions: list[SessionOf]


class SessionsAnswer(Message, tag="sessions_answer"):
    """Fences of attempts that nobody holds any more: their sessions end, also when their clients hang."""

    over: list[int]


class LogLine(msgspec.Struct, frozen=True, kw_only=True):
    """One line of a task's log; `level` is info, warning or error; `at_ns` unix time."""

    at_ns: int
    level: str
    text: str


class ReportLog(Message, tag="report_log"):
    """Lines for the task log. `first` numbers the first line of the attempt, so a repeat is stored once."""

    task_id: int
    fence: int
    first: int
    lines: list[LogLine]


class ReportFinished(Message, tag="report_finished"):
    """The agent is through with the task. `outcome`: done, error, stopped, retry (something was out of reach);
    of a backup full (its pool has no room) and storage (its pool's storage failed).
    """

    task_id: int
    fence: int
    outcome: str
    message: str
    files_done: int = 0
    files_failed: int = 0
    bytes_done: int = 0
    damaged: list[str] = []
    bytes_sent: int = 0


class RenewTicket(Message, tag="renew_ticket"):
    """The ticket of a running task is about to expire."""

    task_id: int
    fence: int


class NewTicket(Message, tag="new_ticket"):
    """A ticket with a later expiry."""

    ticket: bytes
    media: MediaAddress | None = None
    """Where it is good."""


class RecordSealed(Message, tag="record_sealed"):
    """A manifest is durable (said by a media server, or by a client of a record in its own pool). Repeated until it is answered; the answer decides its fate."""

    task_id: int
    fence: int
    pool_id: int
    record: str
    parent: str
    client_hwid: str
    resource_type: str
    resource: str
    backup_type: str
    files: int
    files_failed: int
    size_bytes: int
    """Sum of the sizes of all files."""
    stored_bytes: int
    """What this backup added to the pool."""
    sealed_at_ns: int
    crypto: str = ""
    """Name of its cipher, '' when it is in clear."""
    key_id: str = ""
    """Which key of the client opens it, 32 hex digits."""
    emergency: str = ""
    """The emergency storage, '' when nothing that the record needs lies there."""
    emergency_bytes: int = 0
    """Size of the packs there that it needs."""
    emergency_reason: str = ""
    """Why the pool's own storages did not take them."""


class SealVerdict(Message, tag="seal_verdict"):
    """`keep`: the record is in the catalogue; otherwise the manifest gets a tombstone."""

    keep: bool


class ReportKeys(Message, tag="report_keys"):
    """The keys that a client holds have changed while it was connected: ids of 32 hex digits, the current one first."""

    key_ids: list[str]


class MonitoringSample(msgspec.Struct, frozen=True, kw_only=True):
    """What a host measured between two instants (unix time)."""

    before_ns: int
    after_ns: int
    general_cpu_percent: float
    own_cpu_percent: float
    general_ram_percent: float
    own_ram_percent: float
    general_ram_megabytes: float
    own_ram_megabytes: float
    general_read_per_second: float
    """Bytes, as all that follow but the load."""
    general_written_per_second: float
    own_read_per_second: float
    own_written_per_second: float
    general_received_per_second: float
    general_sent_per_second: float
    load: float


class ReportMonitoring(Message, tag="report_monitoring"):
    """How busy a media server was since the last report; an empty one only asks for the limits."""

    samples: list[MonitoringSample]


class MonitoringLimits(Message, tag="monitoring_limits"):
    """How often to measure from now on."""

    period_seconds: int


class Relay(Message, tag="relay"):
    """The API asks the server to pass an encoded Message to a host and to return its answer."""

    role: str
    hwid: str
    body: bytes


class Relayed(Message, tag="relayed"):
    """The host's encoded answer."""

    body: bytes
