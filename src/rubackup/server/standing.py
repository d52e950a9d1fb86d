"""What every server keeps true of itself and of the hosts connected to it, whether it leads or not.

Hosts are connected to every server, and a row says of each whether it is online and by which server. A server that
died says nothing any more, and one whose connection to a host broke speaks only for itself. So each server repeats, every
few seconds, who is connected to it, and takes away what a dead one said. Design: `docs/design/dispatch.md`, Two servers.
"""

from __future__ import annotations

import asyncio
import logging

from rubackup.catalog.database import Database
from rubackup.domain.errors import RubackupError
from rubackup.server.pools import PoolSync
from rubackup.server.registry import Registry
from rubackup.server.rounds import ROUNDS
from rubackup.services import presence

log = logging.getLogger(__name__)

REPEAT_SECONDS = 5.0
KEY_ROUNDS = 6
"""Rounds after which media servers are told again to honour this server's tickets."""


class Standing:
    """Repeats it until cancelled."""

    def __init__(self, database: Database, registry: Registry, pools: PoolSync, server_hwid: str) -> None:
        self._database = database
        self._registry = registry
        self._pools = pools
        self._server_hwid = server_hwid

    async def run(self) -> None:
        """A round every few seconds."""
        rounds = 0
        while True:
            await asyncio.sleep(REPEAT_SECONDS)
            rounds += 1
            try:
                with ROUNDS.measured("presence"):
                    await self.repeat()
                if rounds % KEY_ROUNDS == 0:
                    await self._pools.keep_key()
            except RubackupError as error:
                log.warning("what this server knows of its hosts could not be repeated: %s", error)

    async def repeat(self) -> None:
        """Say that this server lives, who is connected to it, and who is connected to none."""
        clients, coming = self._registry.hwids("client")
        media, more = self._registry.hwids("media")
        back = await presence.repeat(self._database, self._server_hwid, clients, media, [*coming, *more])
        for role, hwid in back:
            if self._registry.find(role, hwid) is None:  # it went in this moment, and that was noted before
                gone = presence.client_offline if role == "client" else presence.media_offline
                await gone(self._database, hwid, self._server_hwid)
