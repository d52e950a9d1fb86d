"""A host that lost its key takes its old place with a new one; whoever has the old key is turned away."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from rubackup.roles.up.ports import free_port
from rubackup.wire import pki
from support.system import System, eventually

FAMILIES = {"client": "clients", "media": "media_servers"}


@dataclass
class Host:
    """A further host of the system: its processes, each with the files of one life of it."""

    system: System
    role: str
    folder: Path
    name: str = field(default_factory=lambda: f"lost-{secrets.token_hex(3)}")
    _lives: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.hwid = secrets.token_hex(8 if self.role == "client" else 32)

    def start(self, life: str) -> None:
        """Start its process; a life of a new name has no key yet."""
        state = self.folder / life
        (state / "state").mkdir(parents=True, exist_ok=True)
        port = free_port()
        own = {
            "HOSTNAME": self.name, "HWID": self.hwid, "KEY_FILE": state / "key", "CERT_FILE": state / "cert",
            "MASTER_KEY": state / "master-key", "CLIENT_SOCKET": state / "socket", "DATA_PORT": port,
            "STATE_DIR": state / "state", "READY_FILE": state / "ready", "CLIENT_DEFINED_STORAGES": "",
        }  # fmt: skip
        lines = (self.system.state / "etc" / f"{self.role}.env").read_text().splitlines()
        kept = [line for line in lines if line.partition("=")[0] not in own]
        (state / "env").write_text("\n".join([*kept, *(f"{key}={value}" for key, value in own.items())]) + "\n")
        with (state / "log").open("ab") as log:
            self._lives[life] = subprocess.Popen(
                [sys.executable, "-m", f"rubackup.roles.{self.role}", "--config", str(state / "env")],
                stdout=log, stderr=log,
            )  # fmt: skip

    def stop(self, life: str) -> None:
        """End a process of it."""
        process = self._lives.pop(life)
        process.terminate()
        process.wait(120)

    def stop_all(self) -> None:
        """End what is left."""
        for life in list(self._lives):
            self.stop(life)

    def log(self, life: str) -> str:
        """What it logged."""
        return (self.folder / life / "log").read_text()

    def key(self, life: str) -> str:
        """The fingerprint that the host itself tells of its key."""
        told = eventually(lambda: re.search("key fingerprint ([0-9a-f:]+)", self.log(life)), 30, lambda: self.log(life))
        csr = pki.make_csr((self.folder / life / "key").read_bytes(), self.name)
        assert told[1] == pki.csr_fingerprint(csr)
        return str(told[1])

    def rows(self, family: str = "") -> list[dict[str, Any]]:
        """Its rows of a family, those of the host by default."""
        path = f"/{family or FAMILIES[self.role]}"
        found: list[dict[str, Any]] = self.system.call("GET", path, filter_data=f'hwid="{self.hwid}"')["data"]["items"]
        return found

    def waiting(self, life: str) -> dict[str, Any]:
        """Its row among those that wait, with the key of this life."""
        family = f"unauthorised_{FAMILIES[self.role]}"
        key = self.key(life)
        row: dict[str, Any] = eventually(
            lambda: next((row for row in self.rows(family) if row["fingerprint"] == key), None),
            30,
            lambda: self.log(life),
        )
        return row

    def authorise(self, life: str, *, status: int = 201, **said: Any) -> Any:
        """Let it in."""
        waiting = self.waiting(life)
        which = {"clients_ids": [waiting["id"]]} if self.role == "client" else {"hostname": waiting["hostname"]}
        return self.system.call("POST", f"/{FAMILIES[self.role]}/authorize", {"data": which | said}, status=status)

    def online(self, life: str) -> dict[str, Any]:
        """Its row, as soon as it is connected with the key of this life."""
        key = pki.csr_fingerprint(pki.make_csr((self.folder / life / "key").read_bytes(), self.name))

        def here() -> dict[str, Any] | None:
            (row,) = self.rows()
            return row if row["online"] and row["fingerprint"] == key and row["certificate_not_after"] else None

        row: dict[str, Any] = eventually(here, 30, lambda: self.log(life))
        return row

    def turned_away(self, life: str) -> None:
        """Wait until it has been told that another key took its place."""
        eventually(lambda: "a host with another key took the place" in self.log(life), 30, lambda: self.log(life))


@pytest.fixture
def host(request: pytest.FixtureRequest, system: System, tmp_path: Path) -> Iterator[Host]:
    """A host of the role that the test names, authorised and connected; its first life is `old`."""
    one = Host(system, request.param, tmp_path / "host")
    try:
        one.start("old")
        one.authorise("old")
        one.online("old")
        yield one
    finally:
        one.stop_all()
        for row in one.rows():
            system.call("DELETE", f"/{FAMILIES[one.role]}/{row['id']}")
        for row in one.rows(f"unauthorised_{FAMILIES[one.role]}"):
            system.call("DELETE", f"/unauthorised_{FAMILIES[one.role]}/{row['id']}")


@pytest.mark.parametrize("host", ["client"], indirect=True)
def test_a_client_with_a_new_key_keeps_its_rules(system: System, host: Host, tmp_path: Path) -> None:
    """Nothing happens to it while another key merely waits; replaced, the old process loses its connection at once."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "file").write_bytes(os.urandom(1000))
    before = host.online("old")
    rule = {
        "name": host.name, "client_id": before["client"], "resource_type": "File system", "resource": str(folder),
        "backup_type": "full", "pool_id": "Default", "storage_duration": "1 day", "priority": 200, "hour": 3,
        "status": "wait",
    }  # fmt: skip
    system.call("POST", "/global_schedule", {"data": {"global_schedule": rule}}, status=201)

    host.start("new")
    assert host.waiting("new")["replaces_key"] is True
    refused = host.authorise("new", status=409)["message"]
    assert "already authorised with another key" in refused
    host.authorise("new", status=400, replace_key=True)
    host.authorise("new", status=409, replace_key=True, fingerprint=before["fingerprint"])
    assert host.online("old")["id"] == before["id"]

    host.authorise("new", replace_key=True, fingerprint=host.key("new"))
    host.turned_away("old")
    after = host.online("new")
    assert [after[name] for name in ("id", "group_id", "authorised_at")] == [
        before[name] for name in ("id", "group_id", "authorised_at")
    ]
    (kept,) = system.call("GET", "/global_schedule", filter_data=f'name="{host.name}"')["data"]["items"]
    answer = system.call("POST", f"/global_schedule/{kept['id']}/execution")
    system.done(int(answer["message"].rpartition(":")[2]))
    (copy,) = system.records(folder)
    assert (copy["client"], copy["client_ref"]) == (after["client"], after["id"])
    assert host.waiting("old")["replaces_key"] is True


