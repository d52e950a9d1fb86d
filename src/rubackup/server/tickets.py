"""Tickets that let a host open a data session for one task (design section 6)."""

from __future__ import annotations

import time
from collections.abc import Callable

from rubackup.domain.lookups import Crypto
from rubackup.domain.pools import kept_folder
from rubackup.services.client_pools import ClientPoolRow
from rubackup.services.dispatch import Job
from rubackup.wire.tickets import Ticket, sign

TICKET_SECONDS = 900.0
LISTING_SECONDS = 60.0


class TicketOffice:
    """Signs with the server's own key, which media servers know from its certificate."""

    def __init__(self, server_hwid: str, key_pem: bytes, clock: Callable[[], float] = time.time) -> None:
        self._server_hwid = server_hwid
        self._key_pem = key_pem
        self._clock = clock

    def issue_listing(self, client: tuple[str, str], media_hwid: str, pool_id: int, record: str) -> bytes:
        """A short-lived ticket that lets a client (hwid, key) read a record of its own, for a listing."""
        ticket = Ticket(
            task_id=0, fence=0, epoch=0, mode="restore", client_hwid=client[0], client_key=client[1],
            media_hwid=media_hwid, pool_id=pool_id, record=record, parent="", share=False, server_hwid=self._server_hwid,
            expires_at=self._clock() + LISTING_SECONDS,
        )  # fmt: skip
        return sign(ticket, self._key_pem)

    def _sign_kept(self, job: Job, own: ClientPoolRow) -> bytes:
        ticket = Ticket(
            task_id=job.task_id, fence=job.fence, epoch=job.epoch, mode="kept", client_hwid=job.client_hwid,
            media_hwid=job.media_hwid, pool_id=own.metadata_pool, record=job.record_uuid, parent="", share=False,
            server_hwid=self._server_hwid, expires_at=self._clock() + TICKET_SECONDS,
            kept=kept_folder(own.uuid, job.client_hwid), client_key=job.client_key,
        )  # fmt: skip
        return sign(ticket, self._key_pem)

    def issue_kept(self, client: tuple[str, str], media_hwid: str, own: ClientPoolRow, record: str) -> bytes:
        """A short-lived ticket that lets a client (hwid, key) have the kept manifest of a record of its own, for a listing."""
        ticket = Ticket(
            task_id=0, fence=0, epoch=0, mode="kept", client_hwid=client[0], client_key=client[1], media_hwid=media_hwid,
            pool_id=own.metadata_pool, record=record, parent="", share=False, server_hwid=self._server_hwid,
            expires_at=self._clock() + LISTING_SECONDS, kept=kept_folder(own.uuid, client[0]),
        )  # fmt: skip
        return sign(ticket, self._key_pem)

    def issue(self, job: Job) -> bytes:
        """A ticket for the job's client, record and pool; for a copy, that lets the target's media server read the source.

        Of a job in a client's own pool it is about the manifest that the media server keeps; of its cleaning, about all of them.
        """
        if job.own is not None:
            return self._sign_kept(job, job.own)
        backup, copy = job.task_type == "Backup", job.source_uuid != ""
        ticket = Ticket(
            task_id=job.task_id,
            fence=job.fence,
            epoch=job.epoch,
            mode="backup" if backup else "restore",
            client_hwid=job.media_hwid if copy else job.client_hwid,
            client_key=job.media_key if copy else job.client_key,
            media_hwid=job.source_media_hwid if copy else job.media_hwid,
            pool_id=job.source_pool_id if copy else job.pool_id,
            record=job.source_uuid if copy else job.record_uuid,
            parent=job.parent_uuid if backup else "",
            share=job.share,
            server_hwid=self._server_hwid,
            expires_at=self._clock() + TICKET_SECONDS,
            crypto=job.crypto if backup and job.crypto != Crypto.NOCRYPT.label else "",
        )
        return sign(ticket, self._key_pem)
