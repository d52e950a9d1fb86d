"""What the client's process answers its host's tools: about itself by itself, the rest by asking the server.

The user who asks is stamped on what changes something; a tool's own word about that is overwritten.
"""

from __future__ import annotations

import msgspec

from rubackup import __version__
from rubackup.agent.link import ServerLink
from rubackup.agent.tasks import TaskRunner
from rubackup.domain.errors import Refused
from rubackup.wire.messages import (
    AgentState,
    AskAgent,
    AskDeletion,
    AskOwnClient,
    AskOwnCopies,
    AskOwnRules,
    AskOwnTasks,
    LocalUser,
    Message,
    RequestRule,
    RequestRuleDeletion,
    StartBackup,
    StartRestore,
)

SERVER_SECONDS = 20.0
PATIENCE_SECONDS = 3.0
"""How long a tool waits for a server that is not connected just now."""


class ToolRelay:
    """Answers one message of a tool."""

    def __init__(self, link: ServerLink, runner: TaskRunner) -> None:
        self._link = link
        self._runner = runner

    async def answer(self, message: Message, user: LocalUser) -> Message:
        """The answer; Refused for what tools do not ask."""
        match message:
            case AskAgent():
                return self._state()
            case AskOwnClient() | AskOwnRules() | AskOwnCopies() | AskOwnTasks():
                return await self._link.call(message, SERVER_SECONDS, PATIENCE_SECONDS)
            case RequestRule() | RequestRuleDeletion() | StartBackup() | StartRestore() | AskDeletion():
                stamped: Message = msgspec.structs.replace(message, user=user)
                return await self._link.call(stamped, SERVER_SECONDS, PATIENCE_SECONDS, repeatable=False)
        raise Refused("The client's process does not take this message from a tool.")

    def _state(self) -> AgentState:
        host = self._link.host
        return AgentState(
            hostname=host.hostname,
            hwid=host.hwid,
            package_version=__version__,
            servers=self._link.connected(),
            tasks=self._runner.running(),
        )
