"""The client's side of the control connection: backups, restores, folder listings.

Each task runs in a thread of the TaskRunner; its data goes straight to the media server.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import os
from collections.abc import Iterator, Mapping
from typing import Any

from rubackup.agent.record_listing import list_folder as list_folder_of_record
from rubackup.agent.tasks import Follow, Outcome, RunningTask, TaskRunner
from rubackup.chunkstore import ciphers
from rubackup.chunkstore.group import Sealer
from rubackup.client import scripts
from rubackup.client.bandwidth import Bandwidth, Way
from rubackup.client.channels import BackupOverWire, RestoreOverWire, connect
from rubackup.client.contents import ContentCheck
from rubackup.client.destinations import check_destinations
from rubackup.client.devices import list_block_devices
from rubackup.client.encrypted import open_manifest
from rubackup.client.keys import KeyStore
from rubackup.client.own_channels import OwnRestore
from rubackup.client.own_pools import NoFolder
from rubackup.client.own_tasks import OwnTasks
from rubackup.client.ports import BackupChannel, BackupJob, BackupSummary, Module, RestoreChannel, RestoreJob
from rubackup.client.record_file import EncryptedFiles
from rubackup.domain.errors import Corrupt, Invalid, RubackupError, Stopped, StorageFault, StorageFull, WireFault
from rubackup.domain.lookups import Crypto
from rubackup.wire import pki
from rubackup.wire.control import ControlPeer
from rubackup.wire.messages import (
    Ack,
    CheckDestinations,
    ClientPool,
    ConfigureClientPools,
    DropRecord,
    FilesystemListing,
    ListBlockDevices,
    ListEncrypted,
    ListFilesystem,
    ListResources,
    LockRecord,
    MediaAddress,
    Message,
    ModuleResource,
    ModuleResources,
    ReadEncryptedFile,
    RecordListing,
    RunBackup,
    RunClean,
    RunRestore,
    RunVerify,
    SetBandwidth,
    Welcome,
)

log = logging.getLogger(__name__)

NAMED_DAMAGE = 1000
"""Damaged files that the report of a verification names; further ones are lines of the task log only."""
LISTING_LIMIT = 10_000
"""Entries of a live folder in one answer."""


class ClientAgent:
    """Answers the servers' orders with the modules of this host."""

    def __init__(
        self,
        hwid: str,
        files: pki.TlsFiles,
        modules: Mapping[str, Module],
        runner: TaskRunner,
        keys: KeyStore,
        own: OwnTasks,
    ) -> None:
        self._own = own
        self._keys = keys
        self._bandwidth = Bandwidth()
        self._encrypted_files = EncryptedFiles(lambda: pki.client_context(files), keys)
        self._hwid = hwid
        self._files = files
        self._modules = modules
        self._runner = runner

    def close(self) -> None:
        """End what is kept open between two questions."""
        self._encrypted_files.close()

    async def connected(self, _peer: ControlPeer, welcome: Welcome) -> None:
        """Nothing to send: the server knows what runs from the reports."""
        log.debug("server %s leads in epoch %d", welcome.hostname, welcome.epoch)

    async def handle(self, _peer: ControlPeer, message: Message) -> Message:
        """The answer to one order."""
        match message:
            case RunBackup():
                module = self._module(message.resource_type)
                follow = _after_backup(message)
                self._runner.start(message.order, lambda task: self._copy(module, message, task), follow)
                return Ack()
            case RunRestore():
                module = self._module(message.resource_type)
                follow = _after_restore(message)
                self._runner.start(message.order, lambda task: self._put_back(module, message, task), follow)
                return Ack()
            case RunVerify(own=ClientPool() as own):
                self._runner.start(message.order, lambda task: self._verify_own(own, message, task))
                return Ack()
            case RunVerify() if message.media is not None:
                self._runner.start(message.order, lambda task: self._verify(message, task))
                return Ack()
            case SetBandwidth():
                self._runner.check_epoch(message.epoch)
                self._bandwidth.set(message)
                return Ack()
            case RunClean(own=ClientPool() as cleaned):
                self._runner.start(message.order, lambda task: self._own.clean(cleaned, message, task))
                return Ack()
            case ConfigureClientPools() | DropRecord() | LockRecord():
                self._runner.check_epoch(message.epoch)
                return await self._own.answer(message)
        return await self._answer(message)

    async def _answer(self, message: Message) -> Message:
        """The answer to a question."""
        match message:
            case ListEncrypted() if message.media is not None:
                return await asyncio.to_thread(self._list_encrypted, message, message.media)
            case ReadEncryptedFile() if message.media is not None:
                return await asyncio.to_thread(self._encrypted_files.read, message, message.media)
            case ListFilesystem():
                return await asyncio.to_thread(list_folder, message.path)
            case CheckDestinations():
                return await asyncio.to_thread(check_destinations, message.paths)
            case ListBlockDevices():
                return await asyncio.to_thread(list_block_devices, message.path)
            case ListResources():
                return await asyncio.to_thread(self._resources, message)
        raise WireFault("A client does not take this order.")

    def _module(self, resource_type: str) -> Module:
        module = self._modules.get(resource_type)
        if module is None:
            has = ", ".join(self._modules)
            raise Invalid(f"This client cannot back up resources of type {resource_type}; it has: {has}.")
        return module

    def _resources(self, message: ListResources) -> ModuleResources:
        if message.secret_method:
            raise Invalid("Modules take what they need from the client's own configuration only: secret_method 0.")
        found = self._module(message.resource_type).resources()
        return ModuleResources(
            resources=[
                ModuleResource(
                    resource=one.resource, kind=one.kind, size_bytes=one.size_bytes, used_bytes=one.used_bytes
                )
                for one in found
            ]
        )

    def _sealer(self, crypto: str, task: RunningTask) -> Sealer | None:
        """What encrypts a copy; None for one in clear. Invalid when this host cannot run the cipher."""
        if crypto == Crypto.NOCRYPT.label:
            return None
        suite = ciphers.usable(ciphers.by_name(crypto))
        if not self._keys.path.exists():
            task.log("warning", "A key for encrypted copies is made: print it with `rubackup client key sheet`.")
        return Sealer(self._keys.current(), suite)

    def _copy(self, module: Module, message: RunBackup, task: RunningTask) -> Outcome:
        sealer = self._sealer(message.crypto, task)
        job = BackupJob(
            record=message.record,
            parent=message.parent,
            client_hwid=self._hwid,
            resource=message.resource,
            backup_type=message.backup_type,
            compression=message.compression,
            module_parameters=message.module_parameters,
            common_parameters=message.common_parameters,
            sealer=sealer,
        )
        try:
            summary = self._send(module, job, message, task)
        except (StorageFull, NoFolder) as error:
            return Outcome("full", str(error))
        except StorageFault as error:  # the media server's: another folder, or another pool, may take the copy
            return Outcome("storage", str(error))
        failed = f", {summary.files_failed} could not be read" if summary.files_failed else ""
        return Outcome(
            "done",
            f"{summary.files} files{failed}",
            files_done=summary.files,
            files_failed=summary.files_failed,
            bytes_done=summary.size_bytes,
        )

    def _send(self, module: Module, job: BackupJob, message: RunBackup, task: RunningTask) -> BackupSummary:
        with self._writing(message, task, job.sealer.key.id.hex() if job.sealer else "") as channel:
            try:
                return module.backup(job, channel, task)
            except Stopped:
                # What was sent stays: the next attempt finds it stored and does not send it again.
                channel.checkpoint()
                raise

    @contextlib.contextmanager
    def _writing(self, message: RunBackup, task: RunningTask, key_id: str) -> Iterator[BackupChannel]:
        if message.own is not None:
            with self._own.backup(message.own, message, task, key_id) as own:
                yield own
            return
        with self._session(message, task, functools.partial(BackupOverWire, key_id=key_id), "backup") as channel:
            yield channel

    @contextlib.contextmanager
    def _reading(self, message: RunRestore, task: RunningTask) -> Iterator[RestoreChannel]:
        if message.own is not None:
            yield self._own.restore(message.own, message.record, message.media, lambda: task.ticket)
            return
        with self._session(message, task, RestoreOverWire) as channel:
            yield channel

    def _put_back(self, module: Module, message: RunRestore, task: RunningTask) -> Outcome:
        job = RestoreJob(
            record=message.record,
            task_id=task.task_id,
            client_hwid=self._hwid,
            resource=message.resource,
            destination=message.destination,
            in_place=message.in_place,
            paths=tuple(message.paths),
            overwrite=message.overwrite,
            module_parameters=message.module_parameters,
            common_parameters=message.common_parameters,
            keys=self._keys,
        )
        with self._reading(message, task) as channel:
            _check_key(channel, message.key_id)
            summary = module.restore(job, channel, task)
        text = f"{summary.files} files restored"
        if summary.files_failed:
            text = f"{summary.files_failed} of {summary.files + summary.files_failed} files could not be restored"
        return Outcome(
            "error" if summary.files_failed else "done",
            text,
            files_done=summary.files,
            files_failed=summary.files_failed,
            bytes_done=summary.size_bytes,
        )

    def _verify_own(self, own: ClientPool, message: RunVerify, task: RunningTask) -> Outcome:
        """Verify a copy in this client's own pool: what is stored, and the contents of an encrypted one with its key."""
        stored = self._own.verify(own, message, task)
        if stored.outcome != "done" or not message.contents:
            return stored
        channel = self._own.restore(own, message.record, message.media, lambda: task.ticket)
        return self._check_contents(channel, task) if channel.key_id else stored

    def _verify(self, message: RunVerify, task: RunningTask) -> Outcome:
        """Read all of an encrypted copy again, with its key."""
        with self._session(message, task, RestoreOverWire) as channel:
            _check_encrypted(channel)
            return self._check_contents(channel, task)

    def _check_contents(self, channel: RestoreChannel, task: RunningTask) -> Outcome:
        try:
            found = ContentCheck(
                channel,
                open_manifest(channel, self._keys),
                self._keys,
                lambda done, total: task.progress(0, 0, done, total, 0),
                task.check,
            )
            damaged = found.run()
        except Corrupt as error:
            return Outcome("error", str(error), damaged=(f"the whole copy: {error}",))
        for name in damaged[NAMED_DAMAGE:]:
            task.log("error", f"Damaged: {name}")
        return Outcome(
            "error" if damaged else "done",
            f"{len(damaged)} damaged files." if damaged else "Every chunk was read again with its key and is whole.",
            bytes_done=found.bytes_read,
            damaged=tuple(damaged[:NAMED_DAMAGE]),
        )

    def _list_encrypted(self, message: ListEncrypted, media: MediaAddress) -> RecordListing:
        if message.own is not None:
            return self._list(self._own.restore(message.own, message.record, media, lambda: message.ticket), message)
        connection = connect(media, pki.client_context(self._files))
        try:
            channel = RestoreOverWire(connection, lambda: message.ticket)
            found = self._list(channel, message)
            with contextlib.suppress(RubackupError, OSError):
                channel.close()  # it was read: a lost farewell changes nothing
            return found
        finally:
            connection.close()

    def _list(self, channel: RestoreOverWire | OwnRestore, message: ListEncrypted) -> RecordListing:
        _check_encrypted(channel)
        reader = open_manifest(channel, self._keys)
        return list_folder_of_record(reader, message.path, message.page, message.limit)

    @contextlib.contextmanager
    def _session(
        self, message: RunBackup | RunRestore | RunVerify, task: RunningTask, kind: Any, way: Way = "restore"
    ) -> Iterator[Any]:
        """A data session of the kind; it is closed in order when the task ends well, cut otherwise."""
        if message.media is None:
            raise WireFault("The order does not say where the copy is.")
        rule = 0 if isinstance(message, RunVerify) else message.rule
        connection = connect(message.media, pki.client_context(self._files))
        try:
            with self._bandwidth.line(way, rule, task.is_stopped) as line:
                if way == "backup":
                    connection.sending = line
                else:
                    connection.receiving = line
                channel = kind(connection, lambda: task.ticket)
                yield channel
                with contextlib.suppress(RubackupError, OSError):
                    channel.close()  # the record is sealed or read: a lost farewell changes nothing
        finally:
            connection.close()


