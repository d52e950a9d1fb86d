"""Within the guest: what the media server's code finds of robots and drives, as one line of JSON."""

from __future__ import annotations

import msgspec

from rubackup.domain.errors import RubackupError
from rubackup.media.tape.host import TapeHost
from rubackup.media.tape.scsi import Device, SgTransport
from rubackup.wire.messages import AskElements

host = TapeHost()
devices = host.scan().devices
robot = next(device for device in devices if device.kind == "medium_changer")
drive = next(device for device in devices if device.kind == "tape_drive")
answer = host.elements(AskElements(device=robot.device, scsi_path=robot.scsi_path, serial=robot.serial))
try:
    with SgTransport(drive.device) as transport:
        Device(drive.device, transport, 5).read("READ ELEMENT STATUS", bytes([0xB8, 0x12, *bytes(10)]), 255)
    refusal = ""
except RubackupError as error:
    refusal = error.message
found = {"devices": devices, "elements": answer.elements, "refusal": refusal}
print("=FOUND=" + msgspec.json.encode(found).decode())
