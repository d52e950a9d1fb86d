"""A whole running system for tests: started by `rubackup up`, spoken to over HTTPS."""

from __future__ import annotations

import contextlib
import json
import os
import secrets
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx

from rubackup.client.compare import compare_trees

FINAL = {"Done", "Error", "Broken", "Killed"}
RUBACKUP = [str(Path(sys.executable).with_name("rubackup"))]
LEAST_PATIENCE, PATIENCE = 60, 5
"""What must come is waited for so many times as long as it takes on a machine that does nothing else, a minute at least."""
LOGIN_SECONDS = 240
"""How long one login is used; an access token lives 15 minutes."""


@dataclass
class System:
    """One running system and a logged-in superuser."""

    state: Path
    facts: dict[str, Any]
    database: str = "rubackup"
    http: httpx.Client = field(init=False)
    _login_at: float = field(init=False, default=0.0)

    def __post_init__(self) -> None:
        import ssl

        context = ssl.create_default_context(cafile=self.facts["ca_file"])
        self.http = httpx.Client(base_url=self.facts["api"] + "/api/v1", verify=context, timeout=120)
        self.http.event_hooks["request"] = [self._stay]
        self.login()

    def _stay(self, request: httpx.Request) -> None:
        """Log in again now and then: tests of a system go on for longer than an access token lives."""
        if time.monotonic() - self._login_at > LOGIN_SECONDS and "/auth/" not in request.url.path:
            stale = self.http.headers["Authorization"]
            with contextlib.suppress(
                httpx.HTTPError
            ):  # while the API is killed; the login that there is is good for longer
                self.login()
            if request.headers.get("Authorization") == stale:
                request.headers.update({name: self.http.headers[name] for name in ("Authorization", "X-CSRF-TOKEN")})

    def login(self) -> None:
        """Log in as the superuser."""
        self._login_at = time.monotonic()
        password = Path(self.facts["password_file"]).read_text().strip()
        body = {"rubackup_database": self.database, "rubackup_user": self.facts["superuser"], "password": password}
        answer = self.http.post("/auth/login", json=body)
        answer.raise_for_status()
        data = answer.json()["data"]
        self.http.headers["Authorization"] = f"Bearer {data['access_token']}"
        self.http.headers["X-CSRF-TOKEN"] = data["csrf_token"]

    def call(self, method: str, path: str, body: Any = None, /, *, status: int = 200, **query: Any) -> Any:
        """The answer's envelope; the call must end with `status`."""
        answer = self.http.request(method, path, json=body, params=query or None)
        assert answer.status_code == status, f"{method} {path}: {answer.status_code} {answer.text[:2000]}"
        return answer.json() if answer.content else None

    def backup(self, folder: Path | str, *, backup_type: str = "full", pool: str = "Default", **extra: Any) -> int:
        """Queue a backup with exactly the guide's body; the number of its task."""
        task = {
            "resource_type": "File system", "resource": str(folder), "client": self.facts["client"],
            "backup_type": backup_type, "pool": pool, "crypto": "nocrypt", "priority": 100,
            "storage_duration": "1 Years", "archiving": False,
        }  # fmt: skip
        answer = self.call("POST", "/task_queue/", {"data": {"task": task, **extra}}, status=201)
        return int(answer["message"].rpartition("TASK WAS ADDED TO QUEUE:")[2])

    def restore(self, record: int, destination: Path, files: list[str] | None = None) -> int:
        """Queue a restore to another folder; the number of its task."""
        order = {
            "target_client": self.facts["client"], "destination_path": str(destination), "data_deployment": False,
            "granular_restore_files": files or [""],
        }  # fmt: skip
        answer = self.call("POST", f"/repository/{record}/restoring", {"data": {"restore_task": order}}, status=201)
        return int(answer["message"].rpartition("TASK WAS ADDED TO QUEUE:")[2])

    def task(self, number: int) -> dict[str, Any]:
        """A task of the queue."""
        data: dict[str, Any] = self.call("GET", f"/task_queue/{number}")["data"]
        return data

    def until(self, number: int, reached: Callable[[dict[str, Any]], bool], seconds: float = 120) -> dict[str, Any]:
        """The task as soon as `reached` holds for it."""
        return eventually(
            lambda: (task := self.task(number)) and reached(task) and task, seconds, lambda: self.task(number)
        )

    def finished(self, number: int, seconds: float = 120) -> dict[str, Any]:
        """The task when it has ended."""
        return self.until(number, lambda task: task["status"] in FINAL, seconds)

    def done(self, number: int, seconds: float = 120) -> dict[str, Any]:
        """The task, which must end as Done."""
        task = self.finished(number, seconds)
        assert task["status"] == "Done", f"{task} {self.log(number)}"
        return task

    def log(self, number: int) -> list[str]:
        """The lines of a task's log."""
        items = self.call("GET", "/task_log", filter_data=f'task_id="{number}"', limit=1000)["data"]["items"]
        return [line["text"] for line in items]

    def records(self, resource: Path | str) -> list[dict[str, Any]]:
        """The copies of a resource, oldest first."""
        answer = self.call("GET", "/repository", filter_data=f'resource="{resource}"', sort_by="id", limit=1000)
        items: list[dict[str, Any]] = answer["data"]["items"]
        return items

    def media_server(self) -> str:
        """Host name of the media server that came up with the system."""
        items = self.call("GET", "/media_servers", sort_by="id")["data"]["items"]
        return str(items[0]["hostname"])

    def add_pool(self, *folders: Path, media_server: str = "", **fields: Any) -> str:
        """A pool of files with these storages; its name."""
        name = f"pool-{secrets.token_hex(4)}"
        server = media_server or self.media_server()
        pool = {"pool_name": name, "pool_type": "File system", "media_server": server, "ignore_free_space_check": True}
        self.call("POST", "/pool_list", {"data": pool | fields}, status=201)
        for folder in folders:
            storage = {"path": str(folder), "pool": name, "description": ""}
            self.call("POST", "/storage_local_catalogs", {"data": storage}, status=201)
        return name

    def gives_back(self, record: int, source: Path, target: Path) -> bool:
        """Whether a restore of the copy into the folder `target` gives the source."""
        self.done(self.restore(record, target))
        return bool(compare_trees(source, target / str(source).lstrip("/")).equal)

    @contextlib.contextmanager
    def frozen(self, process: str) -> Iterator[int]:
        """A process stands still for the length of a block, which is to be much shorter than a lease; its number."""
        pid = self.processes()[process]
        os.kill(pid, signal.SIGSTOP)
        try:
            yield pid
        finally:
            os.kill(pid, signal.SIGCONT)

    @contextlib.contextmanager
    def slow_backups(self, kib_a_second: int) -> Iterator[int]:
        """The client's backups send no more for the length of a block: what was begun is still at work. Id of the limit."""
        limit = {"client": self.facts["client"], "backup_bandwidth": kib_a_second}
        self.call("POST", "/client_bandwidth", {"data": limit}, status=201)
        (row,) = self.call("GET", "/client_bandwidth")["data"]["items"]
        try:
            yield int(row["id"])
        finally:
            self.call("DELETE", f"/client_bandwidth/{row['id']}")

    def pool_node(self, pool: str) -> dict[str, Any]:
        """The pool in the tree of media servers."""
        servers = self.call("GET", "/media_servers/tree")["data"]["media_servers"]
        return next(one for server in servers for one in server["pools"] if one["pool_name"] == pool)

    def processes(self) -> dict[str, int]:
        """Process numbers by name, as ready.json has them now."""
        found: dict[str, int] = json.loads((self.state / "ready.json").read_text())["processes"]
        return found


