"""Answers that take their time, and callers that may go meanwhile."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine

from starlette.types import Receive


async def send_until_gone(sending: Coroutine[object, object, None], receive: Receive) -> None:
    """Send until all is sent or the caller goes, whichever comes first; raises what went wrong in sending."""
    sender, gone = asyncio.create_task(sending), asyncio.create_task(_gone(receive))
    try:
        await asyncio.wait({sender, gone}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        sender.cancel()
        gone.cancel()
        await asyncio.wait({sender, gone})
    if not sender.cancelled():
        sender.result()


async def _gone(receive: Receive) -> None:
    """Return once the caller is gone."""
    while (await receive())["type"] != "http.disconnect":
        pass
