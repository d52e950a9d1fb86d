"""A running system furnished for the contract: everything that the guide's example bodies name is made here.

Rows are made as users make them: over HTTPS, by hosts that enrol over the wire, by backups that really run.
Only what no hardware of the test machine can give (a tape library) is written into the catalogue by SQL.
"""

from __future__ import annotations

import asyncio
import functools
import itertools
import subprocess
import time
from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import yaml

from rubackup.roles.settings import Settings
from rubackup.wire import control, pki
from rubackup.wire.contexts import enrolment_context
from support.control import enrol_message
from support.system import LOGIN_SECONDS, RUBACKUP, System, eventually

CONTRACT = Path(__file__).parents[1] / "contract" / "endpoints.yaml"
PASSWORD = "Testing12345*"
MISSING = 2**62
_numbers = itertools.count(1)


@functools.cache
def contract() -> dict[tuple[str, str], dict[str, Any]]:
    """The rows of the guide's table by method and path."""
    rows = yaml.safe_load(CONTRACT.read_text(encoding="utf-8"))
    return {(row["method"], row["path"]): row for row in rows}


def example(method: str, path: str, /, **changes: Any) -> Any:
    """The guide's example body of a row, with real names in place of its own: by key, wherever the key stands."""
    return adapted(deepcopy(contract()[method, path]["body"]), changes)


def adapted(value: Any, changes: Mapping[str, Any]) -> Any:
    """A copy of a JSON tree with the values of some keys replaced; None takes a key away."""
    if isinstance(value, list):
        return [adapted(one, changes) for one in value]
    if not isinstance(value, dict):
        return value
    kept = {key: one for key, one in value.items() if changes.get(key, 0) is not None}
    return {key: changes[key] if key in changes else adapted(one, changes) for key, one in kept.items()}


def unique(word: str) -> str:
    """A name that no other row has."""
    return f"{word}-{next(_numbers)}"


