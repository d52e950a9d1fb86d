"""Commands for tasks, and for starting and stopping what has a schedule."""

from __future__ import annotations

from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any

import typer

from rubackup.cli import output
from rubackup.cli.rb import completion, tables
from rubackup.cli.rb.access import connect
from rubackup.cli.rb.generic import Json, Wait, carry_out, show
from rubackup.cli.rb.names import find
from rubackup.cli.rb.status import PARTLY, exit_status
from rubackup.cli.rb.tools import TOOLS, Tool, operation
from rubackup.cli.rb.waiting import wait_for
from rubackup.sdk import Client, Refused, condition

Numbers = Annotated[list[int], typer.Argument(metavar="TASK", help="Numbers of tasks.")]
LOGS = {
    "task": ("/task_log", "task_id"), "client": ("/clients_log", "hostname"), "media_server": ("/media_servers_log", "media_server"),
    "rule": ("/global_schedule_log", "rule_ref"), "copy": ("/repository_log", "record"),
}  # fmt: skip
"""Logs by what they are about, and the column that names it."""
OF_THE_TASK = frozenset({HTTPStatus.BAD_REQUEST, HTTPStatus.NOT_FOUND, HTTPStatus.CONFLICT})
"""Refusals that say nothing of other tasks."""


def wait(tasks: Numbers, json: Json = False) -> None:
    """Show progress until tasks have ended; exit status 4 unless all are Done."""
    with connect() as api:
        wait_for(api, tasks, json=json, many=True)


def _each(call: Callable[[Client, int], Any]) -> Callable[..., None]:
    def run(tasks: Numbers, json: Json = False) -> None:
        told: list[dict[str, Any]] = []
        refused: list[Refused] = []
        with connect() as api:
            for number in dict.fromkeys(tasks):
                try:
                    told.append({"task": number, "done": True, "message": call(api, number).message})
                except Refused as error:
                    if len(tasks) == 1 or error.status not in OF_THE_TASK:
                        raise
                    refused.append(error)  # the other tasks may allow it
                    told.append({"task": number, "done": False, "message": error.message})
        if json:
            output.as_json(told)
        for row in () if json else told:
            print(f"task {row['task']}: {output.plain(row['message'])}")
        if refused:
            raise typer.Exit(PARTLY if len(refused) < len(told) else exit_status(refused[0]))

    return run


kill = _each(lambda api, number: api.calls.kill_task({"task_id": number}))
kill.__doc__ = "Kill tasks."
pause = _each(lambda api, number: api.calls.put_task_on_pause({"task_id": number}))
pause.__doc__ = "Put tasks on pause."
proceed = _each(lambda api, number: api.calls.continue_task_working({"task_id": number}))
proceed.__doc__ = "Continue tasks that were put on pause."


def restart(tasks: Numbers, wait: Wait = False, json: Json = False) -> None:
    """Begin ended tasks anew, as new tasks."""
    with connect() as api:
        answer = api.calls.restart_task({"tasks_ids": tasks})
        if wait:
            wait_for(api, answer.tasks, json=json, many=True)
        else:
            show(answer, json=json)


def log(task: Annotated[int, typer.Argument(metavar="TASK", help="Number of the task.")], json: Json = False) -> None:
    """Show the log of a task."""
    _log("task", str(task), 0, json=json)


def log_viewer(
    of: Annotated[
        str,
        typer.Argument(metavar="LOG", help=f"Which log: {', '.join(LOGS)}.", autocompletion=completion.of(list(LOGS))),
    ],
    which: Annotated[
        str,
        typer.Argument(
            metavar="[WHICH]", help="Number of the task, rule or copy, or name of the host; all unless given."
        ),
    ] = "",
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many lines, the newest.")] = 100,
    json: Json = False,
) -> None:
    """Show a log: what tasks, clients, media servers, rules or copies went through."""
    if of not in LOGS:
        raise typer.BadParameter(f"{of} is no log; there are: {', '.join(LOGS)}.")
    _log(of, which, limit, json=json)


def _log(of: str, which: str, limit: int, *, json: bool) -> None:
    path, column = LOGS[of]
    query: dict[str, Any] = {"sort_by": "id", "sort_order": "desc", "limit": limit or 1000}
    if which:
        query["filter_data"] = condition(column, "=", which)
    with connect() as api:
        rows = api.call("GET", path, query=query).data["items"][::-1]
        if of == "task" and which and not rows:
            api.task_queue.read(int(which) if which.isdigit() else 0)  # is there such a task at all?
    if json:
        output.as_json(rows)
    elif of == "task":
        for row in rows:
            print(f"{tables.shown('at', row['at'])}  {row['level']}  {output.plain(row['text'])}")
    elif rows:
        wanted = [name for name in rows[0] if name not in {"id", "hwid"} and not name.endswith("_ref")]
        tables.table(wanted, rows)
    if not rows:
        typer.echo("No lines.", err=True)


def cloud_list(
    conditions: Annotated[list[str], typer.Option(
        "--filter", "-f", metavar="CONDITION", help='Such as status="Execution"; as of rb task_queue list. May repeat.')] = [],  # noqa: B006
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many are shown, the newest.")] = 50,
    json: Json = False,
) -> None:  # fmt: skip
    """List the tasks of pools of the type Cloud."""
    with connect() as api:
        pools = [row["pool_name"] for row in api.pool_list.all(filter_data=condition("pool_type", "=", "Cloud"))]
        found: list[dict[str, Any]] = []
        for name in pools:
            query = {
                "filter_data": [condition("pool", "=", name), *conditions],
                "sort_by": "id",
                "sort_order": "desc",
                "limit": limit,
            }
            found += api.call("GET", "/task_queue", query=query).data["items"]
    rows = sorted(found, key=lambda row: int(row["id"]), reverse=True)[:limit]
    if json:
        output.as_json(rows)
    else:
        tables.table(TOOLS["task_queue"].columns, rows)


def starters(tool: Tool) -> dict[str, Callable[..., None]]:
    """`start` and `stop` of what has the status run or wait."""
    return {"start": _status(tool, "run", "Start them: tasks are made when they are due."), "stop": _status(
        tool, "wait", "Stop them: no more tasks are made.")}  # fmt: skip


def _status(tool: Tool, status: str, doc: str) -> Callable[..., None]:
    facts = operation(tool.family, "set_status")
    assert facts is not None

    def run(
        which: Annotated[list[str], typer.Argument(metavar="ROW", help="Ids or names.")], json: Json = False
    ) -> None:
        with connect() as api:
            body = {"data": [{"id": find(api, tool, name), "status": status} for name in which]}
            show(carry_out(api, facts, facts["path"], {}, body), json=json)

    run.__doc__ = doc
    return run


def commands() -> dict[str, Callable[..., None]]:
    """Commands of `rb task_queue` beside those of the API."""
    return {"wait": wait, "kill": kill, "pause": pause, "continue": proceed, "restart": restart, "log": log}
