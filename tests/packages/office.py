"""What an administrator does with curl: log in, back up, wait, restore. Run inside a container."""

from __future__ import annotations

import json
import secrets
import shlex
import time
from typing import Any

from packages.container import Container

FINAL = {"Done", "Error", "Broken", "Killed"}


class Office:
    """A login at one API, from one container."""

    def __init__(self, host: Container, url: str, password: str, database: str = "rubackup") -> None:
        self._host = host
        self._base = f"{url}/api/v1"
        self._headers: list[str] = []
        body = {"rubackup_database": database, "rubackup_user": "rubackup", "password": password}
        tokens = self.call("POST", "/auth/login", body)["data"]
        self._headers = [
            "-H", f"Authorization: Bearer {tokens['access_token']}", "-H", f"X-CSRF-TOKEN: {tokens['csrf_token']}",
        ]  # fmt: skip

    def call(self, method: str, path: str, body: Any = None) -> dict[str, Any]:
        """The envelope of an answer, which must be no error."""
        sent = ["-H", "Content-Type: application/json", "-d", json.dumps(body)] if body is not None else []
        command = [
            "curl", "-sS", "--cacert", "/opt/rubackup/keys/rootCA/serverRootCACert.crt", "-X", method,
            *self._headers, *sent, self._base + path,
        ]  # fmt: skip
        envelope: dict[str, Any] = json.loads(self._host.run(shlex.join(command)))
        assert not envelope["is_error"], envelope
        return envelope

    def items(self, path: str) -> list[dict[str, Any]]:
        """The rows of a short list."""
        found: list[dict[str, Any]] = self.call("GET", path)["data"]["items"]
        return found

    def client(self, hostname: str = "") -> dict[str, Any]:
        """A client, the only one unless a host name is given."""
        (found,) = [row for row in self.items("/clients") if hostname in {"", row["hostname"]}]
        return found

    def backup(self, resource: str, client: str, pool: str = "Default") -> int:
        """Queue a full backup, with the guide's body; the number of its task."""
        task = {
            "resource_type": "File system", "resource": resource, "client": client, "backup_type": "full", "pool": pool,
            "crypto": "nocrypt", "priority": 100, "storage_duration": "1 Years", "archiving": False,
        }  # fmt: skip
        said = self.call("POST", "/task_queue/", {"data": {"task": task}})["message"]
        return int(said.rpartition("TASK WAS ADDED TO QUEUE:")[2])

    def until_online(self, hostname: str, seconds: float = 60) -> None:
        """Wait until the client and the media server of a host are connected."""
        deadline = time.monotonic() + seconds
        while True:
            rows = [row for family in ("/clients", "/media_servers") for row in self.items(family)]
            if sum(row["online"] for row in rows if row["hostname"] == hostname) == len(("client", "media server")):
                return
            assert time.monotonic() < deadline, f"{hostname} is not connected: {rows}"
            time.sleep(0.3)

    def newest_record(self) -> int:
        """The number of the copy that was made last."""
        return int(self.items("/repository?sort_by=id&sort_order=desc&limit=1")[0]["id"])

    def slow_backup(self, resource: str, client: str, kib: int, pool: str = "Default") -> int:
        """Queue a backup on a narrow line (KiB a second) and wait until it has begun; the number of its task."""
        limit = {"client": client, "backup_bandwidth": kib, "restore_bandwidth": 0,
                 "window_start": "00:00:00", "window_end": "00:00:00"}  # fmt: skip
        self.call("POST", "/client_bandwidth", {"data": limit})
        task = self.backup(resource, client, pool)
        deadline = time.monotonic() + 60
        while self.call("GET", f"/task_queue/{task}")["data"]["status"] in {"New", "Assigned", "At_Client"}:
            assert time.monotonic() < deadline, "the backup does not begin"
            time.sleep(0.2)
        return task

    def unlimited(self) -> None:
        """Take the limits of `slow_backup` away, from what runs as well."""
        for row in self.items("/client_bandwidth"):
            self.call("DELETE", f"/client_bandwidth/{row['id']}")

    def run_rule(self, resource: str, client: str, **fields: Any) -> int:
        """Make a rule and run it at once; the number of its task."""
        name = f"rule-{secrets.token_hex(4)}"
        rule = {
            "name": name, "client_id": client, "resource_type": "File system", "resource": resource,
            "backup_type": "full", "pool_id": "Default", "storage_duration": "1 day",
        }  # fmt: skip
        self.call("POST", "/global_schedule", {"data": {"global_schedule": rule | fields}})
        (found,) = [row for row in self.items("/global_schedule?limit=1000") if row["name"] == name]
        said = self.call("POST", f"/global_schedule/{found['id']}/execution")["message"]
        return int(said.rpartition("TASK WAS ADDED TO QUEUE:")[2])

    def log_with(self, task: int, words: str, seconds: float = 30) -> str:
        """A task's log, a line each, once it has these words."""
        deadline = time.monotonic() + seconds
        while True:
            rows = self.items("/task_log?limit=1000&sort_by=id")
            found = "\n".join(row["text"] for row in rows if row["task_id"] == task)
            if words in found:
                return found
            assert time.monotonic() < deadline, f"no {words!r} in\n{found}"
            time.sleep(0.3)

    def restore(self, record: int, client: str, destination: str) -> int:
        """Queue a restore below another folder; the number of its task."""
        order = {
            "target_client": client, "destination_path": destination, "data_deployment": False,
            "granular_restore_files": [""],
        }  # fmt: skip
        said = self.call("POST", f"/repository/{record}/restoring", {"data": {"restore_task": order}})["message"]
        return int(said.rpartition("TASK WAS ADDED TO QUEUE:")[2])

    def done(self, task: int, seconds: float = 120) -> dict[str, Any]:
        """The task when it has ended, which must be as Done."""
        deadline = time.monotonic() + seconds
        while (found := self.call("GET", f"/task_queue/{task}")["data"])["status"] not in FINAL:
            assert time.monotonic() < deadline, found
            time.sleep(0.3)
        assert found["status"] == "Done", found
        return found
