"""The whole product, as `rubackup up` starts it: API, server, media server, client, PostgreSQL, TLS between them."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from bench.engine.contestants import Failed, keep_folder, put_folder_back, remove_folder, used_bytes
from bench.engine.meter import Group

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from support.system import FINAL, RUBACKUP, System, eventually, logs


@dataclass
class Product:
    """One installation in a folder of its own; an operation is a task, from its call until it is told as done."""

    folder: Path
    crypto: str = "nocrypt"
    name: str = "product"
    group: Group = field(init=False)
    database: Group = field(init=False)
    system: System = field(init=False)
    root: Path = field(init=False)
    _down: bool = True

    def __post_init__(self) -> None:
        self.group = Group(f"rubackup-engine-{os.getpid()}-{self.folder.name}")
        self.database = Group("postgres", self.group)

    def prepare(self) -> None:
        """Start a new installation."""
        self.folder.mkdir(parents=True)
        self._up()
        # A copy is forgotten alone, as with restic and borg: each restores by itself.
        self.system.call("PATCH", "/global_configuration", {"data": {"repository_remove_chain": "no"}})

    def _up(self) -> None:
        """Start it, with a cleaning that frees its space before it ends, as the others' does."""
        state = self.folder / "state"
        self._down = False
        command = self.group.command([*RUBACKUP, "up", "--state", state, "--detach"])
        done = subprocess.run(
            command, capture_output=True, text=True, timeout=120, check=False,
            env={**os.environ, "GC_GRACE_SECONDS": "0"},
        )  # fmt: skip
        if done.returncode:
            raise Failed(f"rubackup up: {done.stdout}{done.stderr}{logs(state)}")
        self.system = System(state, json.loads((state / "ready.json").read_text()))
        self._take_token()
        processes = self.system.processes()
        if not self.group.counted_by_kernel:
            for pid in processes.values():
                self.group.add(pid)
        self._set_database_apart(processes)

    def _take_token(self) -> None:
        """A token that outlives the round; a login lasts for minutes."""
        body = {"data": {"name": f"bench-{os.urandom(4).hex()}", "expires_at": "2099-12-31T00:00:00+00:00"}}
        token = self.system.call("POST", "/tokens", body, status=201)["data"]["token"]
        self.system.http.headers["Authorization"] = f"Bearer {token}"

    def _set_database_apart(self, processes: dict[str, int]) -> None:
        postmaster = next(pid for name, pid in processes.items() if "postgres" in name)
        waiting = [postmaster]
        while waiting:
            pid = waiting.pop()
            try:
                self.database.add(pid)
                waiting += map(int, Path(f"/proc/{pid}/task/{pid}/children").read_text().split())
            except OSError:  # a connection that has just ended
                continue

    def _task(self, call: Callable[[], int]) -> int:
        """Queue a task and wait for it; its number. Its events tell when it has ended, so that asking costs nothing."""
        http = self.system.http
        headers = {"Last-Event-ID": self._last_event()}
        try:
            number = call()
        except AssertionError as error:  # how System tells an unexpected answer
            raise Failed(str(error)) from error
        status = None
        with http.stream("GET", "/events", params={"family": "task_queue"}, headers=headers, timeout=3600) as stream:
            for line in stream.iter_lines():
                if line.startswith("data: "):
                    event = json.loads(line[6:])
                    status = (event.get("data") or {}).get("status")
                    if event["row_id"] == number and status in FINAL:
                        break
        if status != "Done":
            raise Failed(f"{self.system.task(number)} {self.system.log(number)[-10:]} {logs(self.system.state)}")
        return number

    def _last_event(self) -> str:
        lines = self.system.http.get("/events", params={"follow": "no"}).text.splitlines()
        return next(line.removeprefix("id: ") for line in lines if line.startswith("id: "))

    def _newest(self) -> int:
        records = self.system.records(self.root)
        if not records:
            raise Failed("there is no copy")
        return int(records[-1]["id"])

    def backup(self, root: Path) -> None:
        """A task of the queue; the first is full, those after it incremental."""
        self.root = root
        task: dict[str, Any] = {
            "resource_type": "File system", "resource": str(root), "client": self.system.facts["client"],
            "backup_type": "incremental", "pool": "Default", "crypto": self.crypto, "priority": 100,
            "storage_duration": "1 Years", "archiving": False,
        }  # fmt: skip
        self._task(lambda: _number(self.system.call("POST", "/task_queue/", {"data": {"task": task}}, status=201)))

    def verify(self) -> None:
        """A verification of the newest copy, with contents."""
        path = f"/repository/{self._newest()}/verification"
        self._task(lambda: _number(self.system.call("POST", path, status=201)))

    def restore(self, target: Path) -> None:
        """The newest copy."""
        self._task(lambda: self.system.restore(self._newest(), target))

    def restore_one(self, path: Path, target: Path) -> None:
        """One path of it."""
        self._task(lambda: self.system.restore(self._newest(), target, [str(path)]))

    def reclaim(self, count: int) -> None:
        """Delete the oldest copies, then clean the pool; Failed where space that nothing needs is still taken."""
        system = self.system
        going = [one["id"] for one in system.records(self.root)[:count]]
        pools = system.call("GET", "/pool_list", filter_data='pool_name="Default"')["data"]["items"]
        try:
            system.call("DELETE", "/repository", {"ids": going})
            eventually(lambda: not {one["id"] for one in system.records(self.root)}.intersection(going), 120)
        except AssertionError as error:
            raise Failed(str(error)) from error
        number = self._task(lambda: _number(system.call("POST", f"/pool_list/{pools[0]['id']}/cleaning", status=201)))
        message = str(system.task(number).get("message"))
        if "0 bytes (0 packs) go when" not in message:
            raise Failed(f"not everything was freed: {message} {system.log(number)}")

    def stored_bytes(self) -> int:
        """Packs and manifests of the pool, and the media server's index of them."""
        state = self.system.state
        pools = used_bytes(state / "pools")
        return pools + sum(used_bytes(index) for index in state.rglob("index") if index.is_dir())

    def keep(self) -> None:
        """The whole installation, which is stopped for it: pool, index, catalogue, keys."""
        self._stop()
        keep_folder(self.folder)
        self._up()

    def put_back(self) -> None:
        """All as it was, started again."""
        self._stop()
        put_folder_back(self.folder)
        self._up()

    def _stop(self) -> None:
        if not self._down:
            self._down = True
            if hasattr(self, "system"):
                self.system.http.close()
            command = [*RUBACKUP, "down", "--state", str(self.folder / "state")]
            subprocess.run(command, timeout=60, check=False, capture_output=True)
            for pid in self.group.pids():  # what `down` did not reach
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)

    def close(self) -> None:
        """Stop it and remove its files."""
        self._stop()
        self.database.close()
        self.group.close()
        remove_folder(self.folder)


def _number(answer: dict[str, Any]) -> int:
    return int(answer["message"].rpartition(":")[2])
