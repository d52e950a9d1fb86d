"""Keeps the metafiles of devices in the pools that `meta_data_pool` names."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable
from typing import Final

from rubackup.domain.errors import RubackupError
from rubackup.media.pools import PoolKeeper

log = logging.getLogger(__name__)
LOOK_SECONDS: Final = 60.0
APART_SECONDS: Final = 600.0
"""Two metafiles of one device are at least so far apart: one of 100 TB has 130 MB."""


class Metafiles:
    """Of all pools that a media server serves."""

    def __init__(self, pools: PoolKeeper, steady: Callable[[], float] = time.monotonic) -> None:
        self._pools = pools
        self._steady = steady
        self._kept: dict[str, tuple[tuple[int, int], float]] = {}
        """Version of each device's metafile that was kept last, and when."""

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            await asyncio.sleep(LOOK_SECONDS)
            await asyncio.to_thread(self.keep)

    def keep(self) -> None:
        """Keep those that changed; a pool that cannot take them is tried again at the next look."""
        for pool_id, target_id in self._pools.metadata_pools():
            try:
                self._keep_of(pool_id, target_id)
            except RubackupError as error:
                log.warning("metafiles of pool %d cannot be kept in pool %d: %s", pool_id, target_id, error)

    def _keep_of(self, pool_id: int, target_id: int) -> None:
        target = self._pools.get(target_id)
        for one in self._pools.get(pool_id).metafiles():
            version, at = self._kept.get(one.device, ((0, 0), -APART_SECONDS))
            there = target.keeps_metafile(one.device)
            if there and (version == one.version or self._steady() < at + APART_SECONDS):
                continue
            place = target.keep_metafile(one.device, one.read())
            self._kept[one.device] = (one.version, self._steady())
            log.debug("the metafile of %s is kept as %s", one.label, place)
