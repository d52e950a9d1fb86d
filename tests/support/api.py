"""The API in the test's own process: real PostgreSQL, real tokens, no sockets."""

from __future__ import annotations

import asyncio
import functools
from collections.abc import Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import httpx

from rubackup.api.app import Application, build
from rubackup.catalog.database import Database, DatabaseAddress
from rubackup.domain.permissions import Role
from rubackup.services.no_hosts import NoHosts
from rubackup.services.passwords import _hasher
from support.described import check_described

T = TypeVar("T")
PASSWORD = "Testing12345*"
SECRET = b"a secret of tests, 32 bytes long"
ENVELOPE = {"data", "errors", "is_error", "message"}
HOST = "api.rubackup.local"


@functools.cache
def password_hash() -> str:
    """The stored form of PASSWORD, made once."""
    return _hasher.hash(PASSWORD)


class Values(dict[str, str]):
    """Settings of the API's process."""

    def text(self, key: str, default: str | None = None) -> str:
        """A value."""
        return self.get(key, default or "")

    def integer(self, key: str, default: int | None = None) -> int:
        """A whole number."""
        return int(self.get(key, default or 0))


class Api:
    """A caller of the API. Without a login it sends no tokens."""

    def __init__(self, runner: asyncio.Runner, app: Application, database: Database) -> None:
        self.runner, self.app, self.database = runner, app, database
        self.headers: dict[str, str] = {}
        self.address = "192.0.2.7"

    def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of a coroutine, on the loop that the API runs on."""
        return self.runner.run(work)

    def request(self, method: str, path: str, **given: Any) -> httpx.Response:
        """One call; `path` is below /api/v1 unless it begins with //."""
        answer = self.run(self.send(method, path, **given))
        spoken = method != "HEAD" and answer.headers.get("content-type") == "application/json"
        if spoken and not path.endswith("/openapi.json"):
            assert set(answer.json()) == ENVELOPE, answer.text
            assert answer.json()["is_error"] == (answer.status_code >= 400), answer.text
        return answer

    async def send(self, method: str, path: str, **given: Any) -> httpx.Response:
        """One call, for those who make several at once."""
        url = path[1:] if path.startswith("//") else f"/api/v1{path}"
        given["headers"] = self.headers | (given.get("headers") or {})
        transport = httpx.ASGITransport(self.app, client=(self.address, 4711))
        async with httpx.AsyncClient(transport=transport, base_url=f"https://{HOST}:5656") as client:
            answer = await client.request(method, url, **given)
        check_described(self.app, method, url, answer)
        return answer

    def get(self, path: str, **given: Any) -> httpx.Response:
        """A GET."""
        return self.request("GET", path, **given)

    def post(self, path: str, json: Any = None, **given: Any) -> httpx.Response:
        """A POST."""
        return self.request("POST", path, json=json, **given)

    def patch(self, path: str, json: Any = None, **given: Any) -> httpx.Response:
        """A PATCH."""
        return self.request("PATCH", path, json=json, **given)

    def delete(self, path: str, json: Any = None, **given: Any) -> httpx.Response:
        """A DELETE."""
        return self.request("DELETE", path, json=json, **given)

    def login(self, name: str, password: str = PASSWORD) -> dict[str, Any]:
        """Log in; later calls carry the tokens. The data of the answer."""
        body = {"rubackup_database": self.database.address.database, "rubackup_user": name, "password": password}
        answer = self.post("/auth/login", body, headers={"X-CSRF-TOKEN": "", "Authorization": "Bearer none"})
        assert answer.status_code == 200, answer.text
        data: dict[str, Any] = answer.json()["data"]
        self.headers = {"X-CSRF-TOKEN": data["csrf_token"], "Authorization": f"Bearer {data['access_token']}"}
        return data

    def another(self) -> Api:
        """A second caller of the same API, not logged in."""
        return Api(self.runner, self.app, self.database)

    def user(self, name: str, *roles: Role) -> Api:
        """A caller logged in as a new user with these roles, scoped ones over a new group or media server."""
        self.add_user(name, *roles)
        caller = self.another()
        caller.login(name)
        return caller

    def add_user(self, name: str, *roles: Role) -> int:
        """A new user with PASSWORD; the id."""
        row = self.fetch(
            """INSERT INTO users (username, password_hash, group_id, is_superuser)
               VALUES ($1, $2, (SELECT min(id) FROM user_groups), $3) RETURNING id""",
            name, password_hash(), Role.SUPERUSER in roles,
        )[0]  # fmt: skip
        for role, table in ((Role.SUPERVISOR, "supervisors"), (Role.AUDITOR, "auditors")):
            if role in roles:
                self.execute(f"INSERT INTO {table} (user_id) VALUES ($1)", row["id"])
        if Role.ADMINISTRATOR in roles:
            group = self.fetch("INSERT INTO client_groups (name) VALUES ($1) RETURNING id", f"group of {name}")[0]
            self.execute(
                "INSERT INTO administrators (user_id, client_group_id) VALUES ($1, $2)", row["id"], group["id"]
            )
        if Role.MAINTAINER in roles:
            server = self.fetch(
                """INSERT INTO media_servers (hwid, hostname, csr_pem, fingerprint)
                   VALUES (encode(sha256($1::bytea), 'hex'), $2, '', '') RETURNING id""",
                name.encode(), f"server-of-{name}",
            )[0]  # fmt: skip
            self.execute("INSERT INTO maintainers (user_id, media_server_id) VALUES ($1, $2)", row["id"], server["id"])
        if Role.STRATEGY_ADMINISTRATOR in roles:
            self._appoint(row["id"], name)
        return int(row["id"])

    def _appoint(self, user: int, name: str) -> None:
        """Make a user administrator of a new strategy."""
        strategy = self.fetch(
            """WITH media AS (
                   INSERT INTO media_servers (hwid, hostname, csr_pem, fingerprint)
                   VALUES (encode(sha256($1::bytea), 'hex'), $2, '', '') RETURNING id
               ), pool AS (
                   INSERT INTO pools (pool_name, pool_type, media_server_id)
                   SELECT $2, 'File system', id FROM media RETURNING id
               )
               INSERT INTO backup_strategies (name, pool_id, inform_when_obsoleted_copy_group_id,
                   notify_normal_group_id, notify_exception_group_id, notify_verify_group_id,
                   notify_strategy_validity_group_id, notify_end_storage_capacity_group_id)
               SELECT $2, pool.id, g.id, g.id, g.id, g.id, g.id, g.id FROM pool, user_groups g WHERE g.name = 'Nobody'
               RETURNING id""",
            f"strategy of {name}".encode(), f"strategy-of-{name}",
        )[0]  # fmt: skip
        self.execute("INSERT INTO strategy_administrators (user_id, strategy_id) VALUES ($1, $2)", user, strategy["id"])

    def fetch(self, sql: str, *values: Any) -> list[Any]:
        """Rows of the catalogue."""

        async def work() -> list[Any]:
            async with self.database.connection() as db:
                return list(await db.fetch(sql, *values))

        return self.run(work())

    def execute(self, sql: str, *values: Any) -> None:
        """A statement in the catalogue."""

        async def work() -> None:
            async with self.database.connection() as db:
                await db.execute(sql, *values)

        self.run(work())


@contextmanager
def running_api(address: DatabaseAddress, resources: Any, hosts: Any = None, **given: Any) -> Iterator[Api]:
    """The API over a database, with a superuser `rubackup`, not logged in."""
    settings = Values(APP_HOST=HOST, APP_PORT="5656", RB_SERVER_HOST="10.0.0.1")
    with asyncio.Runner() as runner:
        database = Database(address, size=4)
        runner.run(database.open())
        try:
            app = build(database, hosts or NoHosts(), settings, resources, secret=SECRET, **given)
            api = Api(runner, app, database)
            api.add_user("rubackup", Role.SUPERUSER)
            yield api
        finally:
            runner.run(app.close())
            runner.run(database.close())
