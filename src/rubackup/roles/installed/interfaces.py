"""The address of a network interface, where a setting may name either."""

from __future__ import annotations

import fcntl
import socket
import struct
from pathlib import Path

from rubackup.roles.settings import ConfigurationFault

_SIOCGIFADDR = 0x8915  # linux/sockios.h
_NAME_BYTES = 16


def address_of(text: str, key: str, interfaces: Path = Path("/sys/class/net")) -> str:
    """The text itself, or the IPv4 address of the interface that it names; ConfigurationFault when that has none."""
    if "/" in text or len(text) >= _NAME_BYTES or not (interfaces / text).exists():
        return text
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        request = struct.pack(f"{_NAME_BYTES}s240x", text.encode())
        try:
            answer = fcntl.ioctl(probe, _SIOCGIFADDR, request)
        except OSError as error:
            raise ConfigurationFault(f"{key}: the network interface {text} has no IPv4 address.") from error
    return socket.inet_ntoa(answer[20:24])
