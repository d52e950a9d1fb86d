"""`rubackup client`: what the user of a client's host may do, through the client's process of that host.

Exit status: 0 done, 1 refused, 2 wrong usage, 3 the client's process or its server does not answer,
4 a task that was waited for did not end as Done.
"""

from __future__ import annotations

import contextlib
import os
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, TypeVar

import msgspec
import typer

from rubackup.cli import client_keys, output, paths
from rubackup.cli.rb import waiting
from rubackup.cli.rb.status import INTERRUPTED
from rubackup.cli.rb.tables import instant, size
from rubackup.client.tools.ask import ask
from rubackup.domain.errors import RubackupError, TooManyAttempts, Unavailable
from rubackup.domain.lookups import TaskStatus
from rubackup.domain.tasks import FINAL
from rubackup.roles.installed.layout import Layout
from rubackup.roles.up.state import State
from rubackup.wire.messages import (
    AgentState,
    AskAgent,
    AskDeletion,
    AskOwnClient,
    AskOwnCopies,
    AskOwnRules,
    AskOwnTasks,
    Deleted,
    Message,
    OwnClient,
    OwnCopies,
    OwnCopy,
    OwnRules,
    OwnTask,
    OwnTasks,
    Queued,
    Requested,
    RequestRule,
    RequestRuleDeletion,
    StartBackup,
    StartRestore,
)

REFUSED, USAGE, UNREACHABLE, NOT_DONE = 1, 2, 3, 4
POLL_SECONDS = 1.0
PATIENCE_SECONDS = 60.0
"""How long the server may be away while a task is waited for."""
PAGE = 500
HELD_UP = 10
"""How often a question that came too early is asked again."""
_FINAL = frozenset(status.label for status in FINAL)

M = TypeVar("M", bound=Message)

app = typer.Typer(
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    help="The tools of this host's client: its rules (rb_schedule), copies (rb_archives) and tasks (rb_tasks). "
    "For root and the user of the client's process. Exit status: 0 done, 1 refused, 2 wrong usage, "
    "3 no answer, 4 the task did not end as Done.",
)

app.add_typer(client_keys.app, name="key")

Json = Annotated[bool, typer.Option("--json", help="JSON for scripts.")]
Wait = Annotated[bool, typer.Option("--wait", help="Wait for the end of the task; exit status 4 unless it is Done.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do not ask.")]
Comment = Annotated[str, typer.Option(help="What the administrator is told.")]
ResourceType = Annotated[str, typer.Option(help="Type of the resource.")]
BackupType = Annotated[str, typer.Option("--type", help="full, incremental or differential.")]
Keep = Annotated[str, typer.Option(help="How long copies are kept, such as '1 month'.")]
Crypto = Annotated[str, typer.Option(help="How copies are encrypted: a name of the lookup crypto, or nocrypt.")]
Limit = Annotated[int, typer.Option(min=1, max=100_000, help="How many are shown, the newest first.")]


@app.callback()
def place(
    context: typer.Context,
    state: Annotated[
        Path | None, typer.Option("--state", help="State folder of `rubackup up`.", parser=paths.path)
    ] = None,
    socket: Annotated[
        Path | None,
        typer.Option(
            "--socket", envvar="RUBACKUP_CLIENT_SOCKET", help="Socket of the client (CLIENT_SOCKET).", parser=paths.path
        ),
    ] = None,
) -> None:
    """Find the client's process."""
    if state is not None:
        context.obj = State(state.absolute()).client_socket
    elif socket is not None:
        context.obj = socket.absolute()
    elif (installed := Layout.here().client_socket).exists():
        context.obj = installed


def socket_of(context: typer.Context) -> Path:
    """Where the client's process listens; a wrong usage when nothing tells.

    On an autonomous client ConfigurationFault or Unavailable say why it is not there.
    """
    if not isinstance(context.obj, Path):
        from rubackup.roles.installed.alone import check_runs  # noqa: PLC0415 - other hosts need no supervisor

        check_runs(Layout.here())
        raise typer.BadParameter("name the client's process by --state, --socket or RUBACKUP_CLIENT_SOCKET.")
    return context.obj


