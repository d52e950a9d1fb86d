"""`rubackup_client`: the client's process."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

from rubackup.agent.link import ServerLink
from rubackup.agent.tasks import TaskRunner
from rubackup.chunkstore.ciphers import available
from rubackup.client.agent import ClientAgent
from rubackup.client.key_watch import tell_keys, told_ids
from rubackup.client.keys import NAME, KeyStore
from rubackup.client.modules import modules
from rubackup.client.modules.filesystem.snapshots import BASE
from rubackup.client.tools.listener import ToolListener
from rubackup.client.tools.relay import ToolRelay
from rubackup.domain.errors import Refused
from rubackup.roles.host import agent_host
from rubackup.roles.process import ready, run_role, together
from rubackup.roles.settings import ConfigurationFault, Settings
from rubackup.roles.tuning import tune_for_bulk

SOCKET_NAME = "client.sock"


async def serve(settings: Settings) -> None:
    """Take orders until cancelled."""
    keys = KeyStore(settings.path("MASTER_KEY", settings.path("KEY_FILE").with_name(NAME)))
    protected = (*settings.folders("PROTECTED_DIRS"), settings.path("KEY_FILE").parent, keys.path.parent)
    found = modules(settings.text("HWID"), Path(settings.text("SNAPSHOT_DIR", str(BASE))), protected)
    key_ids = told_ids(keys)
    host = dataclasses.replace(
        agent_host(settings, "client", resource_types=tuple(found)),
        ciphers=await asyncio.to_thread(available),
        key_ids=key_ids,
    )
    for module in found.values():
        await asyncio.to_thread(module.clean_up)
    link = ServerLink(host)
    runner = TaskRunner(link.call, host.parallel_tasks)
    agent = ClientAgent(host.hwid, host.tls, found, runner, keys)
    path = settings.path("CLIENT_SOCKET", host.key.with_name(SOCKET_NAME))
    tools = listener(path, ToolRelay(link, runner))
    ready(settings)
    try:
        await together(link.run(agent), runner.report(), tools.run(), tell_keys(link, key_ids, key_ids()))
    finally:
        runner.stop_all()
        agent.close()


def listener(path: Path, relay: ToolRelay) -> ToolListener:
    """The socket of the host's tools; ConfigurationFault when it cannot be made there."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        return ToolListener(path, relay.answer)
    except Refused as error:
        raise ConfigurationFault(f"CLIENT_SOCKET: {error.message}") from error
    except OSError as error:
        raise ConfigurationFault(f"CLIENT_SOCKET names {path}, which cannot be made: {error.strerror}.") from error


def main() -> None:
    """Entry of the process."""
    tune_for_bulk()
    run_role("rubackup_client", serve)


if __name__ == "__main__":
    main()
