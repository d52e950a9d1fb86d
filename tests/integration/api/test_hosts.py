"""Live hosts through a real server connection: relayed questions, relayed errors, silence."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from rubackup.domain.errors import Busy, Conflict, Invalid, Unavailable, WireFault
from rubackup.roles import hosts
from rubackup.roles.hosts import RelayHosts
from rubackup.services import ports
from rubackup.services.ports import CopyEntry, DeviceFacts, FolderEntry
from rubackup.wire import framing
from rubackup.wire.control import ControlPeer
from rubackup.wire.messages import (
    Ack,
    AskElements,
    AskStorage,
    BlockDevice,
    BlockDevices,
    CheckDestinations,
    CheckDevice,
    CheckFolder,
    Destination,
    DestinationsChecked,
    DeviceChecked,
    FilesystemListing,
    ListBlockDevices,
    ListFilesystem,
    ListRecord,
    ListResources,
    Message,
    ModuleResource,
    ModuleResources,
    RecordEntry,
    RecordListing,
    Relay,
    Relayed,
    ScanTape,
    StorageNeed,
    TapeDevice,
    TapeDevices,
    TapeElement,
    TapeElements,
)
from support.control import Behaviour, serving
from support.wire import CLIENT, MEDIA, SERVER, Installation

DEVICE = {
    "real_path": "/dev/sdb1", "disk": "/dev/sdb", "kind": "block device", "size_bytes": 9, "signature": "swap space",
    "in_use": "used as swap space",
}  # fmt: skip
Told = Callable[[Relay, Message], Awaitable[Message]]
ENTRY = {
    "path": "/etc/hosts", "type": "file", "size_bytes": 7, "mode": 0o644, "uid": 0, "gid": 0, "user": "root",
    "group": "root", "mtime_ns": 5,
}  # fmt: skip
ROBOT = {"kind": "medium_changer", "scsi_path": "[8:0:0:3]", "device": "/dev/sg4", "serial": "VTL0001"}
ELEMENT = {
    "address": 256, "kind": "drive", "full": True, "accessible": True, "volume_tag": "RB10001L9", "source": 1024,
    "problem": "p", "identifier": "IBM X 1",
}  # fmt: skip


def library(relay: Relay, message: ScanTape | AskElements) -> Message:
    """A media server with one robot, and another that is busy."""
    assert relay.role == "media"
    match message:
        case ScanTape():
            return TapeDevices(devices=[TapeDevice(**ROBOT)])
        case AskElements(device="/dev/sg4", scsi_path="[8:0:0:3]", serial="VTL0001"):
            return TapeElements(robot=TapeDevice(**ROBOT), elements=[TapeElement(**ELEMENT)])
        case AskElements(device="/dev/sg4"):
            raise Conflict("The robot at /dev/sg4 has the serial number VTL0001, not X.")
        case _:
            raise Busy("/dev/sg5 is not ready.")


async def host(relay: Relay, message: Message) -> Message:
    """A client and a media server that answer what the tests ask."""
    match message:
        case ListFilesystem(path="/secret"):
            raise Invalid("/secret: permission denied.")
        case ListFilesystem(path=path) if relay.role == "client" and relay.hwid == CLIENT:
            return FilesystemListing(path=path, entries=[("etc", True, 0), ("motd", False, 9)])
        case CheckDestinations(paths=paths):
            return DestinationsChecked(
                destinations=[Destination(path=path, folder="/", free_bytes=9) for path in paths]
            )
        case ListBlockDevices(path=path):
            device = BlockDevice(name="dm-0", path=f"{path}/mapper/x", type="lvm", size_bytes=7, mount_points=["/x"])
            return BlockDevices(devices=[device])
        case ListResources(resource_type=kind, secret_method=0):
            return ModuleResources(
                resources=[
                    ModuleResource(resource="/", kind=kind, size_bytes=5),
                    ModuleResource(resource="/b", kind=""),
                ]
            )
        case ListRecord() if relay.role == "media":
            return RecordListing(entries=[RecordEntry(**ENTRY)], total=41)
        case ScanTape() | AskElements():
            return library(relay, message)
        case _:
            return storages(relay, message)


def storages(relay: Relay, message: Message) -> Message:
    """A media server that answers what the tests ask of storages."""
    match message:
        case CheckFolder(path="/pool", pool="eeeeeeeeeeeeeeeeeeeeeeeeeeeeeeee"):
            return Ack()
        case AskStorage(pool_id=1, storage_id=2):
            return StorageNeed(in_pool=True, reason="It holds data.")
        case CheckDevice(taken=[("/dev/sda", "/dev/sda")]):
            return DeviceChecked(**DEVICE)
        case _:
            raise Unavailable(f"The {relay.role} {relay.hwid} is not connected.")


@pytest.fixture(autouse=True)
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """However busy this machine is."""
    monkeypatch.setattr(hosts, "DIAL_SECONDS", 60.0)
    monkeypatch.setattr(hosts, "ANSWER_SECONDS", 60.0)


@asynccontextmanager
async def asking(folder: Path, told: Told = host):
    """Hosts behind a server that relays to `told`."""
    installation = Installation(folder)

    async def handle(_peer: ControlPeer, message: Message) -> Message:
        assert isinstance(message, Relay)
        return Relayed(body=framing.encode(await told(message, framing.decode(message.body))))

    async with serving(installation.files("server", SERVER), Behaviour(handle=handle)) as (address, notes):
        # nobody listens at the first address: the second has to be tried
        relay = RelayHosts([("127.0.0.1", 1), address], installation.files("api", "d" * 64))
        try:
            yield relay, notes
        finally:
            await relay.close()


def test_questions_reach_the_host_and_answers_come_back(tmp_path: Path) -> None:
    """One connection serves them all."""

    async def scenario() -> None:
        async with asking(tmp_path) as (relay, notes):
            folder = await relay.list_filesystem(CLIENT, "/")
            places = await relay.check_destinations(CLIENT, ["/a", "/b"])
            assert [(one.path, one.folder, one.free_bytes) for one in places] == [("/a", "/", 9), ("/b", "/", 9)]
            copy = await relay.list_record(MEDIA, 1, "f" * 32, "/etc", 1, 50)
            await relay.check_folder(MEDIA, "/pool", "e" * 32)
            device = await relay.check_device(MEDIA, "/dev/disk/by-id/one", [("/dev/sda", "/dev/sda")])
            assert device == DeviceFacts(**DEVICE)
            need = await relay.storage_need(MEDIA, 1, 2)
            assert (need.in_pool, need.reason) == (True, "It holds data.")
            assert folder == [FolderEntry("etc", is_folder=True, size_bytes=0), FolderEntry("motd", False, 9)]
            assert copy == ([CopyEntry(**ENTRY)], 41)
            assert notes.admitted == [(f"api {'d' * 64}", "127.0.0.1")]

    asyncio.run(scenario())


def test_devices_and_resources_come_as_the_services_know_them(tmp_path: Path) -> None:
    """Sizes that a client does not know are none."""

    async def scenario() -> None:
        async with asking(tmp_path) as (relay, _):
            (device,) = await relay.list_block_devices(CLIENT, "/dev")
            one, two = await relay.list_resources(CLIENT, "File system", 0)
            assert (device.path, device.type, device.mount_points, device.filesystem) == (
                "/dev/mapper/x", "lvm", ["/x"], "",
            )  # fmt: skip
            assert (one.resource, one.kind, one.size_bytes, one.used_bytes) == ("/", "File system", 5, None)
            assert (two.size_bytes, two.used_bytes) == (None, None)

    asyncio.run(scenario())


def test_a_hosts_own_error_arrives_as_it_is(tmp_path: Path) -> None:
    """What the host says is what the caller reads."""

    async def scenario() -> None:
        async with asking(tmp_path) as (relay, _):
            with pytest.raises(Invalid, match="permission denied"):
                await relay.list_filesystem(CLIENT, "/secret")
            with pytest.raises(Unavailable, match=r"e{16} is not connected"):
                await relay.list_filesystem("e" * 16, "/")

    asyncio.run(scenario())


def test_tape_devices_are_told_whole(tmp_path: Path) -> None:
    """Every field of a device and an element arrives; a robot's refusal keeps its class."""

    async def scenario() -> None:
        async with asking(tmp_path) as (relay, _):
            robot = ports.TapeDevice(**ROBOT)
            assert await relay.scan_tape(MEDIA) == [robot]
            asked = await relay.tape_elements(MEDIA, "/dev/sg4", "[8:0:0:3]", "VTL0001")
            assert asked == (robot, [ports.TapeElement(**ELEMENT)])
            with pytest.raises(Conflict, match="VTL0001, not X"):
                await relay.tape_elements(MEDIA, "/dev/sg4", "", "X")
            with pytest.raises(Busy, match="not ready"):
                await relay.tape_elements(MEDIA, "/dev/sg5")

    asyncio.run(scenario())


