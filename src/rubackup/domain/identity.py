"""Names of hosts: hardware ids and the guide's `host (hwid)` form."""

from __future__ import annotations

import ipaddress
import re

from rubackup.domain.errors import Invalid

CLIENT_HWID = re.compile(r"[0-9a-f]{16}")
"""A client's hardware id: 16 hex digits (guide, all examples)."""

SERVER_HWID = re.compile(r"[0-9a-f]{64}")
"""A server's or media server's hardware id: 64 hex digits."""

KEY_ID = re.compile(r"[0-9a-f]{32}")
"""Which key of a client encrypted a copy: 32 hex digits that say nothing of the key."""

HOSTNAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9._-]{0,252})")

_LABEL = re.compile(r"\s*(?P<host>.*?)\s*\((?P<hwid>[0-9a-fA-F]{16})\)\s*")


def client_label(hostname: str, hwid: str) -> str:
    """A client as the guide writes it: `rubackup-client (525a99154f3505a2)`."""
    return f"{hostname} ({hwid})"


def parse_client_label(text: str, field: str) -> tuple[str, str]:
    """The hostname and hwid of a client label; Invalid names `field` when it has another form."""
    match = _LABEL.fullmatch(text)
    if match is None:
        raise Invalid(fields={field: "must have the form 'hostname (hwid)', the hwid being 16 hex digits."})
    return match["host"], match["hwid"].lower()


def is_host(text: str) -> bool:
    """Whether a text can be the name of a host, or is an address; neither has a port."""
    if HOSTNAME.fullmatch(text):
        return True
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True
