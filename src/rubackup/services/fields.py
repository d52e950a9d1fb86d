"""What is wrong with a request, field by field, and the rows that its names and ids stand for.

Names and ids in a body are looked up within the caller's scope: a row out of scope is unknown.
"""

from __future__ import annotations

from typing import Any

import msgspec

from rubackup.catalog.database import Connection
from rubackup.domain import names
from rubackup.domain.errors import Invalid
from rubackup.domain.identity import parse_client_label
from rubackup.domain.lookups import Lookup
from rubackup.domain.units import parse_interval
from rubackup.services import storage_kinds
from rubackup.services.scopes import EVERYTHING, Limit

Ref = int | str
"""A row by its id, or by its name (a client: `hostname (hwid)`)."""
Set = msgspec.UnsetType
Row = Any


class Problems:
    """Gathers the errors of all fields before any is raised."""

    def __init__(self) -> None:
        self.fields: dict[str, str] = {}

    def add(self, field: str, text: str) -> None:
        """Note an error; the first one of a field is kept."""
        self.fields.setdefault(field, text)

    def raise_any(self) -> None:
        """Raise Invalid with everything that was noted, if anything was."""
        if self.fields:
            raise Invalid(fields=dict(self.fields))

    def interval(self, text: str, field: str) -> str | None:
        """The interval as the catalogue takes it, or None after a note."""
        try:
            return parse_interval(text, field)
        except Invalid as error:
            self.fields.update(error.fields)
            return None

    def label(self, table: type[Lookup], text: str, field: str) -> str:
        """The name of a lookup table as it is written there; '' after a note."""
        found = table.by_label(text)
        if found is None:
            self.add(field, f"must be one of: {', '.join(table.labels())}.")
        return found.label if found else ""

    def name(self, text: str, field: str) -> str:
        """A name that can be seen (`domain.names`); '' after a note."""
        if text.strip() and not names.has_unseen(text):
            return text
        self.add(field, f"must be a string{names.MEANINGS[names.NAME]}.")
        return ""

    def folder(self, text: str, field: str) -> str:
        """An absolute path without doubled and trailing slashes; '' after a note."""
        parts = [part for part in text.split("/") if part not in {"", "."}]
        if not text.startswith("/") or ".." in parts or "\0" in text:
            self.add(field, "must be an absolute path without '..'.")
            return ""
        return "/" + "/".join(parts)

    def host_path(self, text: str, field: str) -> str:
        """As `folder`, for a path that administrators choose: without control characters."""
        if any(ord(sign) < 32 or ord(sign) == 127 for sign in text):
            self.add(field, "must be an absolute path without control characters.")
            return ""
        return self.folder(text, field)

    async def find(self, db: Connection, statement: str, what: str, value: Ref, field: str, limit: Limit) -> Row:
        """The row that `value` names within `limit`, or None after a note.

        `statement` is a SELECT that ends in WHERE; the columns of id and name are `x.id` and `x.name`.
        """
        column = "x.id" if isinstance(value, int) else "x.name"
        kind = "bigint" if isinstance(value, int) else "text"
        row = await db.fetchrow(f"{statement} {column} = $1::{kind} AND ({limit.numbered(2)})", value, *limit.values)
        if row is None:
            self.add(field, f"unknown {what}.")
        return row

    async def user(self, db: Connection, value: Ref, field: str) -> Row:
        """A user: id."""
        return await self.find(
            db, "SELECT x.id FROM (SELECT id, username AS name FROM users) x WHERE", "user", value, field, EVERYTHING
        )

    async def user_group(self, db: Connection, value: Ref, field: str) -> Row:
        """A user group: id, name."""
        return await self.find(
            db, "SELECT x.id, x.name FROM user_groups x WHERE", "user group", value, field, EVERYTHING
        )

    async def client_group(self, db: Connection, value: Ref, field: str, limit: Limit) -> Row:
        """A client group: id; the limit is about `x.id`."""
        return await self.find(db, "SELECT x.id FROM client_groups x WHERE", "client group", value, field, limit)

    async def strategy(self, db: Connection, value: Ref, field: str, limit: Limit) -> Row:
        """A strategy: id, name, crypto; the limit is about `x.id`."""
        return await self.find(
            db, "SELECT x.id, x.name, x.crypto FROM backup_strategies x WHERE", "strategy", value, field, limit
        )

    async def media_server(self, db: Connection, value: Ref, field: str, limit: Limit) -> Row:
        """A media server: id, hwid; the limit is about `x.id`."""
        return await self.find(db, _MEDIA_SERVER, "media server", value, field, limit)

    async def pool(self, db: Connection, value: Ref, field: str, limit: Limit) -> Row:
        """A pool: id, name, pool_type, retention_period, its media server and number of storages.

        The limit is about `x.media_server_id`. The row is kept until the transaction ends.
        """
        return await self.find(db, POOL, "pool", value, field, limit)

    async def place(self, db: Connection, value: Ref, field: str, limit: Limit) -> Row:
        """Where backups go: a pool as `pool` gives it, or by name a dynamic pool group, as the first pool in it.

        A pool of that name wins. `group_id` and `group_name` are None for a pool. A group counts as far as the limit holds
        for a pool in it.
        """
        found = Problems()
        if (row := await found.pool(db, value, field, limit)) is not None:
            return {**row, "group_id": None, "group_name": None}
        if isinstance(value, int):
            self.fields.update(found.fields)
            return None
        row = await db.fetchrow(f"{_MEMBER} ({limit.numbered(2)}){_FIRST}", value, *limit.values)
        if row is None:
            self.add(field, "unknown pool, and no dynamic pool group with a pool that is enabled.")
            return None
        return dict(row)

    async def client(self, db: Connection, value: Ref, field: str, limit: Limit) -> Row:
        """A client: id, hwid, hostname, group_id, resource_types, centralized_restore, ciphers, key_ids.

        The limit is about `x.group_id`.
        """
        if isinstance(value, str):
            try:
                hostname, hwid = parse_client_label(value, field)
            except Invalid as error:
                self.fields.update(error.fields)
                return None
            value = f"{hostname.casefold()} ({hwid})"
        return await self.find(db, _CLIENT, "client", value, field, limit)


