"""Tells clients what bandwidth they may take, as limits change and windows of the day begin and end.

Only the leading server tells. It looks once a second, which is how late a window may begin; what a client was told
holds until it is told something else, so a client is told only what is new to it. Design: `docs/design/dispatch.md`.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime as dt
import logging
from collections.abc import Callable, Sequence

from rubackup.catalog.database import Database
from rubackup.domain.errors import RubackupError
from rubackup.server.registry import Registry
from rubackup.server.rounds import ROUNDS
from rubackup.services import bandwidth
from rubackup.services.bandwidth import NO_LIMIT, Allowance
from rubackup.wire.control import ControlPeer
from rubackup.wire.messages import RuleBandwidth, SetBandwidth

log = logging.getLogger(__name__)

TICK_SECONDS = 1.0
READ_SECONDS = 10.0
"""How often the limits are read although nobody said that they were changed."""
TELL_SECONDS = 5.0
TOLD_AT_ONCE = 64
"""Clients that are told at a time; one that does not answer takes its place until its time is over, and holds up no look."""


class BandwidthSync:
    """Keeps every connected client told."""

    def __init__(
        self,
        database: Database,
        registry: Registry,
        zone: dt.tzinfo | None = None,
        clock: Callable[[], dt.datetime] = lambda: dt.datetime.now(dt.UTC),
    ) -> None:
        """`zone` is that of the windows; None: the host's."""
        self._database = database
        self._registry = registry
        self._zone = zone
        self._clock = clock
        self._wake = asyncio.Event()
        self._stale = True
        self._told: dict[ControlPeer, Allowance] = {}
        self._telling: set[ControlPeer] = set()
        self._new: set[ControlPeer] = set()
        """Clients that came since all were looked at, which costs too much for each of thousands that come at once."""

    def changed(self) -> None:
        """Limits may have been changed: read them now."""
        self._stale = True
        self._wake.set()

    def came(self, peer: ControlPeer) -> None:
        """A client is connected: look at once whether it must be told."""
        self._new.add(peer)
        self._wake.set()

    async def run(self, epoch: int) -> None:
        """Tell as the leader of this epoch, until cancelled."""
        self._told, self._telling, self._stale = {}, set(), True
        limits, read_at, looked_at = None, 0.0, 0.0
        loop, places = asyncio.get_running_loop(), asyncio.Semaphore(TOLD_AT_ONCE)
        async with asyncio.TaskGroup() as group:
            while True:
                self._wake.clear()
                everybody = self._stale or loop.time() - looked_at >= TICK_SECONDS
                if limits is None or self._stale or loop.time() - read_at > READ_SECONDS:
                    self._stale = False
                    try:
                        limits, read_at = await bandwidth.read(self._database), loop.time()
                    except RubackupError as error:
                        self._stale = True
                        log.warning("the limits of bandwidth cannot be read: %s", error)
                wait = TICK_SECONDS
                if limits is not None:
                    if everybody:
                        peers, looked_at = self._registry.all("client"), loop.time()
                        self._told = {peer: told for peer in peers if (told := self._told.get(peer)) is not None}
                    else:
                        peers = [peer for peer in self._new if not peer.is_closed]
                    self._new.clear()
                    with ROUNDS.measured("bandwidth"):
                        for peer, allowance in self._due(limits.at(self._clock(), self._zone), peers):
                            self._telling.add(peer)
                            group.create_task(self._tell(peer, allowance, epoch, places))
                    wait = max(looked_at + TICK_SECONDS - loop.time(), 0.01)
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._wake.wait(), wait)

    def _due(self, wanted: dict[str, Allowance], peers: Sequence[ControlPeer]) -> list[tuple[ControlPeer, Allowance]]:
        """Who must be told something, and is not just being told: that one is looked at again afterwards."""
        return [
            (peer, allowance)
            for peer in peers
            if peer not in self._telling
            and self._told.get(peer) != (allowance := wanted.get(peer.identity.hwid, NO_LIMIT))
        ]

    async def _tell(self, peer: ControlPeer, allowance: Allowance, epoch: int, places: asyncio.Semaphore) -> None:
        """Tell one client; one that cannot be told now is told at a later look."""
        try:
            async with places:
                await peer.call(message_of(allowance, epoch), TELL_SECONDS)
        except RubackupError as error:
            log.warning("client %s could not be told its bandwidth: %s", peer.identity.hwid, error)
        else:
            self._told[peer] = allowance
        finally:
            self._telling.discard(peer)


def message_of(allowance: Allowance, epoch: int) -> SetBandwidth:
    """What a client is told."""
    return SetBandwidth(
        epoch=epoch,
        backup=allowance.client.backup,
        restore=allowance.client.restore,
        rules=[RuleBandwidth(rule=rule, backup=way.backup, restore=way.restore) for rule, way in allowance.rules],
        rule_first=allowance.rule_first,
    )
