"""One process of light agents: clients and media servers that hold real control connections and only claim to work.

    python -m bench.server.agents SPEC.json

Connections, certificates, heartbeats, redialling, orders, reports each second, sealed records and ends are those of real
agents, by the product's own `wire`; no file is read and no data session is opened. A client's task ends after the time it
is held for; its media server, which is in the same process, reports the record as sealed before that. Says what it did in
lines of JSON, takes lines `go` and `quit`.
"""

from __future__ import annotations

import asyncio
import contextlib
import gc
import json
import random
import resource
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import uvloop
from bench.server import hosts
from bench.server.hosts import Host

from rubackup import __version__
from rubackup.domain.errors import Fenced, RubackupError, Unavailable, WireFault
from rubackup.wire import pki
from rubackup.wire.control import ControlPeer, dial_control, enrol
from rubackup.wire.messages import (
    PROTOCOL_VERSION,
    Ack,
    AskPools,
    AskUnavailable,
    ConfigurePools,
    DropRecord,
    Enrol,
    EnrolGranted,
    Hello,
    KeepKey,
    LockRecord,
    LogLine,
    Message,
    PoolState,
    PoolStates,
    Progress,
    RecordSealed,
    ReportFinished,
    ReportLog,
    ReportProgress,
    ReportSessions,
    Revoked,
    RunBackup,
    RunClean,
    SessionOf,
    SetBandwidth,
    StorageState,
    UnavailableRecords,
)

REPORT_SECONDS = 1.0
SESSIONS_SECONDS = 2.0
PARALLEL_TASKS = 8
SESSIONS = 56
TERABYTE = 10**12


class Fleet:
    """The agents of this process."""

    def __init__(self, spec: dict[str, Any]) -> None:
        self.spec = spec
        self.server: tuple[str, int] = (spec["host"], spec["port"])
        self.counts: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.said: list[dict[str, Any]] = []
        """Orders of tasks that are waited for."""
        self.media: dict[str, Agent] = {}
        self.dialling = asyncio.Semaphore(spec["dialling"])
        self.enrolled = 0.0

    def make(self) -> list[Host]:
        """Certificates of all hosts of this process."""
        folder = Path(self.spec["folder"])
        issuing = pki.Authority(
            key_pem=Path(self.spec["issuing_key"]).read_bytes(), cert_pem=Path(self.spec["issuing_cert"]).read_bytes()
        )
        root = Path(self.spec["root"])
        return [
            host
            for role in ("media", "client")
            for host in hosts.make(folder, issuing, root, role, range(*self.spec[role]))
        ]

    async def run(self, found: list[Host]) -> None:
        """Hold the connections until cancelled."""
        await self._enrol([host for host in found if host.role == "client"][: self.spec["enrol"]])
        async with asyncio.TaskGroup() as group:
            for host in found:
                agent = Agent(self, host)
                if host.role == "media":
                    self.media[host.hwid] = agent
                group.create_task(agent.keep())
            group.create_task(self._tell())

    async def _enrol(self, some: list[Host]) -> None:
        """Some get their certificates anew by asking, as hosts do."""
        began = time.monotonic()
        for host in some:
            trust = pki.enrolment_context(host.files.root, None)
            csr = host.files.key.with_suffix(".csr").read_bytes()
            answer = await enrol(
                *self.server, trust,
                Enrol(
                    version=PROTOCOL_VERSION, role=host.role, hwid=host.hwid, hostname=host.hostname, csr_pem=csr,
                    package_version=__version__,
                ),
            )  # fmt: skip
            assert isinstance(answer, EnrolGranted), answer
            host.files.chain.write_bytes(answer.chain_pem)
        self.enrolled = time.monotonic() - began

    async def _tell(self) -> None:
        while True:
            await asyncio.sleep(1)
            say(
                {
                    "at": time.time(), "counts": self.counts, "errors": dict(self.errors.most_common(5)),
                    "said": self.said, "enrol_seconds": self.enrolled,
                }
            )  # fmt: skip
            self.said = []


