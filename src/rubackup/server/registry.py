"""The hosts that are connected to this server, by role and hardware id."""

from __future__ import annotations

from rubackup.domain.errors import Unavailable
from rubackup.wire.control import ControlPeer


class Registry:
    """At most one connection a host: a newer one ends the older."""

    def __init__(self) -> None:
        self._peers: dict[tuple[str, str], ControlPeer] = {}
        self._noted: set[ControlPeer] = set()
        self._apis: set[ControlPeer] = set()

    def add_api(self, peer: ControlPeer) -> None:
        """Enter a connection of an API, each of whose workers has one."""
        self._apis.add(peer)

    def remove_api(self, peer: ControlPeer) -> None:
        """Take it out."""
        self._apis.discard(peer)

    def everyone(self) -> list[ControlPeer]:
        """Every connection, of hosts and of APIs."""
        return [*self._peers.values(), *self._apis]

    def add(self, peer: ControlPeer) -> None:
        """Enter a host."""
        key = (peer.identity.role, peer.identity.hwid)
        older = self._peers.get(key)
        self._peers[key] = peer
        if older is not None:
            older.close()

    def noted(self, peer: ControlPeer) -> None:
        """The catalogue has it that the host is here."""
        if self.find(peer.identity.role, peer.identity.hwid) is peer:
            self._noted.add(peer)

    def remove(self, peer: ControlPeer) -> bool:
        """Take a host out; False when a newer connection has replaced this one."""
        self._noted.discard(peer)
        key = (peer.identity.role, peer.identity.hwid)
        if self._peers.get(key) is not peer:
            return False
        del self._peers[key]
        return True

    def find(self, role: str, hwid: str) -> ControlPeer | None:
        """The connection of a host, or None."""
        return self._peers.get((role, hwid))

    def get(self, role: str, hwid: str, name: str = "") -> ControlPeer:
        """The connection of a host; Unavailable names it."""
        peer = self.find(role, hwid)
        if peer is None:
            label = "media server" if role == "media" else role
            raise Unavailable(f"The {label} {name or hwid} is not connected.", host=hwid)
        return peer

    def hwids(self, role: str) -> tuple[list[str], list[str]]:
        """Of a role the hosts of which the catalogue has it that they are here, and those that are just coming."""
        noted: list[str] = []
        coming: list[str] = []
        for peer in self.all(role):
            (noted if peer in self._noted else coming).append(peer.identity.hwid)
        return noted, coming

    def all(self, role: str) -> list[ControlPeer]:
        """Every connected host of a role."""
        return [peer for (found, _), peer in self._peers.items() if found == role]
