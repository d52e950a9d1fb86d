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
    """A function that gives the ids of the keys; keys that cannot be read are left out, and the log says why, once."""
    told: list[str] = []

    def ids() -> Sequence[str]:
        try:
            keys, problems = store.readable()
        except RubackupError as error:
            keys, problems = [], [error.message]
        for problem in problems:
            if problem not in told:
                log.error("a key of encrypted copies cannot be used: %s", problem)
        told[:] = problems
        return [key.id.hex() for key, _, _ in keys]

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