def patiently(seconds: float) -> float:
    """How long a test waits for what takes `seconds` when nothing else runs."""
    return max(LEAST_PATIENCE, PATIENCE * seconds)


def eventually(probe: Callable[[], Any], seconds: float, describe: Callable[[], Any] = lambda: "") -> Any:
    """What `probe` gives as soon as it is true, in `seconds` when nothing else runs. Errors of the connection count as false."""
    seconds = patiently(seconds)
    deadline = time.monotonic() + seconds
    while True:
        with contextlib.suppress(httpx.TransportError):
            if found := probe():
                return found
        assert time.monotonic() < deadline, f"not within {seconds} s: {describe()}"
        time.sleep(0.05)  # polls a process outside; there is no event to wait on


def up(state: Path, *arguments: str, environment: dict[str, str] | None = None, seconds: float = 120) -> System:
    """Start a system in `state`, within `seconds`; its logs stand in the assertion when it does not come up.

    Storages may lie in memory: small disks of tests do, and perhaps all of their folders.
    """
    command = [*RUBACKUP, "up", "--state", str(state), "--detach", *arguments]
    result = subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=patiently(seconds),
        check=False,
        env={**os.environ, "MEMORY_STORAGES": "True", "RETENTION_SECONDS": "2", **(environment or {})},
    )
    assert result.returncode == 0, f"{result.stdout}\n{result.stderr}\n{logs(state)}"
    return System(state, json.loads((state / "ready.json").read_text()))


def down(state: Path) -> None:
    """Stop the system in `state`."""
    subprocess.run([*RUBACKUP, "down", "--state", str(state)], capture_output=True, timeout=patiently(60), check=True)


def logs(state: Path) -> str:
    """The ends of all logs."""
    return "\n".join(f"--- {file.name}\n{file.read_text()[-2000:]}" for file in sorted(state.glob("log/*.log")))


@contextlib.contextmanager
def running(
    state: Path, *arguments: str, environment: dict[str, str] | None = None, seconds: float = 120
) -> Iterator[System]:
    """A system for the length of a block."""
    system = up(state, *arguments, environment=environment, seconds=seconds)
    try:
        yield system
    finally:
        system.http.close()
        down(state)