class Agent:
    """One host."""

    def __init__(self, fleet: Fleet, host: Host) -> None:
        self.fleet, self.host = fleet, host
        self.peer: ControlPeer | None = None
        self.tasks: dict[tuple[int, int], str] = {}
        """Task and fence, and the phase it is in."""
        self.sessions: set[tuple[int, int]] = set()
        self.pool = 0
        """Of a media server: its pool."""
        self._jobs: set[asyncio.Task[None]] = set()
        self._reporter: asyncio.Task[None] | None = None

    def hello(self) -> Hello:
        """As a real host says it."""
        is_media = self.host.role == "media"
        return Hello(
            version=PROTOCOL_VERSION, hostname=self.host.hostname, package_version=__version__,
            os_version="bench", resource_types=[] if is_media else ["File system"],
            data_endpoint="127.0.0.1:9" if is_media else "", tasks=PARALLEL_TASKS, sessions=SESSIONS if is_media else 0,
        )  # fmt: skip

    async def keep(self) -> None:
        """Dial, and dial again."""
        delay = 0.2
        while True:
            try:
                async with self.fleet.dialling:
                    context = pki.client_context(self.host.files)
                    peer, _ = await dial_control(*self.fleet.server, context, self.hello(), self.handle)
                    del context
            except (RubackupError, OSError) as error:
                self.fleet.errors[f"dial: {error}"[:160]] += 1
            else:
                delay, self.peer = 0.2, peer
                self.fleet.counts["connected"] += 1
                await peer.wait_closed()
                self.fleet.counts["connected"] -= 1
                self.fleet.counts["lost"] += 1
                self.peer = None
            await asyncio.sleep(delay * random.uniform(0.8, 1.2))
            delay = min(delay * 2, 10.0)

    async def call(self, message: Message) -> Message:
        """The server's answer; waits for a connection as a real agent does."""
        while True:
            if (peer := self.peer) is not None:
                with contextlib.suppress(Unavailable):
                    return await peer.call(message)
                self.fleet.counts["calls without answer"] += 1
            await asyncio.sleep(1)

    async def handle(self, _peer: ControlPeer, message: Message) -> Message:
        """The answer to an order."""
        match message:
            case RunBackup():
                self._begin(self._backup(message), (message.order.task_id, message.order.fence))
                self.fleet.counts["orders"] += 1
                if message.resource.startswith("/urgent"):
                    self.fleet.said.append({"task": message.order.task_id, "at": time.time()})
                return Ack()
            case RunClean():
                key = message.order.task_id, message.order.fence
                self._begin(self._end(*key, "Nothing to clean."), key)
                return Ack()
            case ConfigurePools():
                self.pool = message.pools[0].id if message.pools else 0
                return PoolStates(pools=[self._state(pool.id, [s.id for s in pool.storages]) for pool in message.pools])
            case AskPools():
                return PoolStates(pools=[])
            case AskUnavailable():
                return UnavailableRecords(records=[], after="")
            case SetBandwidth() | KeepKey() | Revoked() | DropRecord() | LockRecord():
                return Ack()
        raise WireFault(f"A light agent does not take {type(message).__name__}.")

    def _state(self, pool: int, storages: list[int]) -> PoolState:
        sizes = {"problem": "", "free_bytes": TERABYTE, "used_bytes": 0, "total_bytes": TERABYTE}
        return PoolState(
            id=pool, chunks=0, records=0, storages=[StorageState(id=one, **sizes) for one in storages], **sizes
        )

    def _begin(self, work: Any, key: tuple[int, int]) -> None:
        self.tasks[key] = "execution"
        job = asyncio.get_running_loop().create_task(work)
        self._jobs.add(job)
        job.add_done_callback(self._jobs.discard)
        if self._reporter is None:
            self._reporter = asyncio.get_running_loop().create_task(self._report())

    async def _report(self) -> None:
        """Progress of all tasks each second, as long as there are any."""
        while self.tasks:
            await asyncio.sleep(REPORT_SECONDS)
            states = [
                Progress(task_id=task, fence=fence, phase=phase, files_done=1, bytes_done=1 << 20)
                for (task, fence), phase in self.tasks.items()
            ]
            if states:
                with contextlib.suppress(RubackupError):
                    await self.call(ReportProgress(tasks=states))
                    self.fleet.counts["reports"] += 1
        self._reporter = None

    async def _backup(self, order: RunBackup) -> None:
        key = order.order.task_id, order.order.fence
        hold = self.fleet.spec["hold"] * random.uniform(0.5, 1.5)
        await asyncio.sleep(hold / 2)
        self.tasks[key] = "transmission"
        keeper = self.fleet.media[order.media.hwid]
        keeper.open_session(key)
        await asyncio.sleep(hold / 2)
        try:
            await keeper.call(_sealed(order, self.host.hwid, keeper.pool))
            await self._end(*key, "Light copy.")
        except RubackupError as error:
            self.fleet.errors[f"backup: {error}"[:160]] += 1
        finally:
            keeper.sessions.discard(key)
            self.tasks.pop(key, None)

    async def _end(self, task: int, fence: int, message: str) -> None:
        line = LogLine(at_ns=time.time_ns(), level="info", text="A light agent did it.")
        try:
            await self.call(ReportLog(task_id=task, fence=fence, first=1, lines=[line]))
            await self.call(
                ReportFinished(
                    task_id=task, fence=fence, outcome="done", message=message, files_done=1, bytes_done=1 << 20
                )
            )
            self.fleet.counts["done"] += 1
        except Fenced:
            self.fleet.counts["fenced"] += 1
        finally:
            self.tasks.pop((task, fence), None)

    def open_session(self, key: tuple[int, int]) -> None:
        """A media server has a session of this attempt; it asks while it has any."""
        self.sessions.add(key)
        if self._reporter is None:
            self._reporter = asyncio.get_running_loop().create_task(self._ask_sessions())

    async def _ask_sessions(self) -> None:
        while self.sessions:
            await asyncio.sleep(SESSIONS_SECONDS)
            asked = [SessionOf(task_id=task, fence=fence) for task, fence in self.sessions]
            with contextlib.suppress(RubackupError):
                await self.call(ReportSessions(sessions=asked))
        self._reporter = None


