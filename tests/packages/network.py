"""Network namespaces as hosts: one bridge in a namespace of its own, an address for each host, nothing beyond."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence

NETWORK = "10.77.0"
INTERFACE = "eth0"


def ip(*arguments: str) -> None:
    """Run ip."""
    subprocess.run(["ip", *arguments], check=True, capture_output=True)


@contextlib.contextmanager
def network(names: Sequence[str]) -> Iterator[dict[str, str]]:
    """Namespaces `<name>`, each with an interface eth0; their addresses by name."""
    hub = f"rbhub{os.getpid()}"
    made: list[str] = []
    try:
        ip("netns", "add", hub)
        made.append(hub)
        ip("-n", hub, "link", "add", "bridge", "type", "bridge")
        ip("-n", hub, "link", "set", "bridge", "up")
        found = {}
        for number, name in enumerate(names, 1):
            found[name] = f"{NETWORK}.{number}"
            ip("netns", "add", name)
            made.append(name)
            ip("-n", hub, "link", "add", f"port{number}", "type", "veth", "peer", "name", INTERFACE, "netns", name)
            ip("-n", hub, "link", "set", f"port{number}", "master", "bridge", "up")
            ip("-n", name, "addr", "add", f"{found[name]}/24", "dev", INTERFACE)
            ip("-n", name, "link", "set", INTERFACE, "up")
            ip("-n", name, "link", "set", "lo", "up")
        yield found
    finally:
        for name in made:
            subprocess.run(["ip", "netns", "del", name], check=False, capture_output=True)
