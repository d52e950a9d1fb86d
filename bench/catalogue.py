"""Backup and restore of a large catalogue, beside PostgreSQL's own pg_dump and pg_restore on the same database in the same run.

    .venv/bin/python bench/catalogue.py [--rows N] [--json FILE]

Rows are those of `bench/api_rows.sql`: so many tasks, with their progress, and as many copies. PostgreSQL runs as in
`rubackup up`, with the durable defaults. `pg_dump` comes from the host's packages of the same major version.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import resource
import shutil
import subprocess
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from rubackup.catalog.backup.file import check
from rubackup.catalog.backup.restoring import restore
from rubackup.catalog.backup.swapping import bare
from rubackup.catalog.backup.taking import take
from rubackup.catalog.database import DatabaseAddress
from rubackup.catalog.migrate import migrate
from rubackup.roles.up.catalogue import connected, make_database
from rubackup.roles.up.postgres import EmbeddedPostgres

FILL = Path(__file__).with_name("api_rows.sql")


def main() -> None:
    """Entry."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="rb-bench-", dir="/var/tmp"))
    folder.chmod(0o711)
    server = EmbeddedPostgres(folder / "state", folder / "run")
    try:
        server.start()
        found = measure(server, folder, chosen.rows)
    finally:
        server.stop()
        shutil.rmtree(folder)
    if chosen.json:
        chosen.json.write_text(json.dumps(found, indent=1) + "\n")


def measure(server: EmbeddedPostgres, folder: Path, rows: int) -> dict[str, object]:
    """Every step, printed as it ends."""
    administrator = server.address()
    source = replace(administrator, user="rubackup", password="bench", database="rubackup")
    target = replace(source, database="target")
    found: dict[str, object] = {"rows": rows, "postgres": server.binaries.major}
    for one in (source, target):
        asyncio.run(make_database(administrator, one))
    asyncio.run(migrate(source))
    asyncio.run(_fill(source, rows))
    found["database_bytes"] = asyncio.run(_value(source, "SELECT pg_database_size(current_database())"))
    print(f"{rows} tasks and copies, {found['database_bytes'] / 1e6:.0f} MB in PostgreSQL")

    def step(name: str, work: Callable[[], object], file: Path | None = None) -> None:
        before, cpu = time.monotonic(), _cpu()
        work()
        row = {"seconds": round(time.monotonic() - before, 1), "cpu_seconds": round(_cpu() - cpu, 1)}
        if file is not None:
            row["bytes"] = file.stat().st_size
        found[name] = row
        print(f"{name:32} {row}", flush=True)

    ours, theirs = folder / "one.rbcat", folder / "one.dump"
    step("backup-catalogue", lambda: asyncio.run(take(source, ours, server="bench", root="")), ours)
    sealed = folder / "sealed.rbcat"
    step(
        "backup-catalogue, encrypted",
        lambda: asyncio.run(take(source, sealed, server="", root="", passphrase=b"x" * 20)),
        sealed,
    )
    step("read whole", lambda: check(ours))
    step("restore-catalogue", lambda: asyncio.run(restore(target, ours, replace=False)))
    step("restore-catalogue --replace", lambda: asyncio.run(restore(target, ours, replace=True)))
    if shutil.which("pg_dump") is None:
        print("pg_dump is not installed")
        return found
    step("pg_dump -Fc", lambda: _tool(source, "pg_dump", "-Fc", "-f", str(theirs), source.database), theirs)
    asyncio.run(_run(administrator, "DROP DATABASE target"))
    asyncio.run(make_database(administrator, target))
    step("pg_restore", lambda: _tool(target, "pg_restore", "-d", target.database, str(theirs)))
    return found


def _tool(address: DatabaseAddress, program: str, *arguments: str) -> None:
    where = ["-h", address.host, "-p", str(address.port), "-U", address.user]
    subprocess.run([program, *where, *arguments], check=True, env={**os.environ, "PGPASSWORD": address.password})


def _cpu() -> float:
    """Processor seconds of this process and of tools that ended; PostgreSQL's are not in it."""
    own, others = (resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


async def _fill(address: DatabaseAddress, rows: int) -> None:
    """Without indexes and references, which are quicker made afterwards."""
    async with connected(address) as db:
        again = await bare(db, "public")
        await db.execute(f"SET rubackup.rows = {rows}; {FILL.read_text()}")
        for statement in [*again, "ANALYZE"]:
            await db.execute(statement)


async def _run(address: DatabaseAddress, statements: str) -> None:
    async with connected(address) as db:
        await db.execute(statements)


async def _value(address: DatabaseAddress, query: str) -> int:
    async with connected(address) as db:
        return int(await db.fetchval(query))


if __name__ == "__main__":
    main()
