"""What a media server answers when it is asked for its robots and drives."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path

from rubackup.domain.errors import Busy, Conflict, Invalid, NotFound
from rubackup.media.tape.elements import read_elements
from rubackup.media.tape.scsi import Device, SgTransport, Transport
from rubackup.media.tape.sysfs import scan
from rubackup.wire.messages import AskElements, TapeDevice, TapeDevices, TapeElements

ROBOT_SECONDS = 8.0
"""How long a robot may take in all; who asks waits for 10 s."""
ROBOTS_AT_ONCE = 8
_SG_PATH = re.compile(r"/dev/sg\d{1,6}")

Open = Callable[[str], AbstractContextManager[Transport]]


class TapeHost:
    """The tape devices below a root folder. Thread-safe; a robot is asked by one caller at a time."""

    def __init__(self, root: Path = Path("/"), open_device: Open = SgTransport) -> None:
        self._root = root
        self._open = open_device
        self._lock = threading.Lock()
        self._asked: set[str] = set()

    def scan(self) -> TapeDevices:
        """Every robot and drive that the kernel knows."""
        return TapeDevices(devices=scan(self._root))

    def elements(self, order: AskElements) -> TapeElements:
        """The robot at a device, and its elements.

        NotFound when there is no robot at this device, Conflict when another robot is there than the
        order means, Busy and Unavailable when it does not answer.
        """
        robot = self._robot(order)
        with self._lock:
            if robot.device in self._asked or len(self._asked) >= ROBOTS_AT_ONCE:
                raise Busy(f"{robot.device} is asked by somebody else just now.")
            self._asked.add(robot.device)
        try:
            path = str(self._root / robot.device.lstrip("/"))
            with self._open(path) as transport:
                found = read_elements(Device(robot.device, transport, ROBOT_SECONDS))
        finally:
            with self._lock:
                self._asked.discard(robot.device)
        return TapeElements(robot=robot, elements=found)

    def _robot(self, order: AskElements) -> TapeDevice:
        """The robot that the order means: only what the kernel calls a robot is ever opened."""
        if not _SG_PATH.fullmatch(order.device):
            raise Invalid("The device must be a SCSI generic device such as /dev/sg4.")
        found = {device.device: device for device in scan(self._root) if device.kind == "medium_changer"}
        robot = found.get(order.device)
        if robot is None:
            here = ", ".join(found) or "none"
            raise NotFound(f"The media server has no robot at {order.device}; its robots: {here}.")
        if order.scsi_path and order.scsi_path != robot.scsi_path:
            raise Conflict(f"The robot at {robot.device} has the address {robot.scsi_path}, not {order.scsi_path}.")
        if order.serial and order.serial != robot.serial:
            shown = robot.serial or "none"
            raise Conflict(f"The robot at {robot.device} has the serial number {shown}, not {order.serial}.")
        return robot
