"""Orders to copy: what they name, and what their tickets open."""

from __future__ import annotations

import time
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from rubackup.domain.errors import Refused
from rubackup.server.orders import order_of
from rubackup.server.tickets import TicketOffice
from rubackup.services.jobs import Job
from rubackup.wire import pki
from rubackup.wire.messages import MediaAddress, RunBackup, RunClean, RunCopy, RunRestore, RunVerify
from rubackup.wire.tickets import verify

CLIENT, TARGET, SOURCE, SERVER = "b" * 16, "c" * 64, "d" * 64, "a" * 64
KEY = pki.new_key_pem()
OFFICE = TicketOffice(SERVER, KEY)


def job(**fields: Any) -> Job:
    """A task that copies a record from another media server."""
    good = {
        "task_id": 7, "fence": 3, "attempt": 1, "epoch": 2, "task_type": "Move", "executor": "media", "client_hwid": CLIENT,
        "client_hostname": "host", "media_hwid": TARGET, "data_endpoint": "target:9993", "pool_id": 2, "pool_uuid": "",
        "compression": "fast", "resource_type": "File system", "resource": "/home", "backup_type": "full",
        "crypto": "nocrypt", "record_uuid": "1" * 32, "parent_uuid": "", "parameters": {}, "share": False,
        "source_pool_id": 1, "source_uuid": "2" * 32, "source_media_hwid": SOURCE, "source_endpoint": "source:9994",
        "client_key": "client's", "media_key": "target's", "source_media_key": "source's",
    }  # fmt: skip
    return Job(**(good | fields))


def test_the_target_is_told_where_the_source_is_and_may_read_it_there() -> None:
    """The ticket is good for this media server, at that one, for that record, to read."""
    order = order_of(job(), OFFICE)
    assert isinstance(order, RunCopy)
    assert order.source == MediaAddress(host="source", port=9994, hwid=SOURCE, key="source's")
    assert (order.pool_id, order.record, order.source_pool_id, order.source_record) == (2, "1" * 32, 1, "2" * 32)
    keys = {SERVER: load_pem_private_key(KEY, None).public_key()}
    ticket = verify(order.order.ticket, keys, client=(TARGET, "target's"), media_hwid=SOURCE, now=time.time())  # type: ignore[arg-type]

    assert (ticket.mode, ticket.pool_id, ticket.record, ticket.task_id, ticket.fence) == ("restore", 1, "2" * 32, 7, 3)
    with pytest.raises(Refused):
        verify(order.order.ticket, keys, client=(CLIENT, "target's"), media_hwid=SOURCE, now=time.time())  # type: ignore[arg-type]


def test_within_a_media_server_no_ticket_is_needed() -> None:
    """Nobody is named to connect to."""
    order = order_of(job(source_media_hwid=TARGET), OFFICE)
    assert isinstance(order, RunCopy)
    assert (order.source, order.order.ticket) == (None, b"")


def test_a_verification_says_whether_contents_are_read() -> None:
    """As its task has it; a task of an older version reads them."""
    plain = {"task_type": "Verify", "source_uuid": "", "source_media_hwid": "", "source_pool_id": 0}
    for parameters, contents in (({}, True), ({"contents": False}, False), ({"contents": True}, True)):
        order = order_of(job(**plain, parameters=parameters), OFFICE)
        assert isinstance(order, RunVerify)
        assert (order.contents, order.order.ticket) == (contents, b"")


def test_a_cleaning_says_what_is_cleaned_and_what_stays() -> None:
    """As its task and the configuration have it; a task that knows of no others keeps what all have sent."""
    plain = {"task_type": "Clean", "source_uuid": "", "source_media_hwid": "", "source_pool_id": 0, "record_uuid": ""}
    told = {"blocks": False, "storages": True, "zeroing": True, "unfinished": [4]}
    order = order_of(job(**plain, parameters=told), OFFICE)
    bare = order_of(job(**plain), OFFICE)

    assert isinstance(order, RunClean)
    assert (order.pool_id, order.blocks, order.storages, order.zeroing, order.unfinished) == (2, False, True, True, [4])
    assert isinstance(bare, RunClean)
    assert (bare.blocks, bare.storages, bare.zeroing, bare.unfinished) == (True, False, False, None)


PLAIN = {"source_uuid": "", "source_media_hwid": "", "source_pool_id": 0, "executor": "client"}


@pytest.mark.parametrize(("crypto", "asked"), [("nocrypt", ""), ("aes-256-gcm", "aes-256-gcm")])
def test_a_ticket_says_how_a_backup_is_encrypted(crypto: str, asked: str) -> None:
    """The media server takes nothing else in the session, whatever the client wants."""
    order = order_of(job(task_type="Backup", crypto=crypto, **PLAIN), OFFICE)
    assert isinstance(order, RunBackup)
    keys = {SERVER: load_pem_private_key(KEY, None).public_key()}
    ticket = verify(order.order.ticket, keys, client=(CLIENT, "client's"), media_hwid=TARGET, now=time.time())  # type: ignore[arg-type]

    assert (order.crypto, ticket.crypto) == (crypto, asked)


def test_a_client_that_verifies_is_told_where_the_copy_is() -> None:
    """With a ticket to read it; a media server reads its own pool."""
    there = order_of(job(task_type="Verify", **PLAIN), OFFICE)
    here = order_of(job(task_type="Verify", **{**PLAIN, "executor": "media"}), OFFICE)
    assert isinstance(there, RunVerify)
    assert isinstance(here, RunVerify)

    assert there.media == MediaAddress(host="target", port=9993, hwid=TARGET, key="target's")
    assert there.order.ticket
    assert (here.media, here.order.ticket) == (None, b"")


def test_a_restore_names_the_key_of_its_record() -> None:
    """A media server that says otherwise is not believed by the client."""
    order = order_of(job(task_type="Restore", key_id="ab" * 16, **PLAIN), OFFICE)

    assert isinstance(order, RunRestore)
    assert order.key_id == "ab" * 16


def test_a_listing_ticket_lives_for_a_minute() -> None:
    """It lets its client read one record, and nothing else."""
    office = TicketOffice(SERVER, KEY, clock=lambda: 1000.0)
    keys = {SERVER: load_pem_private_key(KEY, None).public_key()}
    data = office.issue_listing((CLIENT, "client's"), TARGET, 2, "1" * 32)
    ticket = verify(data, keys, client=(CLIENT, "client's"), media_hwid=TARGET, now=1059.0)  # type: ignore[arg-type]

    assert (ticket.mode, ticket.pool_id, ticket.record) == ("restore", 2, "1" * 32)
    with pytest.raises(Refused):
        verify(data, keys, client=(CLIENT, "client's"), media_hwid=TARGET, now=1061.0)  # type: ignore[arg-type]