def _sealed(order: RunBackup, client: str, pool: int) -> RecordSealed:
    return RecordSealed(
        task_id=order.order.task_id, fence=order.order.fence, pool_id=pool, record=order.record, parent=order.parent,
        client_hwid=client, resource_type=order.resource_type, resource=order.resource, backup_type=order.backup_type,
        files=1, files_failed=0, size_bytes=1 << 20, stored_bytes=1 << 16, sealed_at_ns=time.time_ns(),
    )  # fmt: skip


def say(message: dict[str, Any]) -> None:
    """One line for the parent."""
    sys.stdout.write(json.dumps(message) + "\n")
    sys.stdout.flush()


async def main(spec: dict[str, Any]) -> None:
    """Make the hosts, wait for `go`, run until `quit` or the parent's end."""
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    gc.set_threshold(100_000, 50, 50)
    fleet = Fleet(spec)
    found = fleet.make()
    Path(spec["made"]).write_text(json.dumps([host.row() for host in found]))
    say({"made": len(found)})
    lines = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(lines), sys.stdin)
    if (await lines.readline()).strip() != b"go":
        return
    work = asyncio.create_task(fleet.run(found))
    stop = asyncio.create_task(lines.readline())
    await asyncio.wait([work, stop], return_when=asyncio.FIRST_COMPLETED)
    if work.done():
        await work
    work.cancel()
    await asyncio.wait([work])


if __name__ == "__main__":
    uvloop.run(main(json.loads(Path(sys.argv[1]).read_text())))