@contextlib.contextmanager
def told() -> Iterator[None]:
    """An error is one sentence and an exit status."""
    try:
        yield
    except RubackupError as error:
        typer.echo(f"rubackup: {output.plain(error.message)}", err=True)
        raise typer.Exit(_code(error)) from None


def _code(error: RubackupError) -> int:
    return UNREACHABLE if isinstance(error, Unavailable) else REFUSED


def asked(context: typer.Context, message: Message, kind: type[M]) -> M:
    """The answer; an error ends the command. When the server wants fewer questions, a moment later again."""
    with told():
        for _ in range(HELD_UP):
            try:
                return ask(socket_of(context), message, kind)
            except TooManyAttempts:  # nothing was done
                time.sleep(POLL_SECONDS)
        return ask(socket_of(context), message, kind)


# --- looking ---


@app.command()
def status(context: typer.Context, json: Json = False) -> None:
    """Show the client's process, its servers, and what the administrator allows its tools."""
    agent = asked(context, AskAgent(), AgentState)
    own: OwnClient | None = None
    problem, code = "", 0
    try:
        own = ask(socket_of(context), AskOwnClient(), OwnClient)
    except RubackupError as error:
        problem, code = error.message, _code(error)
    if json:
        output.as_json({"agent": _tree(agent), "client": own and _tree(own), "problem": problem})
    else:
        servers = ", ".join(f"{name} ({'connected' if there else 'not connected'})" for name, there in agent.servers)
        output.facts([
            ("client", f"{agent.hostname} ({agent.hwid})"), ("version", agent.package_version), ("servers", servers),
            ("tasks at work", ", ".join(map(str, agent.tasks)) or "none"),
            *([("problem", problem)] if own is None else _settings(own)),
        ])  # fmt: skip
    if code:
        raise typer.Exit(code)


def _settings(own: OwnClient) -> list[tuple[str, str]]:
    yes = {True: "yes", False: "no"}
    return [
        ("group", own.group),
        ("may start backups", yes[own.client_side_backup]),
        ("may start restores", yes[own.client_side_restore]),
        ("takes centralised restores", yes[own.centralized_restore]),
        ("may see rules and make requests", yes[own.lrl_flag]),
        ("pool of own backups", own.ls_pool if own.lsf_flag else "to be named"),
        ("capacity", f"{own.storage_capacity} GB" if own.storage_capacity else "no limit"),
        ("requests that wait", str(own.waiting_requests)),
    ]


@app.command()
def rules(context: typer.Context, json: Json = False) -> None:
    """Show this client's rules of the global schedule, and the requests about them that wait (rb_schedule)."""
    found = asked(context, AskOwnRules(), OwnRules)
    if json:
        output.as_json(_tree(found))
        return
    output.columns(
        ("Id", "Name", "Resource type", "Resource", "Backup type", "Pool", "Schedule", "Kept", "Status"),
        [
            (r.id, r.name, r.resource_type, r.resource, r.backup_type, r.pool, r.schedule, r.storage_duration, r.status)
            for r in found.rules
        ],
        limit=output.terminal_width(),
    )
    if found.requests:
        print()
        output.columns(
            ("Request", "Wanted", "Rule", "Resource", "By", "At", "Comment"),
            [
                (r.id, "a new rule" if r.kind == "new" else f"no rule {r.rule}", r.name, r.resource, r.requested_by,
                 instant(r.requested_at), r.comment)
                for r in found.requests
            ],
            limit=output.terminal_width(),
        )  # fmt: skip


@app.command()
def copies(
    context: typer.Context,
    resource: Annotated[str, typer.Option(help="Only copies of this resource.")] = "",
    limit: Limit = 50,
    json: Json = False,
) -> None:
    """Show this client's copies (rb_archives)."""
    found: list[OwnCopy] = []
    more = True
    while more and len(found) < limit:
        before = found[-1].id if found else 0
        page = asked(
            context, AskOwnCopies(resource=resource, before=before, limit=min(PAGE, limit - len(found))), OwnCopies
        )
        found, more = found + page.copies, page.more
    if json:
        output.as_json({"copies": found, "more": more})
        return
    output.columns(
        ("Id", "Ref id", "Rule", "Resource type", "Resource", "Backup type", "Pool", "Created", "Kept until", "Crypto",
         "Size", "Files", "Failed", "Verification"),
        [
            (c.id, c.parent or "", c.rule or "", c.resource_type, c.resource, c.backup_type, c.pool, instant(c.created_at),
             instant(c.store_until), c.crypto, size(c.size_bytes), c.files, c.files_failed, c.verification_status)
            for c in found
        ],
        limit=output.terminal_width(),
    )  # fmt: skip


