"""Whose task is it that a host reports of: numbers of tasks and fences can be guessed, so what a host says of one is checked."""

from __future__ import annotations

from collections.abc import Sequence

from rubackup.catalog.database import Database
from rubackup.services import dispatch
from rubackup.wire.control import ControlPeer

REMEMBERED = 100_000
"""So many tasks, and no more, are remembered with their hosts: reports come each second."""


class Workers:
    """Asks the catalogue once a task and host."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._known: dict[int, tuple[str, str]] = {}

    async def own(self, peer: ControlPeer, tasks: Sequence[int]) -> set[int]:
        """Those of the tasks that are this host's to work on."""
        who = (peer.identity.role, peer.identity.hwid)
        unsure = [task for task in tasks if self._known.get(task) != who]
        found = await dispatch.of_worker(self._database, *who, unsure) if unsure else set()
        if len(self._known) > REMEMBERED:
            self._known.clear()
        self._known |= dict.fromkeys(found, who)
        return found | (set(tasks) - set(unsure))

    def forget(self, task: int) -> None:
        """It has ended, or its host says so: asked anew if it is spoken of again."""
        self._known.pop(task, None)
