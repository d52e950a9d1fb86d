"""The load: operators who back folders up, restore, verify, copy, move, delete and clean, and look at what came of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from random import Random
from typing import Any, Final

from chaos.book import Asked, Book
from chaos.calls import Caller, GaveUpError
from chaos.folders import Folder

FINAL: Final = {"Done", "Error", "Broken", "Killed"}
OPEN_TASKS: Final = 5
"""Tasks of an operator that may be under way at once."""
KEPT_COPIES: Final = 12
"""More copies of a folder are deleted."""
WEIGHTS: Final = {
    "full": 2, "incremental": 6, "differential": 2, "restore": 5, "verify": 3, "copy": 3, "move": 3, "delete": 3,
    "clean": 1, "change": 4, "pause": 1, "kill": 1,
}  # fmt: skip


class Operator:
    """One thread, with folders that nobody else copies by hand."""

    def __init__(
        self,
        caller: Caller,
        book: Book,
        toss: Random,
        client: str,
        folders: list[Folder],
        pools: list[str],
        targets: Path,
    ) -> None:
        self._caller, self._book, self._toss = caller, book, toss
        self._client, self._folders, self._pools, self._targets = client, folders, pools, targets
        self._open: dict[int, Asked] = {}
        self._made: dict[int, int] = {}
        self._acts: dict[str, Callable[[Folder], None]] = {
            "full": lambda folder: self._backup(folder, "full"),
            "incremental": lambda folder: self._backup(folder, "incremental"),
            "differential": lambda folder: self._backup(folder, "differential"),
            "restore": self._restore, "verify": self._verify, "copy": lambda folder: self._to_pool(folder, "copying"),
            "move": lambda folder: self._to_pool(folder, "moving"), "delete": self._delete, "clean": self._clean,
            "change": lambda folder: folder.change(), "pause": self._pause, "kill": self._stop,
        }  # fmt: skip

    def run(self) -> None:
        """Until the time is over or an answer was not as it must be."""
        try:
            while not self._book.over.wait(self._toss.uniform(0.05, 0.6)):
                self._look()
                if len(self._open) < OPEN_TASKS:
                    (act,) = self._toss.choices(list(WEIGHTS), list(WEIGHTS.values()))
                    self._acts[act](self._toss.choice(self._folders))
        except GaveUpError:
            return
        except Exception as error:
            self._book.differs(f"the trial itself failed: {error!r}")
            raise

    # --- what it asks for ---

    def _begin(
        self, kind: str, folder: Folder | None, numbers: list[int], record: int = 0, target: Path | None = None
    ) -> None:
        for number in numbers:
            self._open[number] = self._book.accepted(Asked(number, kind, folder, record, target))

    def _backup(self, folder: Folder, kind: str) -> None:
        if self._toss.random() < 0.7:
            folder.change()
        task = {
            "resource_type": "File system", "resource": str(folder.path), "client": self._client, "backup_type": kind,
            "pool": self._toss.choice(self._pools[:2]), "crypto": "nocrypt", "priority": self._toss.choice((50, 100, 200)),
            "storage_duration": "1 Years", "archiving": False,
        }  # fmt: skip
        self._begin("Backup", folder, self._caller.task("POST", "/task_queue/", {"data": {"task": task}}))

    def _listed(self, folder: Folder) -> list[dict[str, Any]]:
        """The copies of a folder; none may be there that was deleted."""
        gone = {one for one, of in list(self._book.deleted.items()) if of is folder}
        rows = self._caller.items("/repository", filter_data=f'resource="{folder.path}"', sort_by="id")
        for row in rows:
            self._made[row["id"]] = row["task"]
            if row["id"] in gone:
                self._book.differs(f"copy {row['id']} was deleted, and is listed")
            if row["verification_status"] == "Not Trusted":
                self._book.differs(f"copy {row['id']} is Not Trusted")
        return rows

    def _any(self, folder: Folder) -> dict[str, Any] | None:
        rows = self._listed(folder)
        return self._toss.choice(rows) if rows else None

    def _restore(self, folder: Folder) -> None:
        if row := self._any(folder):
            target = self._targets / f"restored{self._toss.getrandbits(48):012x}"
            order = {
                "target_client": self._client, "destination_path": str(target), "data_deployment": False,
                "granular_restore_files": [""],
            }  # fmt: skip
            body = {"data": {"restore_task": order}}
            numbers = self._caller.task("POST", f"/repository/{row['id']}/restoring", body)
            self._begin("Restore", folder, numbers, row["id"], target)

    def _verify(self, folder: Folder) -> None:
        if row := self._any(folder):
            numbers = self._caller.task("POST", f"/repository/{row['id']}/verification")
            self._begin("Verify", folder, numbers, row["id"])

    def _to_pool(self, folder: Folder, how: str) -> None:
        if row := self._any(folder):
            pool = self._toss.choice([name for name in self._pools if name != row["pool"]])
            numbers = self._caller.task("POST", f"/repository/{row['id']}/{how}", pool=pool)
            self._begin("Copy" if how == "copying" else "Move", folder, numbers, row["id"])

    def _delete(self, folder: Folder) -> None:
        rows = self._listed(folder)
        for row in self._toss.sample(rows, max(len(rows) - KEPT_COPIES, min(len(rows), 1))):
            status, answer = self._caller.ask("DELETE", f"/repository/{row['id']}")
            if status in {200, 204}:
                self._book.deleted[row["id"]] = folder
                self._book.counts["copies deleted"] += 1
            else:
                self._book.counts["refusals"] += 1
                self._book.happens(f"refused: deletion of {row['id']}: {status} {answer['message']}")

    def _clean(self, _folder: Folder) -> None:
        pools = self._caller.items("/pool_list")
        pool = self._toss.choice([row["id"] for row in pools if row["pool_name"] in self._pools])
        self._begin("Clean", None, self._caller.task("POST", f"/pool_list/{pool}/cleaning"))

    def _pause(self, _folder: Folder) -> None:
        """Pause a task, or let a paused one go on."""
        if not self._open:
            return
        number = self._toss.choice(sorted(self._open))
        paused = self._open.keys() & self._book.paused
        number = min(paused) if paused else number
        self._book.paused ^= {number}
        self._operate("continue_task_working" if paused else "put_task_on_pause", number)

    def _stop(self, _folder: Folder) -> None:
        if self._open:
            number = self._toss.choice(sorted(self._open))
            self._book.may_die.add(number)
            self._operate("kill_task", number)

    def _operate(self, verb: str, number: int) -> None:
        status, answer = self._caller.ask("POST", f"/{verb}", {"data": {"task_id": number}})
        self._book.happens(f"{verb} {number}: {status} {answer['message']}")

    # --- what came of it ---

    def _look(self) -> None:
        """Take note of ends; of a restore, hold what it gave against the folder."""
        if not self._open:
            return
        number = self._toss.choice(sorted(self._open))
        status, answer = self._caller.ask("GET", f"/task_queue/{number}")
        if status != 200:
            self._book.differs(f"task {number} was accepted and is gone: {status} {answer['message']}")
            return
        row = answer["data"]
        if row["status"] in FINAL:
            task = self._open.pop(number)
            task.ended = row["status"]
            self._book.counts[f"{task.kind} {row['status']}"] += 1
            if task.target:
                if row["status"] == "Done":
                    self._compare(task)
                shutil.rmtree(task.target, ignore_errors=True)

    def _compare(self, task: Asked) -> None:
        assert task.folder
        assert task.target
        if (window := self._window(task.record)) is None:
            self._book.counts["restored, but from when is not known"] += 1
            return
        restored = task.target / str(task.folder.path).lstrip("/")
        if told := task.folder.differences(restored, *window):
            self._book.differs(f"task {task.number} restored copy {task.record} not as it was: {told}")
        self._book.counts["copies restored and compared"] += 1

    def _window(self, record: int) -> tuple[float, float] | None:
        """From when to when the backup of a copy was in the queue, whatever copied it since; None when that was never seen."""
        while (number := self._made.get(record)) is not None:
            status, answer = self._caller.ask("GET", f"/task_queue/{number}")
            if status != 200:
                self._book.differs(f"task {number} made copy {record} and is gone: {status} {answer['message']}")
                return None
            row = answer["data"]
            if row["task_type"] == "Backup":
                return instant(row["created_at"]), instant(row["finished_at"])
            record = row["record"]
        return None


def instant(text: str) -> float:
    """Seconds of the epoch."""
    return datetime.fromisoformat(text).timestamp()
