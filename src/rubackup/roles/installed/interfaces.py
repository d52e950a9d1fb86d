"""The address of a network interface, where a setting may name either."""

from __future__ import annotations

import errno
import fcntl
import socket
import struct

from rubackup.roles.settings import ConfigurationFault

_SIOCGIFADDR = 0x8915  # linux/sockios.h
_NAME_BYTES = 16


def address_of(text: str, key: str) -> str:
    """The text itself, or the IPv4 address of the interface that it names; ConfigurationFault when that has none."""
    name = text.encode()
    if not 0 < len(name) < _NAME_BYTES:
        return text
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            answer = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack(f"{_NAME_BYTES}s240x", name))
        except OSError as error:
            if error.errno == errno.ENODEV:  # no interface: an address or a name
                return text
            raise ConfigurationFault(f"{key}: the network interface {text} has no IPv4 address.") from error
    return socket.inet_ntoa(answer[20:24])
