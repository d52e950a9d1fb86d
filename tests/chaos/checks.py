"""What must be true of the catalogue and the pools, whatever was killed: read from the tables and the folders themselves."""

from __future__ import annotations

import asyncio
import shutil
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import asyncpg

from chaos.book import Book
from chaos.folders import Folder
from chaos.load import FINAL
from rubackup.roles.settings import parse
from support.system import System

SETTLE_SECONDS: Final = 1200.0
"""After the last kill: a lease (15 s), the rest of a suspended task (60 s), and what is queued, on a machine that is very busy."""
TIDY_SECONDS: Final = 600.0
"""Until pools have forgotten what was deleted, and media servers have told all that they sealed."""
RESTORES_AT_ONCE: Final = 8
ATTEMPTS: Final = 5
MAKES: Final = ("Backup", "Copy", "Move")
ALWAYS: Final = {
    "copies of one task": "SELECT task_id, count(*) FROM repository_log WHERE action = 'created' GROUP BY 1 HAVING count(*) > 1",
    "copies listed twice for a task": "SELECT task_id, count(*) FROM repository GROUP BY 1 HAVING count(*) > 1",
    "records created twice": "SELECT record_uuid, count(*) FROM repository_log WHERE action = 'created' GROUP BY 1 HAVING count(*) > 1",
    "copies that went twice": "SELECT record_id, count(*) FROM repository_log WHERE action IN ('deleted', 'moved') GROUP BY 1 HAVING count(*) > 1",
    "copies that went and are listed": "SELECT uuid FROM repository JOIN record_tombstones USING (uuid)",
    "copies listed and never created": "SELECT id FROM repository r WHERE NOT EXISTS (SELECT 1 FROM repository_log l WHERE l.record_uuid = r.uuid AND l.action = 'created' AND l.task_id = r.task_id)",
    "copies that are neither listed nor went": "SELECT record_id FROM repository_log l WHERE action = 'created' AND NOT EXISTS (SELECT 1 FROM repository r WHERE r.uuid = l.record_uuid) AND NOT EXISTS (SELECT 1 FROM record_tombstones t WHERE t.uuid = l.record_uuid)",
    "copies of tasks that are not Done": "SELECT l.record_id, q.id, q.status FROM repository_log l JOIN task_queue q ON q.id = l.task_id WHERE l.action = 'created' AND q.status <> 'Done'",
    "tasks that are Done without a copy": "SELECT id, task_type FROM task_queue q WHERE task_type IN ('Backup', 'Copy', 'Move') AND status = 'Done' AND NOT EXISTS (SELECT 1 FROM repository_log l WHERE l.task_id = q.id AND l.action = 'created')",
    "moves that are Done, or whose source went, but not both": "SELECT id, status FROM task_queue q WHERE task_type = 'Move' AND (status = 'Done') <> EXISTS (SELECT 1 FROM repository_log l WHERE l.task_id = q.id AND l.action = 'moved')",
    "tasks with two ends": "SELECT row_id, array_agg(data ->> 'status') FROM events WHERE family = 'task_queue' AND data ->> 'status' IN ('Done', 'Error', 'Broken', 'Killed') GROUP BY 1 HAVING count(*) > 1",
    "tasks that went on after their end": "SELECT a.row_id FROM events a JOIN events b ON b.family = 'task_queue' AND b.row_id = a.row_id AND b.id > a.id WHERE a.family = 'task_queue' AND a.data ->> 'status' IN ('Done', 'Error', 'Broken', 'Killed')",
    "tasks whose end is another than told": "SELECT q.id FROM task_queue q JOIN events e ON e.family = 'task_queue' AND e.row_id = q.id WHERE e.data ->> 'status' IN ('Done', 'Error', 'Broken', 'Killed') AND e.data ->> 'status' <> q.status",
    "launches made twice": "SELECT rule_id, text FROM global_schedule_log WHERE action = 'executed' AND user_name = '' GROUP BY 1, 2 HAVING count(*) > 1",
    "rules with more or fewer tasks than launches": "SELECT g.id FROM global_schedule g WHERE (SELECT count(*) FROM task_queue q WHERE q.rule_id = g.id AND q.task_type = 'Backup') <> (SELECT count(*) FROM global_schedule_log l WHERE l.rule_id = g.id AND l.action = 'executed') OR (SELECT count(*) FROM schedule_ticks t WHERE t.origin = 'rule' AND t.origin_id = g.id) <> (SELECT count(*) FROM global_schedule_log l WHERE l.rule_id = g.id AND l.action IN ('executed', 'skipped'))",
}  # fmt: skip
"""What must never be found, at any moment."""
AT_THE_END: Final = {
    "reservations in force": "SELECT task_id, kind, key FROM task_reservations WHERE held",
    "tasks that are held": "SELECT id, status FROM task_queue WHERE status IN ('Assigned', 'At_Client', 'Execution', 'Transmission')",
}  # fmt: skip
_GOING_ON = "SELECT id, task_type, status, blocked_on, attempt, message FROM task_queue WHERE status <> ALL ($1::text[]) ORDER BY id"
_TASKS = """
SELECT id, task_type, status, attempt, message, rule_id, record_id, extract(epoch FROM created_at)::float8 AS begun,
    extract(epoch FROM finished_at)::float8 AS ended FROM task_queue"""
