"""Who gives way when too many keys wait for authorisation, so that nobody keeps a host out by asking before it, or more often.

Whatever is claimed in asking costs nothing, so room is shared by what does: the address from which a key came. The
source with the most keys loses the one that asked longest ago. A newcomer of another source always has its place.
"""

from __future__ import annotations

import datetime as dt
import ipaddress
from collections import defaultdict
from collections.abc import Iterable

import msgspec

IPV6_SOURCE_BITS = 64
"""One host has at least so many addresses of its own."""


class Waiting(msgspec.Struct, frozen=True):
    """A key that waits."""

    id: int
    address: str
    last_seen_at: dt.datetime


def source(address: str) -> str:
    """Where an address belongs to as far as sharing goes: itself, of IPv6 its network of 64 bits."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if isinstance(found, ipaddress.IPv4Address):
        return str(found)
    if found.ipv4_mapped:
        return str(found.ipv4_mapped)
    return str(ipaddress.ip_network((int(found), IPV6_SOURCE_BITS), strict=False))


def of_one_name(rows: Iterable[Waiting], address: str) -> int:
    """The id of the key that gives way to one from this address, all of them under one hardware id.

    There always is one: that of the newcomer's own source when no other has as many as it would.
    """
    others = _by_source(rows)
    mine = others.pop(source(address), [])
    most = max(map(len, others.values()), default=0)
    if mine and len(mine) >= most:
        return _oldest(mine)
    return _oldest(key for keys in others.values() if len(keys) == most for key in keys)


def of_all(rows: Iterable[Waiting], address: str) -> int | None:
    """The id of the key that gives way to one from this address, whatever their hardware ids; None: the newcomer does.

    Many hosts may share an address, as behind one router: they do not drive each other out, so those who came first stay.
    """
    by_source = _by_source(rows)
    busiest = max(by_source.values(), key=len)
    if len(by_source[source(address)]) + 1 >= len(busiest):
        return None
    return _oldest(busiest)


def _by_source(rows: Iterable[Waiting]) -> dict[str, list[Waiting]]:
    found: dict[str, list[Waiting]] = defaultdict(list)
    for row in rows:
        found[source(row.address)].append(row)
    return found


def _oldest(keys: Iterable[Waiting]) -> int:
    return min(keys, key=lambda key: (key.last_seen_at, key.id)).id
