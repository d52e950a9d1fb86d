"""Live hosts for the API: one connection to a server, which relays each question. Design section 2.

The API never dials a client or media server itself. Adapter of `services.ports.Hosts`.
"""

from __future__ import annotations

import asyncio
import logging
import socket
from collections.abc import Awaitable, Callable, Sequence
from typing import TypeVar

import msgspec
from cryptography import x509

from rubackup import __version__
from rubackup.domain.errors import Refused, RubackupError, Unavailable, WireFault
from rubackup.services import ports
from rubackup.services.ports import (
    BucketPlace,
    BucketReport,
    CopyEntry,
    Destination,
    Device,
    DeviceFacts,
    FilePart,
    FolderEntry,
    Resource,
    TapeDevice,
    TapeElement,
)
from rubackup.wire import framing, pki
from rubackup.wire.certificates import load_certificates
from rubackup.wire.control import ControlPeer, dial_control
from rubackup.wire.messages import (
    PROTOCOL_VERSION,
    Ack,
    AskElements,
    AskHeldPools,
    AskRecords,
    AskStorage,
    BlockDevices,
    BucketConfig,
    BucketProbed,
    CheckDestinations,
    CheckDevice,
    CheckFolder,
    DestinationsChecked,
    DeviceChecked,
    DeviceFormatted,
    FilesystemListing,
    FormatDevice,
    HeldPools,
    Hello,
    ListBlockDevices,
    ListEncrypted,
    ListFilesystem,
    ListRecord,
    ListResources,
    Message,
    ModuleResources,
    PoolRecords,
    ProbeBucket,
    ReadEncryptedFile,
    ReadRecordFile,
    RecordFilePart,
    RecordListing,
    Relay,
    Relayed,
    ScanTape,
    StorageNeed,
    TapeDevices,
    TapeElements,
)

log = logging.getLogger(__name__)

ANSWER_SECONDS = 10.0
"""Design section 2: no answer in 10 s is a 503 that names the host."""
DIAL_SECONDS = 3.0
"""A server that is silent for so long is passed over, so that the next one is still in time."""

M = TypeVar("M", bound=Message)


