"""`rubackup_client`: the client's process."""

from __future__ import annotations

import asyncio
import dataclasses
from pathlib import Path

from rubackup.agent.cleaning import Sweeper
from rubackup.agent.folders import Ground
from rubackup.agent.link import ServerLink
from rubackup.agent.seals import SealBook
from rubackup.agent.tasks import TaskRunner
from rubackup.chunkstore.ciphers import available
from rubackup.client.agent import ClientAgent
from rubackup.client.key_watch import tell_keys, told_ids
from rubackup.client.keys import NAME, KeyStore
from rubackup.client.modules import modules
from rubackup.client.modules.filesystem.snapshots import BASE
from rubackup.client.own_pools import SETTING, OwnPools, parse_storages
from rubackup.client.own_tasks import OwnTasks
from rubackup.client.tools.listener import ToolListener
from rubackup.client.tools.relay import ToolRelay
from rubackup.domain.errors import Invalid, Refused
from rubackup.roles.host import agent_host, dialling, safety
from rubackup.roles.process import ready, run_role, together
from rubackup.roles.settings import ConfigurationFault, Settings
from rubackup.roles.tuning import tune_for_bulk

SOCKET_NAME = "client.sock"


async def serve(settings: Settings) -> None:
    """Take orders until cancelled."""
    keys = KeyStore(settings.path("MASTER_KEY", settings.path("KEY_FILE").with_name(NAME)))
    state = settings.path("STATE_DIR", settings.path("KEY_FILE").parent)
    storages = own_storages(settings)
    protected = (
        *settings.folders("PROTECTED_DIRS"), settings.path("KEY_FILE").parent, keys.path.parent, state, *storages.values()
    )  # fmt: skip
    found = modules(settings.text("HWID"), Path(settings.text("SNAPSHOT_DIR", str(BASE))), protected)
    key_ids = told_ids(keys)
    host = dataclasses.replace(
        agent_host(settings, "client", resource_types=tuple(found)),
        ciphers=await asyncio.to_thread(available),
        key_ids=key_ids,
        storages=tuple(sorted(storages)),
    )
    for module in found.values():
        await asyncio.to_thread(module.clean_up)
    link = ServerLink(host)
    runner = TaskRunner(link.call, host.parallel_tasks)
    ground = Ground((state, host.key.parent), memory=settings.flag("MEMORY_STORAGES", default=False), host="client")
    pools = OwnPools(host.hwid, storages, state / "pools", ground, safety(settings))
    own = OwnTasks(pools, SealBook(state / "unreported"), host.hwid, dialling(host))
    agent = ClientAgent(host.hwid, host.tls, found, runner, keys, own)
    path = settings.path("CLIENT_SOCKET", host.key.with_name(SOCKET_NAME))
    tools = listener(path, ToolRelay(link, runner))
    ready(settings)
    try:
        await together(
            link.run(agent),
            runner.report(),
            tools.run(),
            tell_keys(link, key_ids, key_ids()),
            own.reporter.run(link.call),
            Sweeper(pools).run(),
        )
    finally:
        runner.stop_all()
        agent.close()
        await asyncio.to_thread(pools.close)


def own_storages(settings: Settings) -> dict[str, Path]:
    """Folders for storages of Client defined pools; ConfigurationFault names what is wrong with the setting."""
    try:
        return parse_storages(settings.text(SETTING, ""))
    except Invalid as error:
        raise ConfigurationFault(error.message) from error


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
