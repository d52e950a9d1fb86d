"""What hosts say of tasks: the host that does one, and no other, renews its ticket and reports of it."""

from __future__ import annotations

import asyncio
import time
from types import SimpleNamespace
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from rubackup.catalog.database import Database
from rubackup.domain.errors import Fenced, Refused
from rubackup.server.heartbeats import Heartbeats
from rubackup.server.monitoring import Monitor
from rubackup.server.registry import Registry
from rubackup.server.reports import Reports
from rubackup.server.tickets import TicketOffice
from rubackup.server.tools import ClientTools
from rubackup.services import admission, dispatch
from rubackup.wire import pki
from rubackup.wire.messages import Ack, LogLine, NewTicket, Progress, RenewTicket, ReportLog, ReportProgress
from rubackup.wire.tickets import verify
from support.catalogue import CLIENT, MEDIA, OTHER_CLIENT, OTHER_MEDIA, SERVER, World, insert

pytestmark = pytest.mark.postgres


def peer(role: str, hwid: str) -> Any:
    """The server's end of a host's control connection."""
    return SimpleNamespace(identity=SimpleNamespace(role=role, hwid=hwid))


async def nothing(_beats: object) -> list[int]:
    """Nobody's heartbeat is lost."""
    return []


def reports(database: Database, key: bytes) -> Reports:
    """What handles the hosts' messages."""
    office, monitor = TicketOffice(SERVER, key), Monitor(database, (SERVER, "server.example"))
    return Reports(database, Registry(), Heartbeats(nothing), office, monitor, ClientTools(database))


async def moving(world: World) -> dispatch.Job:
    """A move to a pool of another media server, at work."""
    async with world.database.transaction() as db:
        other = await insert(
            db, "media_servers", hwid=OTHER_MEDIA, hostname="annex", data_endpoint="h:1", csr_pem=b"", fingerprint="f"
        )
        await db.execute("INSERT INTO media_presence (media_server_id, online) VALUES ($1, true)", other)
        pool = await insert(db, "pools", pool_name="Second", pool_type="File system", media_server_id=other)
        record = await db.fetchval(
            """INSERT INTO repository (uuid, task_id, client_id, client_hostname, client_hwid, pool_id, resource_type,
                   resource, backup_type, crypto, size_bytes, stored_bytes, files, files_failed, created_at)
               VALUES (gen_random_uuid(), 1, $1, 'w', $2, $3, 'File system', '/home', 'full', 'nocrypt', 1, 1, 1, 0,
                   now()) RETURNING id""",
            world.client, CLIENT, world.pool,
        )  # fmt: skip
        await db.execute(
            """INSERT INTO task_queue (task_type, executor, pool_id, media_server_id, record_id)
               VALUES ('Move', 'media', $1, $2, $3)""",
            pool, other, record,
        )  # fmt: skip
    (job,) = await dispatch.claim(world.database, 0, SERVER, 60, 1)
    return job


def test_the_targets_media_server_renews_its_ticket_for_the_source(run):
    """The new one opens the same record; the source's media server, the client and an older attempt get none."""

    async def scenario(database: Database):
        key = pki.new_key_pem()
        job = await moving(await World.build(database))
        office, wanted = reports(database, key), RenewTicket(task_id=job.task_id, fence=job.fence)
        answer = await office.handle(peer("media", OTHER_MEDIA), wanted)
        assert isinstance(answer, NewTicket)
        keys = {SERVER: load_pem_private_key(key, None).public_key()}
        ticket = verify(answer.ticket, keys, client=(OTHER_MEDIA, "f"), media_hwid=MEDIA, now=time.time())
        assert (ticket.mode, ticket.record) == ("restore", job.source_uuid)
        for stranger in (peer("media", MEDIA), peer("client", CLIENT), peer("client", OTHER_MEDIA)):
            with pytest.raises(Refused, match="another host"):
                await office.handle(stranger, wanted)
        with pytest.raises(Fenced):
            await office.handle(peer("media", OTHER_MEDIA), RenewTicket(task_id=job.task_id, fence=job.fence - 1))

    run(scenario)


def test_media_servers_hear_of_revoked_media_servers_too(run):
    """They may open data sessions of each other, so theirs end like those of clients."""

    async def scenario(database: Database):
        async with database.connection() as db:
            for role in ("client", "media", "api"):
                await db.execute(
                    "INSERT INTO revoked_certificates (serial, role, hwid, reason) VALUES ($1, $1, 'h', 'deleted')",
                    role,
                )
        assert set(await admission.revoked_hosts(database)) == {"client", "media"}

    run(scenario)


def test_a_host_speaks_of_its_own_tasks_alone(run):
    """A guess at another's task and fence ends no task of its worker, and no line of a stranger gets into its log."""

    async def scenario(database: Database):
        world = await World.build(database)
        async with database.transaction() as db:
            for hwid, table in ((OTHER_CLIENT, "clients"), (OTHER_MEDIA, "media_servers")):
                more = {"group_id": world.group} if table == "clients" else {"data_endpoint": "h:1"}
                await insert(db, table, hwid=hwid, hostname="rogue", csr_pem=b"", fingerprint="f", **more)
        task = await world.backup()
        (job,) = await dispatch.claim(database, 0, SERVER, 60, 1)
        heartbeats = Heartbeats(lambda beats: dispatch.heartbeat(database, beats, 60))
        monitor, tools = Monitor(database, (SERVER, "server.example")), ClientTools(database)
        office = Reports(database, Registry(), heartbeats, TicketOffice(SERVER, pki.new_key_pem()), monitor, tools)
        writing = asyncio.create_task(heartbeats.run())

        def said(fence: int, text: str) -> tuple[ReportProgress, ReportLog]:
            progress = Progress(
                task_id=task, fence=fence, phase="execution", files_done=1, files_total=0, bytes_done=1, bytes_total=0,
                bytes_sent=0,
            )  # fmt: skip
            line = LogLine(at_ns=1, level="info", text=text)
            return ReportProgress(tasks=[progress]), ReportLog(task_id=task, fence=job.fence, first=1, lines=[line])

        own, rogues = peer("client", CLIENT), (("client", OTHER_CLIENT), ("media", OTHER_MEDIA), ("media", MEDIA))
        try:
            for _ in range(2):  # also once it is known whose task it is
                answers = await asyncio.gather(
                    office.handle(own, said(job.fence, "mine")[0]),
                    *(office.handle(peer(*who), said(job.fence + 1, "theirs")[0]) for who in rogues),
                )
                assert [answer.drop for answer in answers] == [[], [task], [task], [task]]
                for who in rogues:
                    assert await office.handle(peer(*who), said(job.fence, "theirs")[1]) == Ack()
            assert await office.handle(own, said(job.fence, "mine")[1]) == Ack()
        finally:
            writing.cancel()
        assert await world.column("SELECT text FROM task_log WHERE source <> 'server'") == ["mine"]
        assert await world.value("SELECT files_done FROM task_progress WHERE task_id = $1", task) == 1

    run(scenario)