class RelayHosts:
    """Asks hosts through whichever server answers, the first of the list preferred."""

    def __init__(
        self,
        servers: Sequence[tuple[str, int]],
        files: pki.TlsFiles,
        note: Callable[[x509.Certificate], Awaitable[object]] | None = None,
    ) -> None:
        """`note` is given the certificate before servers are dialled with it."""
        self._note = note
        self._servers = tuple(servers)
        self._files = files
        self._peer: ControlPeer | None = None
        self._dialling = asyncio.Lock()

    async def list_filesystem(self, client_hwid: str, path: str) -> list[FolderEntry]:
        """Entries of a folder of a client."""
        answer = await self._request("client", client_hwid, ListFilesystem(path=path), FilesystemListing)
        return [FolderEntry(name, is_folder, size) for name, is_folder, size in answer.entries]

    async def check_destinations(self, client_hwid: str, paths: Sequence[str]) -> list[Destination]:
        """What a client says of folders to restore below, in their order."""
        answer = await self._request("client", client_hwid, CheckDestinations(paths=list(paths)), DestinationsChecked)
        return [Destination(**msgspec.structs.asdict(one)) for one in answer.destinations]

    async def list_block_devices(self, client_hwid: str, path: str) -> list[Device]:
        """Block devices of a client at or below `path`."""
        answer = await self._request("client", client_hwid, ListBlockDevices(path=path), BlockDevices)
        return [
            Device(
                name=one.name,
                path=one.path,
                type=one.type,
                size_bytes=one.size_bytes,
                filesystem=one.filesystem,
                mount_points=one.mount_points,
                read_only=one.read_only,
            )
            for one in answer.devices
        ]

    async def list_resources(self, client_hwid: str, resource_type: str, secret_method: int) -> list[Resource]:
        """What a module of a client can back up."""
        asked = ListResources(resource_type=resource_type, secret_method=secret_method)
        answer = await self._request("client", client_hwid, asked, ModuleResources)
        return [
            Resource(
                resource=one.resource,
                kind=one.kind,
                size_bytes=one.size_bytes if one.size_bytes >= 0 else None,
                used_bytes=one.used_bytes if one.used_bytes >= 0 else None,
            )
            for one in answer.resources
        ]

    async def list_record(
        self, media_hwid: str, pool_id: int, record_uuid: str, path: str, page: int, limit: int, kept: str = ""
    ) -> tuple[list[CopyEntry], int]:
        """A page of a folder of a copy, and how many entries the folder has."""
        asked = ListRecord(pool_id=pool_id, record=record_uuid, path=path, page=page, limit=limit, kept=kept)
        return _listed(await self._request("media", media_hwid, asked, RecordListing))

    async def list_encrypted(
        self, client_hwid: str, pool_id: int, record_uuid: str, path: str, page: int, limit: int
    ) -> tuple[list[CopyEntry], int]:
        """As `list_record`, of the client that has the copy's key."""
        asked = ListEncrypted(pool_id=pool_id, record=record_uuid, path=path, page=page, limit=limit)
        return _listed(await self._request("client", client_hwid, asked, RecordListing))

    async def read_file(
        self, media_hwid: str, pool_id: int, record_uuid: str, path: str, offset: int, length: int
    ) -> FilePart:
        """A range of one regular file of a copy."""
        asked = ReadRecordFile(pool_id=pool_id, record=record_uuid, path=path, offset=offset, length=length, holes=True)
        answer = await self._request("media", media_hwid, asked, RecordFilePart)
        return FilePart(**msgspec.structs.asdict(answer))

    async def read_encrypted_file(
        self, client_hwid: str, pool_id: int, record_uuid: str, path: str, offset: int, length: int
    ) -> FilePart:
        """As `read_file`, of the client that has the copy's key."""
        asked = ReadEncryptedFile(
            pool_id=pool_id, record=record_uuid, path=path, offset=offset, length=length, holes=True
        )
        answer = await self._request("client", client_hwid, asked, RecordFilePart)
        return FilePart(**msgspec.structs.asdict(answer))

    async def check_folder(self, media_hwid: str, path: str, pool_uuid: str, *, existing: bool = False) -> None:
        """Return when the folder can become a storage of the pool."""
        await self._request("media", media_hwid, CheckFolder(path=path, pool=pool_uuid, existing=existing), Ack)

    async def pool_records(self, media_hwid: str, pool_id: int, kept_of: str = "") -> ports.PoolRecordsFound:
        """Every record that a pool has, by uuid; asked page by page."""
        found: list[ports.PoolRecord] = []
        away: dict[str, None] = {}
        while True:
            asked = AskRecords(pool_id=pool_id, after=found[-1].record if found else "", kept_of=kept_of)
            answer = await self._request("media", media_hwid, asked, PoolRecords)
            found += _records(answer)
            away |= dict.fromkeys(answer.away)
            if not answer.more or not answer.records:
                return ports.PoolRecordsFound(records=found, away=list(away))

    async def pool_page(self, media_hwid: str, pool_id: int, page: ports.RecordsPage) -> ports.PoolRecordsFound:
        """At most so many records of a pool; one question."""
        asked = AskRecords(pool_id=pool_id, **msgspec.structs.asdict(page))
        answer = await self._request("media", media_hwid, asked, PoolRecords)
        return ports.PoolRecordsFound(records=_records(answer), more=answer.more, away=answer.away)

    async def storage_need(self, media_hwid: str, pool_id: int, storage_id: int) -> ports.StorageNeed:
        """Whether a pool can do without one of its folders."""
        asked = AskStorage(pool_id=pool_id, storage_id=storage_id)
        answer = await self._request("media", media_hwid, asked, StorageNeed)
        return ports.StorageNeed(in_pool=answer.in_pool, reason=answer.reason)

    async def held_pools(self, media_hwid: str) -> list[ports.HeldPool]:
        """Pools that a media server has served and that it was not told of."""
        answer = await self._request("media", media_hwid, AskHeldPools(), HeldPools)
        return msgspec.convert(answer.pools, list[ports.HeldPool], from_attributes=True)

    async def scan_tape(self, media_hwid: str) -> list[TapeDevice]:
        """The robots and tape drives of a media server."""
        answer = await self._request("media", media_hwid, ScanTape(), TapeDevices)
        return msgspec.convert(answer.devices, list[TapeDevice], from_attributes=True)

    async def tape_elements(
        self, media_hwid: str, device: str, scsi_path: str = "", serial: str = ""
    ) -> tuple[TapeDevice, list[TapeElement]]:
        """The robot at a device, and its elements by address."""
        asked = AskElements(device=device, scsi_path=scsi_path, serial=serial)
        answer = await self._request("media", media_hwid, asked, TapeElements)
        robot = msgspec.convert(answer.robot, TapeDevice, from_attributes=True)
        return robot, msgspec.convert(answer.elements, list[TapeElement], from_attributes=True)

    async def check_device(self, media_hwid: str, path: str, taken: Sequence[tuple[str, str]]) -> DeviceFacts:
        """What the device of a media server is."""
        asked = CheckDevice(path=path, taken=list(taken))
        answer = await self._request("media", media_hwid, asked, DeviceChecked)
        return DeviceFacts(
            real_path=answer.real_path,
            disk=answer.disk,
            kind=answer.kind,
            size_bytes=answer.size_bytes,
            signature=answer.signature,
            in_use=answer.in_use,
            same_as=answer.same_as,
            pool=answer.pool,
        )

    async def format_device(
        self, media_hwid: str, path: str, taken: Sequence[tuple[str, str]], pool_uuid: str, *, overwrite: bool
    ) -> str:
        """Make a device an empty storage of a pool."""
        asked = FormatDevice(path=path, pool=pool_uuid, taken=list(taken), overwrite=overwrite)
        return (await self._request("media", media_hwid, asked, DeviceFormatted)).uuid

    async def probe_bucket(self, media_hwid: str, pool_uuid: str, bucket: BucketPlace) -> BucketReport:
        """What a bucket can do."""
        asked = ProbeBucket(pool=pool_uuid, bucket=msgspec.convert(bucket, BucketConfig, from_attributes=True))
        answer = await self._request("media", media_hwid, asked, BucketProbed)
        return msgspec.convert(answer, BucketReport, from_attributes=True)

    async def close(self) -> None:
        """End the connection."""
        if self._peer is not None:
            self._peer.close()
            await self._peer.wait_closed()

    async def _request(self, role: str, hwid: str, message: Message, wanted: type[M]) -> M:
        """The host's answer; its own error is raised as it is."""
        try:
            async with asyncio.timeout(ANSWER_SECONDS):
                peer = await self._server()
                # our limit is the one that acts, as its error names the host and not the server
                relayed = await peer.call(Relay(role=role, hwid=hwid, body=framing.encode(message)), ANSWER_SECONDS + 1)
        except TimeoutError as error:
            raise Unavailable(f"The {role} {hwid} did not answer in {ANSWER_SECONDS:g} s.") from error
        if not isinstance(relayed, Relayed):
            raise WireFault(f"The server relayed {type(relayed).__name__}.")
        answer = framing.decode(relayed.body)
        if not isinstance(answer, wanted):
            raise WireFault(f"The {role} {hwid} answered by {type(answer).__name__}.")
        return answer

    async def _server(self) -> ControlPeer:
        """A living connection to a server, dialled when there is none."""
        async with self._dialling:
            if self._peer is None or self._peer.is_closed:
                self._peer = await self._dial()
            return self._peer

    async def _dial(self) -> ControlPeer:
        hello = Hello(version=PROTOCOL_VERSION, hostname=socket.gethostname(), package_version=__version__)
        context = pki.client_context(self._files)
        await self._say_who()
        for host, port in self._servers:
            try:
                async with asyncio.timeout(DIAL_SECONDS):
                    peer, welcome = await dial_control(host, port, context, hello, _refuse)
            except TimeoutError:
                log.warning("server %s:%d does not answer in %g s", host, port, DIAL_SECONDS)
                continue
            except RubackupError as error:
                log.warning("server %s:%d cannot be asked: %s", host, port, error.message)
                continue
            log.info("connected to server %s (%s:%d)", welcome.hostname, host, port)
            return peer
        names = ", ".join(f"{host}:{port}" for host, port in self._servers)
        raise Unavailable(f"No server answers at {names}.")

    async def _say_who(self) -> None:
        """A catalogue that cannot be told now costs no connection: servers may know of this certificate already."""
        if self._note is None:
            return
        try:
            leaf = load_certificates(self._files.chain.read_bytes())[0]
            async with asyncio.timeout(DIAL_SECONDS):
                await self._note(leaf)
        except (RubackupError, OSError, TimeoutError) as error:
            log.warning("the certificate of this API could not be noted: %s", error or "no answer")


async def _refuse(_peer: ControlPeer, message: Message) -> Message:
    """A server has nothing to ask of the API."""
    raise Refused(f"The API does not answer {type(message).__name__}.")


def _records(answer: PoolRecords) -> list[ports.PoolRecord]:
    return [ports.PoolRecord(**msgspec.structs.asdict(one)) for one in answer.records]


def _listed(answer: RecordListing) -> tuple[list[CopyEntry], int]:
    entries = [
        CopyEntry(
            path=entry.path,
            type=entry.type,
            size_bytes=entry.size_bytes,
            mode=entry.mode,
            uid=entry.uid,
            gid=entry.gid,
            user=entry.user,
            group=entry.group,
            mtime_ns=entry.mtime_ns,
            target=entry.target,
        )
        for entry in answer.entries
    ]
    return entries, answer.total
