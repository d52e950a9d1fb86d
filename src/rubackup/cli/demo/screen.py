"""What the demonstration shows: a live progress bar, results, and lines to paste."""

from __future__ import annotations

import json
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console
from rich.filesize import decimal
from rich.progress import BarColumn, Progress, TaskID, TextColumn
from rich.table import Table

Row = dict[str, Any]
LISTED_DIFFERENCES = 20
LINE_SECONDS = 5.0


class Screen:
    """The console. A step has a bar that follows its task; without a terminal a line every few seconds."""

    def __init__(self, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False)
        self._progress: Progress | None = None
        self._bar: TaskID | None = None
        self._said_at = 0.0

    def say(self, text: str) -> None:
        """A line."""
        self._console.print(text, markup=False, soft_wrap=True)

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """A step of the job: its bar goes away with it, results are said."""
        columns = (
            TextColumn("{task.description}", markup=False),
            BarColumn(bar_width=24),
            TextColumn("{task.percentage:>3.0f} %"),
            TextColumn("{task.fields[told]}", markup=False),
        )
        if not self._console.is_terminal:
            self.say(f"{title} ...")
            self._said_at = time.monotonic()
            yield
            return
        with Progress(*columns, console=self._console, transient=True) as progress:
            self._progress, self._bar = progress, progress.add_task(title, total=100, told="")
            try:
                yield
            finally:
                self._progress = self._bar = None

    def seen(self, task: Row) -> None:
        """Show how far a task is."""
        if self._progress is not None and self._bar is not None:
            self._progress.update(self._bar, completed=float(task["percent"] or 0), told=told(task))
        elif time.monotonic() - self._said_at > LINE_SECONDS:
            self._said_at = time.monotonic()
            self.say(f"   {task['percent'] or 0:.0f} %, {told(task)}")

    def entries(self, rows: list[Row], total: int) -> None:
        """The beginning of a folder of a copy."""
        table = Table(box=None, show_edge=False, pad_edge=False)
        for title in ("mode", "owner", "size", "name"):
            table.add_column(title, justify="right" if title == "size" else "left", overflow="fold")
        for row in rows:
            name = str(row["path"]).rpartition("/")[2] + (f" -> {row['target']}" if row.get("target") else "")
            owner = f"{row['user'] or row['uid']}:{row['group'] or row['gid']}"
            table.add_row(f"{row['type']} {int(row['mode']):04o}", owner, decimal(int(row["size_bytes"])), name)
        self._console.print(table, markup=False)
        if total > len(rows):
            self.say(f"... and {total - len(rows)} more")

    def differences(self, lines: list[str], count: int) -> None:
        """What does not match."""
        for line in lines[:LISTED_DIFFERENCES]:
            self.say(f"  {line}")
        if count > LISTED_DIFFERENCES:
            self.say(f"  ... and {count - LISTED_DIFFERENCES} more")

    def invitation(self, ready: Row, folder: str) -> None:
        """Where the system is, how to log in, and curl lines that work as they stand."""
        api, quoted = ready["api"], shlex.quote
        self.say(
            f"\nSwagger    {ready['api']}/api/v1/\n"
            f"API        {ready['api']}/api/v1\n"
            f"Login      {ready['superuser']}; the password is in {ready['password_file']}\n"
            f"\nPaste into a shell:\n\n"
            f"CA={quoted(ready['ca_file'])}\n"
            f"PASSWORD=$(cat {quoted(ready['password_file'])})\n"
            f"LOGIN=$(curl -s --cacert \"$CA\" -X POST '{api}/api/v1/auth/login' \\\n"
            f"  -H 'accept: application/json' -H 'Content-Type: application/json' \\\n"
            f'  -d \'{{"rubackup_database": "rubackup", "rubackup_user": "{ready["superuser"]}", '
            f'"password": "\'"$PASSWORD"\'"}}\')\n'
            f'field() {{ printf %s "$LOGIN" | sed -E "s/.*\\"$1\\": ?\\"([^\\"]*)\\".*/\\1/"; }}\n'
            f"ACCESS=$(field access_token); CSRF=$(field csrf_token)\n\n"
            f"curl -s --cacert \"$CA\" '{api}/api/v1/task_queue/' \\\n"
            f'  --header "X-CSRF-TOKEN: $CSRF" --header "Authorization: Bearer $ACCESS"\n\n'
            f"curl -s --cacert \"$CA\" --location '{api}/api/v1/task_queue/' \\\n"
            f"  --header 'Content-Type: application/json' \\\n"
            f'  --header "X-CSRF-TOKEN: $CSRF" --header "Authorization: Bearer $ACCESS" \\\n'
            f"  --data {quoted(_backup_body(ready['client'], folder))}\n"
        )


def told(task: Row) -> str:
    """Files, bytes, speed and the time that is left, as far as they are known."""
    parts = [str(task["status"]), f"{task['files_done']} files", decimal(int(task["bytes_done"]))]
    if task["bytes_total"]:
        parts[-1] += f" of {decimal(int(task['bytes_total']))}"
    if task["speed_bytes_per_second"]:
        parts.append(f"{decimal(int(task['speed_bytes_per_second']))}/s")
    if task["eta_seconds"] is not None:
        parts.append(f"{int(task['eta_seconds'])} s left")
    return ", ".join(parts)


def _backup_body(client: str, folder: str) -> str:
    task = {
        "client": client, "resource": folder, "resource_type": "File system", "backup_type": "incremental",
        "pool": "Default", "crypto": "nocrypt", "priority": 100, "storage_duration": "1 Years", "archiving": False,
    }  # fmt: skip
    return json.dumps({"data": {"task": task}})
