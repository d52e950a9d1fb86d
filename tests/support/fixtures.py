"""Rows in the catalogue for tests of the API, made by SQL; each with names of its own."""

from __future__ import annotations

import datetime as dt
import itertools
import uuid
from typing import Any

from support.api import Api
from support.samples import unique

_numbers = itertools.count(1)
KEYS = {"csr_pem": b"csr", "fingerprint": "ab" * 32}


def stock(api: Api) -> Stock:
    """What makes rows through this caller's catalogue."""
    return Stock(api)


class Stock:
    """Makes rows; every method gives the id of a new one."""

    def __init__(self, api: Api) -> None:
        self.api = api

    def insert(self, table: str, **values: Any) -> int:
        """A row; its id."""
        names, marks = ", ".join(values), ", ".join(f"${n}" for n in range(1, len(values) + 1))
        return int(
            self.api.fetch(f"INSERT INTO {table} ({names}) VALUES ({marks}) RETURNING id", *values.values())[0]["id"]
        )

    def row(self, query: str, *values: Any) -> Any:
        """The first row of a query."""
        return self.api.fetch(query, *values)[0]

    def named(self, table: str, row_id: int, column: str) -> str:
        """The name of a row."""
        return str(self.row(f"SELECT {column} AS name FROM {table} WHERE id = $1", row_id)["name"])

    def label(self, client_id: int) -> str:
        """A client as the guide writes it."""
        row = self.row("SELECT hostname, hwid FROM clients WHERE id = $1", client_id)
        return f"{row['hostname']} ({row['hwid']})"

    def user_group(self) -> int:
        """A user group without users."""
        return self.insert("user_groups", name=unique("user group"), description="d")

    def client_group(self, *, shared: bool = False) -> int:
        """A client group without clients."""
        return self.insert("client_groups", name=unique("client group"), shared=shared, description="d")

    def client(self, *, group: int | None = None, **fields: Any) -> int:
        """An authorised client in a group of its own, or in one that is given."""
        row = {
            "hwid": f"{next(_numbers):016x}", "hostname": unique("rubackup-client"), "os_version": "Debian 12",
            "package_version": "1.0", "resource_types": ["File system"], "group_id": group or self.client_group(),
        }  # fmt: skip
        client = self.insert("clients", **KEYS, **(row | fields))
        self.api.execute(
            "INSERT INTO client_presence (client_id, online, last_online) VALUES ($1, true, now())", client
        )
        return client

    def live_client(self) -> str:
        """The hardware id of a client that is online."""
        return self.named("clients", self.client(), "hwid")

    def unauthorised_client(self) -> int:
        """A client that waits."""
        return self.insert(
            "unauthorised_clients",
            hwid=f"{next(_numbers):016x}",
            hostname=unique("waiting"),
            address="10.0.0.9",
            **KEYS,
        )

    def media_server(self) -> int:
        """An authorised media server without pools."""
        media = self.insert(
            "media_servers", hwid=f"{next(_numbers):064x}", hostname=unique("media"), data_endpoint="10.0.0.1:9993", **KEYS
        )  # fmt: skip
        self.api.execute(
            "INSERT INTO media_presence (media_server_id, online, last_online) VALUES ($1, true, now())", media
        )
        return media

    def unauthorised_media_server(self) -> int:
        """A media server that waits."""
        return self.insert(
            "unauthorised_media_servers", hwid=f"{next(_numbers):064x}", hostname=unique("waiting"),
            data_endpoint="10.0.0.1:9993", **KEYS,
        )  # fmt: skip

    def unauthorised_media_server_name(self) -> str:
        """The host name of a media server that waits."""
        return self.named("unauthorised_media_servers", self.unauthorised_media_server(), "hostname")

    def pool(self, *, media: int | None = None, **fields: Any) -> int:
        """A pool of the type File system without storages."""
        row = {
            "pool_name": unique("pool"), "pool_type": "File system", "media_server_id": media or self.media_server(),
            "description": "d",
        }  # fmt: skip
        return self.insert("pools", **(row | fields))

    def storage(self, *, pool: int | None = None) -> int:
        """A folder of a pool."""
        pool = pool or self.pool()
        media = self.row("SELECT media_server_id FROM pools WHERE id = $1", pool)["media_server_id"]
        return self.insert(
            "storage_local_catalogs", path=f"/rubackup/{unique('s')}", pool_id=pool, media_server_id=media, description="d"
        )  # fmt: skip

    def pool_with_storage(self, **fields: Any) -> int:
        """A pool that backups may use."""
        pool = self.pool(**fields)
        self.storage(pool=pool)
        return pool

    def tape_media_server(self) -> int:
        """A media server with a pool of the type Tape library."""
        media = self.media_server()
        self.pool(media=media, pool_type="Tape library")
        return media

    def task(self, *, client: int | None = None, pool: int | None = None, **fields: Any) -> int:
        """A backup in the queue."""
        pool = pool or self.pool_with_storage()
        media = self.row("SELECT media_server_id FROM pools WHERE id = $1", pool)["media_server_id"]
        row = {
            "task_type": "Backup", "status": "New", "executor": "client", "client_id": client or self.client(),
            "media_server_id": media, "pool_id": pool, "resource_type": "File system", "resource": unique("/home"),
            "backup_type": "full", "storage_duration": dt.timedelta(days=30), "created_by": "rubackup",
            "parameters": {"module": {}, "common": {"worker_parallelism": 2}},
        }  # fmt: skip
        return self.insert("task_queue", **(row | fields))

    def task_line(self, *, task: int | None = None, source: str = "client", text: str = "A line.") -> int:
        """A line of a task's log."""
        return self.insert("task_log", task_id=task or self.task(), source=source, text=text)

    def record(self, *, client: int | None = None, pool: int | None = None, **fields: Any) -> int:
        """A copy of a client's folder."""
        client, pool = client or self.client(), pool or self.pool_with_storage()
        row = self.row("SELECT hostname, hwid, group_id FROM clients WHERE id = $1", client)
        values = {
            "uuid": uuid.uuid4(), "task_id": next(_numbers), "client_id": client, "client_hostname": row["hostname"],
            "client_hwid": row["hwid"], "client_group_id": row["group_id"], "pool_id": pool,
            "resource_type": "File system", "resource": "/home", "backup_type": "full", "crypto": "nocrypt",
            "size_bytes": 10, "stored_bytes": 5, "files": 2, "files_failed": 0, "created_at": dt.datetime.now(dt.UTC),
        }  # fmt: skip
        return self.insert("repository", **(values | fields))

    def live_record(self) -> int:
        """A copy whose media server answers."""
        return self.record()

    def record_line(self) -> int:
        """A line of the repository's log."""
        record = self.record()
        row = self.row("SELECT uuid, client_group_id, pool_id FROM repository WHERE id = $1", record)
        return self.insert(
            "repository_log", record_id=record, record_uuid=row["uuid"], client_group_id=row["client_group_id"],
            pool_id=row["pool_id"], action="created", text="2 files.",
        )  # fmt: skip

    def rule(self, *, client: int | None = None, pool: int | None = None, **fields: Any) -> int:
        """A rule of the global schedule that waits."""
        row = {
            "name": unique("rule"), "client_id": client or self.client(), "pool_id": pool or self.pool_with_storage(),
            "resource_type": "File system", "resource": unique("/home"), "backup_type": "full",
            "storage_duration": "1 day", "min": "0", "hour": "*/2",
        }  # fmt: skip
        return self.insert("global_schedule", **(row | fields))

    def rule_line(self) -> int:
        """A line of the global schedule's log."""
        client = self.client()
        group = self.row("SELECT group_id FROM clients WHERE id = $1", client)["group_id"]
        return self.insert(
            "global_schedule_log", rule_id=self.rule(client=client), rule_name=unique("rule"), client_id=client,
            client=self.label(client), client_group_id=group, user_name="rubackup", action="created",
        )  # fmt: skip

    def strategy(self, *, pool: int | None = None, told: int | None = None, **fields: Any) -> int:
        """A strategy without rules; `told`: the user group that gets its notifications."""
        told = told or self.row("SELECT id FROM user_groups WHERE name = 'Nobody'")["id"]
        groups = ("inform_when_obsoleted_copy", "notify_normal", "notify_exception", "notify_verify",
                  "notify_strategy_validity", "notify_end_storage_capacity")  # fmt: skip
        row = {"name": unique("strategy"), "pool_id": pool or self.pool_with_storage(), "description": "d"}
        return self.insert("backup_strategies", **(row | {f"{one}_group_id": told for one in groups} | fields))

    def strategy_rule(self, *, strategy: int | None = None, client: int | None = None, **fields: Any) -> int:
        """A rule of a strategy."""
        row = {
            "strategy_id": strategy or self.strategy(), "client_id": client or self.client(),
            "resource_type": "File system", "resource": "/" + unique("home"),
            "module_parameters": {"numeric_owner": True}, "common_parameters": {"worker_parallelism": 4},
        }  # fmt: skip
        return self.insert("strategy_rules", **(row | fields))

    def report(self, **fields: Any) -> int:
        """A report of the group Nobody."""
        nobody = self.row("SELECT id FROM user_groups WHERE name = 'Nobody'")["id"]
        row = {"name": unique("report"), "owner_group_id": nobody, "notify_group_id": nobody, "perpetually": True}
        return self.insert("reports", **(row | {"min": "0", "hour": "6", "description": "d"} | fields))

    def notification(self, *, client: int | None = None, **fields: Any) -> int:
        """A notification about a task of a client."""
        client = client or self.client()
        group = self.row("SELECT group_id FROM clients WHERE id = $1", client)["group_id"]
        row = {
            "kind": "normal", "user_group_id": self.user_group(), "cc": "a@example.org", "subject": "Backup Done",
            "text": "Task 1", "task_id": next(_numbers), "client": self.label(client), "client_id": client,
            "client_group_id": group, "strategy_id": next(_numbers) + 10**6,
        }  # fmt: skip
        return self.insert("notifications", **(row | fields))

    def recovery_plan(self, *, client: int | None = None, **fields: Any) -> int:
        """An entry of the disaster recovery plan of a client."""
        client = client or self.client()
        about = self.row("SELECT hostname, hwid, group_id FROM clients WHERE id = $1", client)
        row = {
            "client_id": client, "client_hostname": about["hostname"], "client_hwid": about["hwid"],
            "client_group_id": about["group_id"], "resource_type": "File system", "resource": "/home",
            "description": "d", "restore_destination": "/restored",
        }  # fmt: skip
        return self.insert("disaster_recovery_plan", **(row | fields))

    def strategy_administrator(self, *strategies: int) -> Api:
        """A caller who administers these strategies, and nothing else."""
        return self._scoped("strategy_administrators", "strategy_id", strategies)

    def administrator(self, *groups: int) -> Api:
        """A caller who administers these client groups, and nothing else."""
        return self._scoped("administrators", "client_group_id", groups)

    def maintainer(self, *servers: int) -> Api:
        """A caller who maintains these media servers, and nothing else."""
        return self._scoped("maintainers", "media_server_id", servers)

    def _scoped(self, table: str, column: str, covered: tuple[int, ...]) -> Api:
        name = unique("scoped")
        user = self.api.add_user(name)
        for row_id in covered:
            self.insert(table, user_id=user, **{column: row_id})
        caller = self.api.another()
        caller.login(name)
        return caller
