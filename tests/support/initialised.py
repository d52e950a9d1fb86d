"""`rb_init` in processes of their own that are killed where a test wants it, and what an installation consists of."""

from __future__ import annotations

import asyncio
import dataclasses
import hashlib
import os
import signal
import sys
import time
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import asyncpg

from rubackup.catalog.database import DatabaseAddress
from rubackup.roles.init import nodes
from rubackup.roles.init.plan import Plan
from rubackup.roles.installed.layout import Layout
from support.databases import execute

WRITING = {"os.rename", "os.mkdir", "os.chmod", "os.chown", "os.remove"}
WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_CREAT


def in_child(work: Callable[[], None]) -> int:
    """Run it in a fork; what `waitpid` says of its end: 0, -9 when it was killed, 1 when it raised."""
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def killed_after_step(layout: Layout, plan: Plan, number: int) -> int:
    """`rb_init` that dies by SIGKILL after its step of that number, counted from 1; its end as `in_child` has it."""

    def work() -> None:
        after_each_step(die_at(number))
        nodes.set_up(layout, plan, lambda _sentence: None)

    return in_child(work)


def killed_at_write(layout: Layout, plan: Plan, number: int) -> int:
    """The same, dying just before it changes the file system for the `number`th time."""

    def work() -> None:
        tick = die_at(number)

        def watch(event: str, arguments: tuple[Any, ...]) -> None:
            if event in WRITING or (event == "open" and arguments[2] is not None and arguments[2] & WRITE_FLAGS):
                tick()

        sys.addaudithook(watch)
        nodes.set_up(layout, plan, lambda _sentence: None)

    return in_child(work)


def die_at(number: int) -> Callable[[], None]:
    """A function that kills this process when it is called for the `number`th time."""
    left = number

    def tick() -> None:
        nonlocal left
        left -= 1
        if left == 0:
            os.kill(os.getpid(), signal.SIGKILL)

    return tick


def after_each_step(told: Callable[[], None]) -> None:
    """Let this process call `told` after each step of `rb_init`."""

    class Telling(nodes.Step):
        def __init__(self, name: str, work: Callable[[], object]) -> None:
            super().__init__(name, lambda: (work(), told()))

    nodes.Step = Telling  # type: ignore[misc]


def tree(root: Path, *, times: bool = False) -> dict[str, tuple[Any, ...]]:
    """Every file and folder: mode, owner; with `times` content and when it was written, too. Remains of kills are left out."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.name.startswith("."):
            continue
        state = path.lstat()
        facts: tuple[Any, ...] = (oct(state.st_mode), state.st_uid, state.st_gid)
        if times and path.is_file():
            facts = (*facts, hashlib.sha256(path.read_bytes()).hexdigest(), state.st_mtime_ns, state.st_ino)
        found[str(path.relative_to(root))] = facts
    return found


def rows(address: DatabaseAddress) -> dict[str, list[str]]:
    """Every row of every table, as text."""

    async def read() -> dict[str, list[str]]:
        connection = await asyncpg.connect(
            host=address.host, port=address.port, user=address.user, password=address.password,
            database=address.database,
        )  # fmt: skip
        try:
            tables = await connection.fetch(
                "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace AND relkind IN ('r', 'p')"
            )
            return {
                row["relname"]: [
                    found[0] for found in await connection.fetch(f'SELECT t::text FROM "{row["relname"]}" t ORDER BY 1')
                ]
                for row in tables
            }
        finally:
            await connection.close()

    return asyncio.run(read())


@dataclasses.dataclass
class Place:
    """Where one installation is to be: folder and database."""

    layout: Layout
    plan: Plan
    administrator: DatabaseAddress

    @property
    def address(self) -> DatabaseAddress:
        """The service database as PostgreSQL's administrator sees it."""
        return dataclasses.replace(self.administrator, database=self.plan.db_name)


@contextmanager
def empty_place(root: Path, administrator: DatabaseAddress, name: str, **more: Any) -> Iterator[Place]:
    """A place for an installation; role and database go with the block."""
    plan = Plan(
        "primary-server", db_host=administrator.host, db_port=administrator.port, db_name=name, db_user=name,
        db_admin=administrator.user, db_admin_password=administrator.password, superuser_password="a-password-of-tests",
        **more,
    )  # fmt: skip
    try:
        yield Place(Layout(root), plan, administrator)
    finally:
        for statement in (f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"DROP ROLE IF EXISTS {name}"):
            execute(administrator, statement)


def pause() -> None:
    """Let a coarse clock go on, so that a file that is written again has another time."""
    time.sleep(0.01)