_MEDIA_SERVER = "SELECT x.id, x.hwid FROM (SELECT id, hwid, hostname AS name FROM media_servers) x WHERE"
POOL = f"""
SELECT x.* FROM (
    SELECT p.id, p.uuid, p.pool_name AS name, p.pool_type, p.retention_period, p.media_server_id, m.hwid AS media_hwid,
        m.hostname AS media_hostname, m.local_service_mode,
        {storage_kinds.COUNT} AS storages
    FROM pools p JOIN media_servers m ON m.id = p.media_server_id
) x WHERE"""  # noqa: S608 - expressions of the code
"""A pool as `Problems.pool` gives it; a condition on `x` follows."""
_MEMBER = POOL.replace(
    "SELECT x.* FROM (", "SELECT x.*, g.id AS group_id, g.name AS group_name FROM dynamic_pool_groups g "
    "JOIN dynamic_pool_groups_records r ON r.group_id = g.id AND r.enabled JOIN (", 1
).replace(") x WHERE", ") x ON x.id = r.pool_id WHERE g.name = $1 AND", 1)  # fmt: skip
_FIRST = " ORDER BY x.storages = 0, r.id LIMIT 1"
_CLIENT = """
SELECT x.* FROM (
    SELECT id, hwid, hostname, group_id, resource_types, centralized_restore, ciphers, key_ids,
        lower(hostname) || ' (' || hwid || ')' AS name FROM clients
) x WHERE"""


def given(**fields: Any) -> dict[str, Any]:
    """The columns that a change sets: those that were given."""
    return {name: value for name, value in fields.items() if value is not msgspec.UNSET}


async def update_columns(db: Connection, table: str, row_id: int, columns: dict[str, Any]) -> None:
    """Set columns of one row; names come from the code, never from a request."""
    if not columns:
        return
    assignments = ", ".join(f"{name} = ${number}" for number, name in enumerate(columns, 2))
    await db.execute(f"UPDATE {table} SET {assignments} WHERE id = $1", row_id, *columns.values())  # noqa: S608 - names of the code