def test_silence_names_the_host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """No answer in time is Unavailable, and says who did not answer."""
    monkeypatch.setattr(hosts, "ANSWER_SECONDS", 0.5)

    async def never(_relay: Relay, _message: Message) -> Message:
        await asyncio.Event().wait()
        raise AssertionError

    async def scenario() -> None:
        async with asking(tmp_path, never) as (relay, _):
            with pytest.raises(Unavailable, match=CLIENT):
                await relay.list_filesystem(CLIENT, "/")

    asyncio.run(scenario())


def test_an_answer_of_another_kind_is_refused(tmp_path: Path) -> None:
    """Nothing is made of what does not answer the question."""

    async def wrong(_relay: Relay, _message: Message) -> Message:
        return Ack()

    async def scenario() -> None:
        async with asking(tmp_path, wrong) as (relay, _):
            with pytest.raises(WireFault, match="Ack"):
                await relay.list_filesystem(CLIENT, "/")

    asyncio.run(scenario())


def test_a_lost_connection_is_dialled_again(tmp_path: Path) -> None:
    """The next question after the server dropped the connection is answered."""

    async def scenario() -> None:
        async with asking(tmp_path) as (relay, notes):
            await relay.check_folder(MEDIA, "/pool", "e" * 32)
            peer = await notes.peers.get()
            peer.close()
            await relay._peer.wait_closed()
            await relay.check_folder(MEDIA, "/pool", "e" * 32)
            assert len(notes.admitted) == 2

    asyncio.run(scenario())


def test_without_any_server_all_are_named(tmp_path: Path) -> None:
    """The error lists the addresses that were tried."""
    files = Installation(tmp_path).files("api", "d" * 64)

    async def scenario() -> None:
        relay = RelayHosts([("127.0.0.1", 1), ("127.0.0.1", 2)], files)
        with pytest.raises(Unavailable, match=r"127.0.0.1:1, 127.0.0.1:2"):
            await relay.check_folder(MEDIA, "/pool", "e" * 32)

    asyncio.run(scenario())