@app.command()
def tasks(context: typer.Context, limit: Limit = 50, json: Json = False) -> None:
    """Show this client's tasks (rb_tasks)."""
    found: list[OwnTask] = []
    more = True
    while more and len(found) < limit:
        before = found[-1].id if found else 0
        page = asked(context, AskOwnTasks(before=before, limit=min(PAGE, limit - len(found))), OwnTasks)
        found, more = found + page.tasks, page.more
    if json:
        output.as_json({"tasks": found, "more": more})
        return
    output.columns(
        ("Id", "Task type", "Resource", "Backup type", "Status", "Copy", "Created", "By", "Message"),
        [
            (t.id, t.task_type, t.resource, t.backup_type, t.status, t.record or "", instant(t.created_at), t.created_by, t.message)
            for t in found
        ],
        limit=output.terminal_width(),
    )  # fmt: skip


# --- asking the administrator ---


@app.command()
def request_rule(
    context: typer.Context,
    name: Annotated[str, typer.Argument(help="Name of the rule.")],
    resource: Annotated[str, typer.Argument(help="What to back up; for File system a path.", parser=paths.path_text)],
    cron: Annotated[str, typer.Option(help="Five cron fields: '0 2 * * *' is each night at two.")] = "",
    every: Annotated[str, typer.Option(help="Interval between backups, such as '1 day', instead of --cron.")] = "",
    pool: Annotated[str, typer.Option(help="Pool that stores the copies; left out: the client's own.")] = "",
    backup_type: BackupType = "full",
    keep: Keep = "1 month",
    resource_type: ResourceType = "File system",
    priority: Annotated[int, typer.Option(min=1, max=1000, help="Higher runs first.")] = 100,
    crypto: Crypto = "nocrypt",
    comment: Comment = "",
    json: Json = False,
) -> None:
    """Ask the administrator for a rule of the global schedule."""
    if bool(cron) == bool(every):
        raise typer.BadParameter("give either --cron or --every.")
    fields = cron.split() if cron else [""] * 5
    if len(fields) != 5:
        raise typer.BadParameter("--cron takes five fields: minute, hour, day of the month, month, day of the week.")
    minute, hour, dom, mon, dow = fields
    message = RequestRule(
        name=name, resource_type=resource_type, resource=_resource(resource, resource_type), backup_type=backup_type,
        pool=pool, storage_duration=keep, priority=priority, crypto=crypto, periodic_launch=every, comment=comment,
        min=minute, hour=hour, dom=dom, mon=mon, dow=dow,
    )  # fmt: skip
    _requested(asked(context, message, Requested), json)


@app.command()
def request_rule_deletion(
    context: typer.Context,
    rule: Annotated[int, typer.Argument(min=1, help="Id of the rule.")],
    comment: Comment = "",
    json: Json = False,
) -> None:
    """Ask the administrator to delete a rule of this client. Its copies stay."""
    _requested(asked(context, RequestRuleDeletion(rule=rule, comment=comment), Requested), json)


def _requested(answer: Requested, json: bool) -> None:
    if json:
        output.as_json({"request": answer.id})
    else:
        print(f"Request {answer.id} waits for the administrator.")


# --- doing ---


@app.command()
def backup(
    context: typer.Context,
    resource: Annotated[str, typer.Argument(help="What to back up; for File system a path.", parser=paths.path_text)],
    pool: Annotated[str, typer.Option(help="Pool that stores the copy; left out: the client's own.")] = "",
    backup_type: BackupType = "incremental",
    keep: Keep = "1 month",
    resource_type: ResourceType = "File system",
    crypto: Crypto = "nocrypt",
    wait: Wait = False,
    json: Json = False,
) -> None:
    """Start a backup."""
    message = StartBackup(
        resource_type=resource_type, resource=_resource(resource, resource_type), backup_type=backup_type, pool=pool,
        storage_duration=keep, crypto=crypto,
    )  # fmt: skip
    _queued(context, asked(context, message, Queued).task, wait=wait, json=json)