@dataclass
class Office:
    """The furnished system, and what is made once and shared."""

    system: System
    folder: Path
    callers: dict[str, httpx.Client] = field(default_factory=dict)
    logins: dict[str, float] = field(default_factory=dict)
    """When each of these logged in."""
    opened: list[httpx.Client] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    configuration: dict[str, Any] = field(default_factory=dict)

    def furnish(self) -> None:
        """Make the system fit for tests: tasks of clients that are offline wait, so that they can be worked on."""
        self.configuration = {
            key: value
            for key, value in self.call("GET", "/global_configuration").items()
            if key in contract()["PATCH", "/global_configuration"]["body"]["data"]
        } | {"kill_task_of_offline_client": "no"}
        self.call("PATCH", "/global_configuration", {"data": self.configuration})

    def close(self) -> None:
        """Close every connection."""
        for client in self.opened:
            client.close()

    @functools.cached_property
    def stranger(self) -> httpx.Client:
        """One that never logged in."""
        return self.anonymous()

    def call(self, method: str, path: str, body: Any = None, *, status: int | None = None, **query: Any) -> Any:
        """The `data` of a call that must go well."""
        answer = self.system.http.request(method, path, json=body, params=query or None)
        good = answer.status_code < 300 if status is None else answer.status_code == status
        assert good, f"{method} {path}: {answer.status_code} {answer.text[:2000]}"
        return answer.json()["data"]

    def made(self, path: str, body: Any, **query: Any) -> int:
        """POST; the id of the new row."""
        answer = self.system.http.post(path, json=body, params=query or None)
        assert answer.status_code == 201, f"POST {path}: {answer.status_code} {answer.text[:2000]}"
        return int(answer.headers["location"].rpartition("/")[2])

    def row(self, path: str, row_id: int) -> dict[str, Any]:
        """A row."""
        found: dict[str, Any] = self.call("GET", f"{path}/{row_id}")
        return found

    def items(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """The rows of a list."""
        found: list[dict[str, Any]] = self.call("GET", path, limit=1000, **query)["items"]
        return found

    # --- callers ---

    def caller(self, role: str = "") -> httpx.Client:
        """A user of the role, logged in; '' for a user without any."""
        if role not in self.callers or time.monotonic() - self.logins[role] > LOGIN_SECONDS:
            self.logins[role] = time.monotonic()
            name = unique("caller")
            query = {"role": role} if role == "supervisor" else {}
            user = self.user(name, **query)
            if role == "auditor":
                self.made("/auditors", {"data": {"auditor": user}})
            self.callers[role] = self.login(name)
        return self.callers[role]

    def login(self, name: str) -> httpx.Client:
        """A user's own client, logged in."""
        client = self.anonymous()
        body = {"rubackup_database": "rubackup", "rubackup_user": name, "password": PASSWORD}
        answer = client.post("/auth/login", json=body)
        assert answer.status_code == 200, answer.text
        data = answer.json()["data"]
        client.cookies.clear()
        client.headers["Authorization"] = f"Bearer {data['access_token']}"
        client.headers["X-CSRF-TOKEN"] = data["csrf_token"]
        return client

    def anonymous(self) -> httpx.Client:
        """A client without tokens."""
        client = httpx.Client(base_url=self.system.http.base_url, verify=self.tls, timeout=300)
        self.opened.append(client)
        return client

    @functools.cached_property
    def tls(self) -> Any:
        """Trust in the system's root, made once: it costs 20 ms."""
        import ssl

        return ssl.create_default_context(cafile=self.system.facts["ca_file"])

    def user(self, name: str = "", **query: Any) -> str:
        """A new user; the name."""
        name = name or unique("user")
        body = example("POST", "/users", username=name, user_password=PASSWORD, email=f"{name}@example.org")
        self.made("/users", body, **query)
        return name

    # --- hosts ---

    @property
    def client(self) -> str:
        """This machine's client, as the guide writes one."""
        return str(self.system.facts["client"])

    @property
    def client_hwid(self) -> str:
        """Its hardware id."""
        return self.client.rpartition("(")[2].rstrip(")")

    @functools.cached_property
    def client_id(self) -> int:
        """Its id."""
        return int(self.items("/clients", filter_data=f'hwid="{self.client_hwid}"')[0]["id"])

    @functools.cached_property
    def media(self) -> str:
        """This machine's media server."""
        return str(next(m for m in self.items("/media_servers") if m["online"])["hostname"])

    def waiting(self, role: str) -> dict[str, Any]:
        """A host that has asked for a certificate and waits; its row."""
        number = next(_numbers)
        hwid = f"{number:016x}" if role == "client" else f"{number:064x}"
        key, name = pki.new_key_pem(), unique("host")
        message = enrol_message(
            key=key, role=role, hwid=hwid, hostname=name, csr_pem=pki.make_csr(key, name), data_endpoint="127.0.0.1:1"
        )
        trust = enrolment_context(Path(self.system.facts["ca_file"]), None)
        asyncio.run(control.enrol("127.0.0.1", self.control_port, trust, message))
        family = "/unauthorised_clients" if role == "client" else "/unauthorised_media_servers"
        return self.items(family, filter_data=f'hwid="{hwid}"')[0]

    @functools.cached_property
    def control_port(self) -> int:
        """Where hosts dial in."""
        return self.settings("server").port("CONTROL_PORT")

    def settings(self, role: str) -> Settings:
        """The settings of a process of the system."""
        return Settings.load(self.system.state / "etc" / f"{role}.env", {})

    def spare_client(self) -> dict[str, Any]:
        """An authorised client that is not online; its row."""
        waiting = self.waiting("client")
        self.call("POST", "/clients/authorize", {"data": {"clients_ids": [waiting["id"]]}})
        return self.items("/clients", filter_data=f'hwid="{waiting["hwid"]}"')[0]

    def spare_media(self) -> dict[str, Any]:
        """An authorised media server that is not online; its row."""
        waiting = self.waiting("media")
        self.call("POST", "/media_servers/authorize", {"data": {"hostname": waiting["hostname"]}})
        return self.items("/media_servers", filter_data=f'hwid="{waiting["hwid"]}"')[0]

    def client_group(self) -> str:
        """A new client group; its name."""
        name = unique("group")
        self.made("/client_groups", example("POST", "/client_groups", name=name))
        return name

    # --- storage ---

    def pool(self, pool_type: str = "File system", **fields: Any) -> str:
        """A new pool of this machine's media server; its name."""
        name = unique("pool")
        body = example("POST", "/pool_list", pool_name=name, pool_type=pool_type, media_server=self.media, **fields)
        self.made("/pool_list", body)
        return name

    def ready_pool(self) -> str:
        """A pool of the type File system with a storage, ready to take copies; its name."""
        name = self.pool(compression_type="fast")
        self.storage(name)
        eventually(lambda: self.items("/pool_list", filter_data=f'pool_name="{name}"')[0]["problem"] == "", 20)
        return name

    def storage(self, pool: str) -> int:
        """A folder of a pool; its id."""
        path = self.folder / unique("storage")
        return self.made(
            "/storage_local_catalogs", example("POST", "/storage_local_catalogs", path=str(path), pool=pool)
        )

    @functools.cached_property
    def second_pool(self) -> str:
        """Another pool that takes copies."""
        return self.ready_pool()

    # --- tasks and copies ---

    @functools.cached_property
    def source(self) -> Path:
        """A small folder to back up."""
        folder = self.folder / "source"
        folder.mkdir()
        (folder / "file").write_text("the contents")
        return folder

    def task(self, source: Path | None = None, **fields: Any) -> int:
        """A backup of a small folder, queued with the guide's body; its number."""
        body = example("POST", "/task_queue", client=self.client, resource=str(source or self.source), **fields)
        answer = self.system.http.post("/task_queue/", json=body)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["message"].rpartition("TASK WAS ADDED TO QUEUE:")[2])

    def done_task(self) -> int:
        """A backup that is done."""
        number = self.task()
        self.system.done(number)
        return number

    def held_task(self) -> int:
        """A backup that waits for an offline client, so that it can be paused, killed and the like."""
        client = self.spare_client()
        return self.task_of(f"{client['hostname']} ({client['hwid']})")

    def task_of(self, client: str) -> int:
        """A backup of another client."""
        body = example("POST", "/task_queue", client=client, resource=f"/{unique('folder')}")
        answer = self.system.http.post("/task_queue", json=body)
        assert answer.status_code == 201, answer.text
        return int(answer.json()["message"].rpartition("TASK WAS ADDED TO QUEUE:")[2])

    def record(self) -> int:
        """A new copy of a small folder."""
        folder = self.folder / unique("folder")
        folder.mkdir()
        (folder / "file").write_text(folder.name)
        self.system.done(self.task(folder))
        return int(self.system.records(folder)[-1]["id"])

    def finished_tasks(self, message: str) -> list[dict[str, Any]]:
        """The tasks that a message names, all ended."""
        numbers = message.rpartition("TASK WAS ADDED TO QUEUE:")[2].split(",")
        return [self.system.finished(int(number)) for number in numbers]

    # --- requests of the client's user ---

    def client_request(self, kind: str, rule: int = 0) -> int:
        """A request for a new rule, or for the deletion of one, made by the client's own tool; its id."""
        self.allow_requests()
        words = ["request-rule-deletion", str(rule)] if kind == "delete" else self.new_rule_words()
        command = [*RUBACKUP, "client", "--state", str(self.system.state), *words]
        result = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert result.returncode == 0, result.stdout + result.stderr
        waiting = self.items(f"/{kind}_rule_requests", sort_by="id", sort_order="desc")
        return int(waiting[0]["id"])

    def new_rule_words(self) -> list[str]:
        """The tool's words for a new rule."""
        return ["request-rule", unique("wish"), str(self.source), "--cron", "0 2 * * *", "--pool", "Default"]

    def allow_requests(self) -> None:
        """Let the client's user see its rules and ask for others."""
        self.done_task()  # a pool may be named once it holds a copy of the client
        self.call("PATCH", f"/clients/{self.client_id}", {"data": {"lrl_flag": True}})

    # --- what no machine here can give ---

    def sql(self, statement: str, *values: Any) -> list[Any]:
        """The rows of a statement on the catalogue."""
        settings = self.settings("api")

        async def run() -> list[Any]:
            connection = await asyncpg.connect(
                host=settings.text("DB_HOST"), port=settings.port("DB_PORT"), user=settings.text("DB_USER"),
                database=settings.text("DB_NAME"), password=settings.secret("DB_PASSWORD_FILE"),
            )  # fmt: skip
            try:
                return list(await connection.fetch(statement, *values))
            finally:
                await connection.close()

        return asyncio.run(run())

    def inserted(self, table: str, **values: Any) -> int:
        """A row of the catalogue; its id."""
        names, marks = ", ".join(values), ", ".join(f"${n}" for n in range(1, len(values) + 1))
        return int(self.sql(f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING id", *values.values())[0]["id"])