def _check_key(channel: RestoreChannel, key_id: str) -> None:
    """Corrupt when the media server gives a copy of another key, or in clear: names and contents could be anybody's."""
    if channel.key_id != key_id:
        raise Corrupt(
            f"The media server says that the copy is {_encrypted(channel.key_id)}; the catalogue says {_encrypted(key_id)}."
        )


def _check_encrypted(channel: RestoreChannel) -> None:
    """Corrupt for a copy in clear, which is not a client's to read for the server."""
    if not channel.key_id:
        raise Corrupt("The copy is not encrypted.")


def _encrypted(key_id: str) -> str:
    return f"encrypted with the key {key_id}" if key_id else "in clear"


def _after_backup(message: RunBackup) -> Follow | None:
    """The rule's scripts for a backup that has ended, if there are any."""
    normal, exception = message.normal_script, message.exception_script
    if not normal and not exception:
        return None
    return lambda task, outcome: scripts.after_backup(
        task, outcome, message.record, message.resource, normal, exception
    )


def _after_restore(message: RunRestore) -> Follow | None:
    """The rule's script for a restore that has ended, if there is one."""
    script = message.restore_script
    if not script:
        return None
    return lambda task, outcome: scripts.after_restore(task, outcome, message.record, message.resource, script)


def list_folder(path: str) -> FilesystemListing:
    """The entries of a live folder, folders first, each part by name; Invalid when it cannot be read."""
    if not path.startswith("/") or "\0" in path:
        raise Invalid("The path must be absolute.")
    entries = []
    try:
        with os.scandir(os.fsencode(path)) as found:
            for entry in found:
                is_folder = entry.is_dir(follow_symlinks=False)
                size = 0 if is_folder else entry.stat(follow_symlinks=False).st_size
                name = entry.name.decode("utf-8", "backslashreplace")
                entries.append((name, is_folder, size))
    except OSError as error:
        raise Invalid(f"The folder cannot be listed: {error.strerror}.") from error
    entries.sort(key=lambda item: (not item[1], item[0]))
    return FilesystemListing(path=path, entries=entries[:LISTING_LIMIT], truncated=len(entries) > LISTING_LIMIT)