@app.command()
def restore(
    context: typer.Context,
    record: Annotated[int, typer.Argument(min=1, help="Id of the copy.")],
    to: Annotated[
        Path | None, typer.Option(help="Folder below which files land; left out: where they were.", parser=paths.path)
    ] = None,
    path: Annotated[
        list[str] | None, typer.Option(help="Restore only this, a folder with all below.", parser=paths.path_text)
    ] = None,
    overwrite: Annotated[str, typer.Option(help="Files that are there: if_changed, always or never.")] = "if_changed",
    yes: Yes = False,
    wait: Wait = False,
    json: Json = False,
) -> None:
    """Restore a copy of this client to this host."""
    if to is None and not yes:
        typer.confirm(
            f"Put copy {record} back to where it was, replacing files that have changed?", abort=True, err=True
        )
    message = StartRestore(
        record=record, destination=os.path.abspath(to) if to else "", in_place=to is None,  # noqa: PTH100 - links stay
        paths=[os.path.abspath(one) for one in path or []], overwrite=overwrite,  # noqa: PTH100 - links stay
    )  # fmt: skip
    _queued(context, asked(context, message, Queued).task, wait=wait, json=json)


@app.command()
def delete_copy(
    context: typer.Context,
    record: Annotated[int, typer.Argument(min=1, help="Id of the copy.")],
    yes: Yes = False,
    json: Json = False,
) -> None:
    """Ask the server to delete a copy of this client, which the copy's rule must allow."""
    if not yes:
        typer.confirm(f"Delete copy {record} for good?", abort=True, err=True)
    answer = asked(context, AskDeletion(record=record), Deleted)
    if json:
        output.as_json({"deleted": answer.record})
    else:
        print(f"Copy {answer.record} was deleted.")


def _resource(text: str, resource_type: str) -> str:
    return os.path.abspath(text) if resource_type.casefold() == "file system" else text  # noqa: PTH100 - links stay


def _queued(context: typer.Context, number: int, *, wait: bool, json: bool) -> None:
    """Tell the task's number, or wait for its end."""
    if not wait:
        if json:
            output.as_json({"task": number})
        else:
            print(f"Task {number} was added to the queue.")
        return
    try:
        task = _ended(context, number)
    except KeyboardInterrupt:
        print("\nThe task goes on: rubackup client tasks shows it.", file=sys.stderr)
        raise typer.Exit(INTERRUPTED) from None
    if json:
        output.as_json(task)
    else:
        print(f"Task {number}: {task.status}. {output.plain(task.message)}".rstrip())
    if task.status != TaskStatus.DONE.label:
        raise typer.Exit(NOT_DONE)


def _ended(context: typer.Context, number: int) -> OwnTask:
    heard = begun = time.monotonic()
    with waiting.view() as view:
        while True:
            with told():
                try:
                    (task,) = ask(socket_of(context), AskOwnTasks(task=number, limit=1), OwnTasks).tasks
                    heard = time.monotonic()
                    view.show(_seen(task, heard - begun))
                    if task.status in _FINAL:
                        return task
                except Unavailable:
                    if time.monotonic() - heard > PATIENCE_SECONDS:
                        raise
            time.sleep(POLL_SECONDS)


def _seen(task: OwnTask, seconds: float) -> dict[str, Any]:
    """A task as it is shown while it is waited for; the server does not tell a client's tools how fast it is."""
    rate = task.bytes_done / seconds if seconds > 1 else 0
    left = (task.bytes_total - task.bytes_done) / rate if rate and task.bytes_total else None
    return msgspec.structs.asdict(task) | {
        "percent": 100 * task.bytes_done // task.bytes_total if task.bytes_total else 0,
        "speed_bytes_per_second": rate, "eta_seconds": left,
    }  # fmt: skip


def _tree(message: Message) -> dict[str, Any]:
    """A message without its tag."""
    return msgspec.structs.asdict(message)
