"""Tells the servers when the keys of this client change while it is connected: another process may rotate or import one."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence

from rubackup.agent.link import ServerLink
from rubackup.client.keys import KeyStore
from rubackup.domain.errors import RubackupError
from rubackup.wire.messages import ReportKeys

log = logging.getLogger(__name__)
LOOK_SECONDS = 5.0


def told_ids(store: KeyStore) -> Callable[[], Sequence[str]]:
    """A function that gives the ids of the keys; of keys that cannot be read it gives none, and says why in the log."""

    def ids() -> Sequence[str]:
        try:
            return store.key_ids()
        except RubackupError as error:
            log.error("the keys of encrypted copies cannot be used: %s", error)
            return ()

    return ids


async def tell_keys(link: ServerLink, key_ids: Callable[[], Sequence[str]], told: Sequence[str]) -> None:
    """Look every few seconds, until cancelled; `told` is what the last connection began with."""
    while True:
        await asyncio.sleep(LOOK_SECONDS)
        now = await asyncio.to_thread(key_ids)
        if now == told:
            continue
        try:
            await link.call(ReportKeys(key_ids=list(now)))
            told = now
        except RubackupError as error:
            log.info("the servers are not told of the changed keys yet: %s", error)
