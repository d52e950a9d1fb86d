"""`rubackup_client`: the client's process."""

from __future__ import annotations

import asyncio

from rubackup.agent.link import ServerLink
from rubackup.agent.tasks import TaskRunner
from rubackup.client.agent import ClientAgent
from rubackup.client.modules import MODULES
from rubackup.roles.host import agent_host
from rubackup.roles.process import ready, run_role
from rubackup.roles.settings import Settings


async def serve(settings: Settings) -> None:
    """Take orders until cancelled."""
    modules = {module.resource_type: module for module in MODULES}
    host = agent_host(settings, "client", resource_types=tuple(modules))
    link = ServerLink(
        host, lambda peer, message: agent.handle(peer, message), lambda peer, welcome: agent.connected(peer, welcome)
    )
    runner = TaskRunner(link.call)
    agent = ClientAgent(host.hwid, host.tls, modules, runner)
    ready(settings, 0)
    try:
        async with asyncio.TaskGroup() as group:
            group.create_task(link.run())
            group.create_task(runner.report())
    finally:
        runner.stop_all()


def main() -> None:
    """Entry of the process."""
    run_role("rubackup_client", serve)


if __name__ == "__main__":
    main()
