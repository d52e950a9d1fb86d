"""What hosts are told by their settings: how many tasks they work on, and which servers they dial."""

from __future__ import annotations

import pytest

from rubackup.roles.host import agent_host
from rubackup.roles.settings import ConfigurationFault, Settings
from rubackup.roles.up.settings import reserve_servers

CLIENT = {
    "HWID": "0" * 16, "HOSTNAME": "host", "KEY_FILE": "/k", "CERT_FILE": "/c", "ROOT_CA_FILE": "/r",
    "RB_SERVER_HOST": "one:9991,[::1]:9992",
}  # fmt: skip


def test_a_host_says_how_many_tasks_it_takes() -> None:
    """Eight unless the settings say otherwise; none, and more than 64, is refused."""
    assert agent_host(Settings(CLIENT, "file", {}), "client").hello().tasks == 8
    assert agent_host(Settings(CLIENT | {"PARALLEL_TASKS": "3"}, "file", {}), "client").hello().tasks == 3
    for wrong in ("0", "65", "-1", "many"):
        with pytest.raises(ConfigurationFault, match="PARALLEL_TASKS"):
            agent_host(Settings(CLIENT | {"PARALLEL_TASKS": wrong}, "file", {}), "client")


def test_a_machine_may_dial_further_servers() -> None:
    """In the form of RB_SERVER_HOST, which they are appended to."""
    assert reserve_servers({}) == []
    assert reserve_servers({"RESERVE_SERVERS": "two, [fe80::1]:7"}) == ["two:9991", "[fe80::1]:7"]
    with pytest.raises(ConfigurationFault, match="RESERVE_SERVERS"):
        reserve_servers({"RESERVE_SERVERS": "two:x"})
