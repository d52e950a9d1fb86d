"""The address of a network interface, where a setting may name either."""

from __future__ import annotations

import errno
import fcntl
import socket
import struct

from rubackup.domain.errors import Unavailable
from rubackup.roles.settings import ConfigurationFault

_SIOCGIFADDR = 0x8915  # linux/sockios.h
_NAME_BYTES = 16
_NOBODY = frozenset({socket.EAI_NONAME, socket.EAI_NODATA, socket.EAI_ADDRFAMILY})
"""Errors that say that a name has no address, and not that nobody could be asked."""


def address_of(text: str, key: str) -> str:
    """The text itself, or the IPv4 address of the interface that it names.

    ConfigurationFault when this is a name that nobody knows; Unavailable when the interface has none, which may come as
    the network does. So may an address that this host has not yet, and a name server that answers: whoever listens there tells.
    """
    name = text.encode()
    if not 0 < len(name) < _NAME_BYTES:
        return _known(text, key)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            answer = fcntl.ioctl(probe, _SIOCGIFADDR, struct.pack(f"{_NAME_BYTES}s240x", name))
        except OSError as error:
            if error.errno == errno.ENODEV:  # no interface: an address or a name
                return _known(text, key)
            raise Unavailable(f"{key}: the network interface {text} has no IPv4 address.") from error
    return socket.inet_ntoa(answer[20:24])


def own_address(text: str, key: str, *, free: bool = False) -> bool:
    """Whether anybody could listen there on this host as it is now; ConfigurationFault when not, unless `free` and it may come."""
    address = address_of(text, key)
    family = _family(address)
    try:
        found = socket.getaddrinfo(address, 0, family, socket.SOCK_STREAM)
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            try:
                probe.bind(found[0][4])
            except OSError as error:
                if not free or error.errno != errno.EADDRNOTAVAIL:
                    raise
                return False
    except (OSError, UnicodeError) as error:
        raise _foreign(text, key) from error
    return True


def _known(text: str, key: str) -> str:
    try:
        socket.getaddrinfo(text, None, _family(text), socket.SOCK_STREAM)
    except socket.gaierror as error:
        if error.errno in _NOBODY:
            raise _foreign(text, key) from error
    except UnicodeError as error:
        raise _foreign(text, key) from error
    return text


def _family(address: str) -> socket.AddressFamily:
    """As `wire.sockets.listen` has it."""
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def _foreign(text: str, key: str) -> ConfigurationFault:
    there = ", ".join(name for _, name in socket.if_nameindex())
    return ConfigurationFault(
        f"{key} must be a network interface of this host, or an address or name of its own, and {text!r} is none."
        f" Its interfaces: {there or 'none'}. An address that moves between hosts, or comes late: rb_init --free-bind,"
        " free-bind in config.file."
    )
