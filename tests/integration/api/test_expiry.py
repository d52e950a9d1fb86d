"""A certificate that ends soon: an administrator hears of it in the log, by an event, in figures and in the state."""

from __future__ import annotations

import asyncio
import ssl
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import asyncpg
import httpx
import pytest

from rubackup.catalog.database import Database, DatabaseAddress
from rubackup.roles.expiry import database_warning, days_left, warning, watch
from support.api import PASSWORD
from support.api_process import Authority, process
from support.databases import execute
from support.tls_postgres import tls_postgres


def rows(address: DatabaseAddress, query: str) -> list[Any]:
    """What a query finds."""

    async def ask() -> list[Any]:
        connection = await asyncpg.connect(**address.arguments())
        try:
            return list(await connection.fetch(query))
        finally:
            await connection.close()

    return asyncio.run(ask())


@pytest.mark.parametrize(
    ("life", "days", "told"),
    [
        (365, 31.5, ""), (365, 29.5, "ends in 29 days"), (365, 0.5, "ends in 0 days"), (365, -0.5, "has ended"),
        (45, 11.5, ""), (45, 10.5, "ends in 10 days"),
    ],
)  # fmt: skip
def test_what_is_said_and_when(authority: Authority, life: float, days: float, told: str) -> None:
    """From 30 days before the end, of a shorter life from a quarter of it, with what to type; nothing before."""
    authority.renew(days=life)
    chain = authority.folder / "api.crt"

    said = warning(chain, "api.example", datetime.now(UTC) + timedelta(days=life - days))

    assert told in said
    assert bool(said) == bool(told) == ("rb_init --renew-api api.example" in said)


def test_a_file_that_is_none_has_no_end(tmp_path: Path) -> None:
    """Its own fault is told where it is read."""
    (tmp_path / "x").write_text("no certificate")

    assert days_left(tmp_path / "x") != days_left(tmp_path / "x")
    assert warning(tmp_path / "x", "h") == ""


def test_postgresqls_certificate_is_watched(authority: Authority, superuser: DatabaseAddress) -> None:
    """As its own: a line, and an event. A certificate that is good for long is none of either."""

    async def look(address: DatabaseAddress) -> None:
        database = Database(superuser)
        await database.open()
        watching = asyncio.create_task(watch(database, authority.folder / "api.crt", "api.example", address))
        try:
            async with asyncio.timeout(60):
                while not is_told(await told(database)):  # noqa: ASYNC110 - the catalogue tells nobody
                    await asyncio.sleep(0.1)
        finally:
            watching.cancel()
            await database.close()

    async def told(database: Database) -> list[Any]:
        async with database.connection() as db:
            return list(await db.fetch("SELECT data FROM events WHERE kind = 'certificate'"))

    def is_told(found: list[Any]) -> bool:
        return any((row["data"]["name"], row["data"]["days_left"]) == ("localhost", 0) for row in found)

    with tls_postgres(["localhost"]) as tls:
        asyncio.run(look(replace(tls.address, host="localhost")))
    assert "ends in 0 days" in database_warning("localhost", 0.9)
    assert "has ended" in database_warning("localhost", -0.1)
    assert database_warning("localhost", 30.1) == ""


def test_an_administrator_hears_of_it(authority: Authority, superuser: DatabaseAddress) -> None:
    """One of two workers says it at the start; the event log and `/metrics` have it; the state shows hosts that were enrolled."""
    authority.renew(days=365, left=12)
    execute(
        superuser,
        """INSERT INTO api_hosts (name, hwid, database_role, certificate_serial, certificate_not_after, enrolled_at)
           VALUES ('api.example', 'a', 'r', '1', now() + interval '12 days', now() - interval '353 days'),
                  ('short.example', 'c', 'r', '3', now() + interval '10 days', now() - interval '35 days'),
                  ('overdue.example', 'e', 'r', '5', now() + interval '13 days 12 hours', now() - interval '31 days 12 hours'),
                  ('fresh.example', 'd', 'r', '4', now() + interval '14 days 12 hours', now() - interval '30 days 12 hours'),
                  ('far.example', 'b', 'r', '2', now() + interval '40 days', now() - interval '325 days')""",
    )
    context = ssl.create_default_context(cafile=str(authority.folder / "root.crt"))
    body = {"rubackup_database": superuser.database, "rubackup_user": "rubackup", "password": PASSWORD}
    with (
        process(authority.folder, superuser, WORKERS="2") as (_, port),
        httpx.Client(base_url=f"https://localhost:{port}", verify=context, timeout=60) as http,
    ):
        data = http.post("/api/v1/auth/login", json=body).json()["data"]
        http.headers.update({"Authorization": f"Bearer {data['access_token']}", "X-CSRF-TOKEN": data["csrf_token"]})
        state = http.get("/api/v1/server_state").json()["data"]
        figures = http.get("/metrics").text
        (event,) = rows(superuser, "SELECT family, data FROM events WHERE kind = 'certificate'")

    assert event["family"] == "server_state"
    assert '"name": "localhost"' in event["data"]
    assert [one["name"] for one in state["ending_certificates"]] == ["short.example", "api.example", "overdue.example"]
    assert "rubackup_certificate_days_left 11.9" in figures
    log = (authority.folder / "log").read_text()
    assert log.count("ends in 11 days. On the primary server: rb_init --renew-api localhost") == 1
