"""What is said to a worker to make it do a task."""

from __future__ import annotations

from rubackup.domain.errors import Invalid
from rubackup.server.client_pools import client_pool
from rubackup.server.tickets import TicketOffice
from rubackup.services.dispatch import Job
from rubackup.wire.messages import (
    MediaAddress,
    Message,
    Order,
    RecordFacts,
    RunBackup,
    RunClean,
    RunCopy,
    RunRestore,
    RunVerify,
)


def media_address(job: Job) -> MediaAddress:
    """Where the job's pool is served."""
    return address(job.data_endpoint, job.media_hwid, job.media_key)


def address(endpoint: str, hwid: str, key: str) -> MediaAddress:
    """Where a media server takes data, and with which key it is authorised."""
    host, _, port = endpoint.rpartition(":")
    return MediaAddress(host=host, port=int(port), hwid=hwid, key=key)


def order_of(job: Job, tickets: TicketOffice) -> Message:
    """The order for a job; Invalid for a type of task that this version cannot run."""
    needs_ticket = job.executor == "client" or job.source_is_elsewhere
    order = Order(
        task_id=job.task_id, fence=job.fence, epoch=job.epoch, ticket=tickets.issue(job) if needs_ticket else b""
    )
    own = client_pool(job.own) if job.own else None
    module = job.parameters.get("module", {})
    common = job.parameters.get("common", {})
    scripts = job.parameters.get("scripts", {})
    match job.task_type:
        case "Backup":
            return RunBackup(
                order=order,
                media=media_address(job),
                record=job.record_uuid,
                parent=job.parent_uuid,
                resource_type=job.resource_type,
                resource=job.resource,
                backup_type=job.backup_type,
                compression=job.compression,
                module_parameters=module,
                common_parameters=common,
                normal_script=scripts.get("normal", ""),
                exception_script=scripts.get("exception", ""),
                crypto=job.crypto,
                own=own,
                rule=job.rule_id,
            )
        case "Restore":
            return RunRestore(
                order=order,
                media=media_address(job),
                record=job.record_uuid,
                resource_type=job.resource_type,
                resource=job.resource,
                destination=job.parameters.get("destination", ""),
                in_place=job.parameters.get("in_place", False),
                paths=job.parameters.get("paths", []),
                overwrite=job.parameters.get("overwrite", "if_changed"),
                module_parameters=module,
                common_parameters=common,
                restore_script=scripts.get("restore", ""),
                key_id=job.key_id,
                own=own,
                rule=job.rule_id,
            )
        case "Verify":
            contents = job.parameters.get("contents", True)
            media = media_address(job) if job.executor == "client" else None
            told = job.parameters.get("facts")
            facts = RecordFacts(**told) if told else None
            return RunVerify(
                order=order, pool_id=job.pool_id, record=job.record_uuid, contents=contents, media=media, facts=facts,
                own=own,
            )  # fmt: skip
        case "Clean":
            return RunClean(
                order=order,
                pool_id=job.pool_id,
                blocks=job.parameters.get("blocks", True),
                storages=job.parameters.get("storages", False),
                zeroing=job.parameters.get("zeroing", False),
                unfinished=job.parameters.get("unfinished"),
                media=media_address(job) if own else None,
                own=own,
            )
        case "Copy" | "Move":
            return RunCopy(
                order=order,
                pool_id=job.pool_id,
                record=job.record_uuid,
                parent=job.parent_uuid,
                owner=job.client_hwid,
                source_pool_id=job.source_pool_id,
                source_record=job.source_uuid,
                source=address(job.source_endpoint, job.source_media_hwid, job.source_media_key)
                if job.source_is_elsewhere
                else None,
            )
    raise Invalid(f"Tasks of type {job.task_type} cannot be run by this version.")
