"""`rubackup_client`: the client's process."""

from __future__ import annotations

import asyncio
from pathlib import Path

from rubackup.agent.link import ServerLink
from rubackup.agent.tasks import TaskRunner
from rubackup.client.agent import ClientAgent
from rubackup.client.modules import modules
from rubackup.client.modules.filesystem.snapshots import BASE
from rubackup.roles.host import agent_host
from rubackup.roles.process import ready, run_role, together
from rubackup.roles.settings import Settings


async def serve(settings: Settings) -> None:
    """Take orders until cancelled."""
    found = modules(settings.text("HWID"), Path(settings.text("SNAPSHOT_DIR", str(BASE))))
    host = agent_host(settings, "client", resource_types=tuple(found))
    for module in found.values():
        await asyncio.to_thread(module.clean_up)
    link = ServerLink(host)
    runner = TaskRunner(link.call)
    agent = ClientAgent(host.hwid, host.tls, found, runner)
    ready(settings)
    try:
        await together(link.run(agent), runner.report())
    finally:
        runner.stop_all()


def main() -> None:
    """Entry of the process."""
    run_role("rubackup_client", serve)


if __name__ == "__main__":
    main()