@pytest.mark.parametrize("host", ["media"], indirect=True)
def test_a_media_server_with_pools_gets_a_new_key(system: System, host: Host, tmp_path: Path) -> None:
    """Its pools stay its own, and what lies in them is restored by the process with the new key."""
    folder = tmp_path / "data"
    folder.mkdir()
    (folder / "file").write_bytes(os.urandom(100_000))
    pool = system.add_pool(tmp_path / "storage", media_server=host.name)
    system.done(system.backup(folder, pool=pool))
    before = host.online("old")
    host.stop("old")

    host.start("new")
    key = host.key("new")
    assert host.waiting("new")["replaces_key"] is True
    assert "already authorised with another key" in host.authorise("new", status=409)["message"]
    host.authorise("new", replace_key=True, fingerprint=key)
    assert host.online("new")["id"] == before["id"]
    (copy,) = system.records(folder)
    assert system.gives_back(copy["id"], folder, tmp_path / "target")

    host.start("old")
    host.turned_away("old")
    assert host.online("new")["fingerprint"] == key
    (own,) = system.call("GET", "/pool_list", filter_data=f'pool_name="{pool}"')["data"]["items"]
    assert own["reconciled"] is False
    system.call("POST", f"/pool_list/{own['id']}/reconciliation", status=200, apply="true")
    (storage,) = system.call("GET", "/storage_local_catalogs", filter_data=f'pool="{pool}"')["data"]["items"]
    for path in (f"/repository/{copy['id']}", f"/storage_local_catalogs/{storage['id']}", f"/pool_list/{own['id']}"):
        eventually(lambda path=path: system.http.delete(path).status_code == 200, 60)