_COPIES = "SELECT r.id, r.uuid, r.resource, p.pool_name, r.verification_status FROM repository r JOIN pools p ON p.id = r.pool_id ORDER BY r.id"
_MADE_BY = "SELECT record_id, task_id FROM repository_log WHERE action = 'created'"
_WENT = "SELECT record_id FROM repository_log WHERE action = 'deleted'"


class Checks:
    """Looks at one system."""

    def __init__(self, system: System, book: Book, folders: Sequence[Folder], pools: dict[str, Path]) -> None:
        self._system, self._book = system, book
        self._folders, self._pools = {str(one.path): one for one in folders}, pools
        self._settings = parse((system.state / "etc/server.env").read_text(), "server.env")

    def rows(self, statement: str, *values: Any) -> list[Any]:
        """What the catalogue answers; OSError or asyncpg's errors while it is away."""
        return asyncio.run(self._ask([(statement, values)]))[0]

    async def _ask(self, asked: Sequence[tuple[str, tuple[Any, ...]]]) -> list[list[Any]]:
        of = self._settings
        connection = await asyncpg.connect(
            host=of["DB_HOST"], port=int(of["DB_PORT"]), user=of["DB_USER"], database=of["DB_NAME"],
            password=Path(of["DB_PASSWORD_FILE"]).read_text().strip(), timeout=60,
        )  # fmt: skip
        try:
            return [await connection.fetch(statement, *values) for statement, values in asked]
        except asyncpg.InternalClientError as error:  # PostgreSQL died between two steps of the protocol
            raise ConnectionError(str(error)) from error
        finally:
            connection.terminate()

    def always(self) -> None:
        """What may be found at no moment."""
        self._never(ALWAYS)

    def at_the_end(self) -> None:
        """Nothing is left in force of what is over."""
        self._never(AT_THE_END)

    def _never(self, statements: dict[str, str]) -> None:
        answers = asyncio.run(self._ask([(statement, ()) for statement in statements.values()]))
        for name, found in zip(statements, answers, strict=True):
            if found:
                self._book.differs(f"{name}: {[tuple(row.values()) for row in found[:10]]}")

    def while_it_lasts(self) -> None:
        """The same in the middle of it, if the catalogue is not just away."""
        try:
            self.always()
            self._book.counts["looks at the catalogue"] += 1
        except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError):
            self._book.counts["looks at the catalogue while it was away"] += 1

    # --- the end ---

    def settle(self) -> None:
        """Every task comes to its end."""
        began = time.monotonic()
        while going := self.rows(_GOING_ON, list(FINAL)):
            for row in going:
                if row["status"] == "Paused":
                    self._system.http.post("/continue_task_working", json={"data": {"task_id": row["id"]}})
            if time.monotonic() - began > SETTLE_SECONDS:
                stuck = [tuple(row.values()) for row in going[:10]]
                self._book.differs(f"{len(going)} tasks are stuck: {stuck}")
                return
            time.sleep(0.5)
        self._book.counts["seconds until all tasks had ended"] = round(time.monotonic() - began)

    def tasks(self) -> None:
        """Each accepted task is there, with an end that its kind may have; and there are no others."""
        rows = {row["id"]: row for row in self.rows(_TASKS)}
        for number, asked in self._book.tasks.items():
            if number not in rows:
                self._book.differs(f"task {number} ({asked.kind}) was accepted and is lost")
            elif asked.ended not in {"", rows[number]["status"]}:
                self._book.differs(f"task {number} had ended as {asked.ended} and is {rows[number]['status']} now")
            elif rows[number]["task_type"] != asked.kind:
                self._book.differs(f"task {number} was {asked.kind} and is {rows[number]['task_type']}")
        for number, row in rows.items():
            self._book.counts[f"{row['task_type']} tasks that ended as {row['status']}"] += 1
            if number not in self._book.tasks and row["rule_id"] is None:
                self._book.differs(f"nobody asked for task {number} ({row['task_type']})")
            may = row["status"] == "Done" or (row["status"] == "Killed" and number in self._book.may_die)
            may = may or (row["status"] == "Broken" and row["attempt"] >= ATTEMPTS)
            # Two who move a copy to one pool: the second is led on to the moved copy, which is where it was to go.
            may = may or (row["task_type"] in {"Copy", "Move"} and row["message"].endswith(" already."))
            if not may:
                self._book.differs(f"task {number} ({row['task_type']}) ended as {row['status']}: {row['message']}")

    def deletions(self) -> None:
        """What was answered as deleted went by a deletion, and nothing else did."""
        went = Counter(row["record_id"] for row in self.rows(_WENT))
        asked = Counter(self._book.deleted.keys())
        if went != asked:
            self._book.differs(
                f"deleted twice or unasked: {sorted((went - asked).items())}; not at all: {sorted((asked - went).items())}"
            )

    def pools(self) -> None:
        """Each pool has the copies that the catalogue lists there, and no other."""
        until = time.monotonic() + TIDY_SECONDS
        while told := self._strange():
            if time.monotonic() > until:
                self._book.differs(f"pools and catalogue disagree: {told}")
                return
            time.sleep(0.5)

    def _strange(self) -> list[str]:
        listed = {(row["pool_name"], row["uuid"].hex) for row in self.rows(_COPIES)}
        there = {(name, file.stem) for name, path in self._pools.items() for file in path.rglob("manifests/*.manifest")}
        return [f"{pool} lacks {one}" for pool, one in sorted(listed - there)] + [
            f"{pool} has {one}, which is not listed" for pool, one in sorted(there - listed)
        ]

    def restores(self, targets: Path) -> None:
        """Every copy that is listed restores as its folder was while its backup ran."""
        tasks = {row["id"]: row for row in self.rows(_TASKS)}
        made_by = {row["record_id"]: row["task_id"] for row in self.rows(_MADE_BY)}
        copies = self.rows(_COPIES)
        for at in range(0, len(copies), RESTORES_AT_ONCE):
            part = copies[at : at + RESTORES_AT_ONCE]
            numbers = [self._system.restore(row["id"], targets / f"end{row['id']}") for row in part]
            for row, number in zip(part, numbers, strict=True):
                if row["verification_status"] == "Not Trusted":
                    self._book.differs(f"copy {row['id']} is Not Trusted")
                self._compare(row, number, targets / f"end{row['id']}", tasks, made_by)

    def _compare(self, row: Any, number: int, target: Path, tasks: dict[int, Any], made_by: dict[int, int]) -> None:
        ended = self._system.finished(number, 300)
        told = [f"{ended['status']}: {ended['message']}"]
        if ended["status"] == "Done":
            task = tasks[made_by[row["id"]]]
            while task["task_type"] != "Backup":
                task = tasks[made_by[task["record_id"]]]
            restored = target / row["resource"].lstrip("/")
            told = self._folders[row["resource"]].differences(restored, task["begun"], task["ended"])
        if told:
            self._book.differs(
                f"copy {row['id']} of {row['resource']} in {row['pool_name']} does not restore as it was: {told}"
            )
        self._book.counts["copies restored at the end"] += 1
        shutil.rmtree(target, ignore_errors=True)
