"""Commands made from the description of the API: every family has its calls as commands.

A command is made when it is asked for, so that `rb` starts as fast with 63 families as with one.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from http import HTTPStatus
from typing import Annotated, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

from rubackup.cli import output, paths
from rubackup.cli.rb import bodies, completion, tables
from rubackup.cli.rb.access import connect
from rubackup.cli.rb.names import find
from rubackup.cli.rb.once import Once, OnceCommand
from rubackup.cli.rb.status import INTERRUPTED, PARTLY, REFUSED, naming
from rubackup.cli.rb.tools import ABOUT, Tool, default_columns, names_of_columns, operation
from rubackup.cli.rb.waiting import wait_for
from rubackup.sdk import Answer, Client
from rubackup.sdk.caller import rows as all_rows
from rubackup.sdk.caller import segment
from rubackup.sdk.operations import FieldFacts, OperationFacts, families

COMMANDS = {"read": "get", "update": "patch"}
"""Verbs of the API's client that a command calls otherwise."""
HIDDEN = {"delete_many", "file", "linked_file", "events"}
"""`delete` takes one or many; files and streams have commands of their own."""
TASKS = {
    "/task_queue", "/repository/{id}/restoring", "/repository/{id}/verification", "/repository/{id}/copying",
    "/repository/{id}/moving", "/pool_list/{id}/cleaning", "/restart_task", "/global_schedule/{id}/execution",
}  # fmt: skip
"""Calls whose tasks of the main queue can be waited for."""

HELP = {"help_option_names": ["--help", "-h"]}
"""What asks for help, everywhere."""

Json = Annotated[bool, typer.Option("--json", help="JSON for scripts.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Data = Annotated[
    str | None,
    typer.Option(
        "--data",
        metavar="FILE",
        help="JSON file with the fields, -: standard input. Options win over it.",
        parser=paths.path_text,
    ),
]
IfMatch = Annotated[str, typer.Option("--if-match", metavar="ETAG", help="Only if the row is still this version.")]
Wait = Annotated[
    bool, typer.Option("--wait", help="Show progress until the task has ended; exit status 4 unless it is Done.")
]


class FamilyGroup(Once, TyperGroup):
    """The commands of a family. Without arguments it lists."""

    def __init__(self, name: str, tool: Tool, own: dict[str, Callable[..., Any]]) -> None:
        self.tool, self._own = tool, own
        super().__init__(name=name, help=summary(name, tool), rich_markup_mode=None, context_settings=HELP)

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - Typer's signature
        """Standard ones first."""
        found = [COMMANDS.get(one["verb"], one["verb"]) for one in families()[self.tool.family]["operations"]]
        deletes = ["delete"] if "delete_many" in found else []
        return [name for name in dict.fromkeys([*found, *deletes, *self._own]) if name not in HIDDEN]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """The command of this name, made now; hyphens are as good as underscores."""
        name = cmd_name.replace("-", "_")
        if name not in self.list_commands(ctx):
            return None
        if name in self._own:
            return command(name, self._own[name])
        if name == "delete":
            return command(name, deletion(self.tool))
        verb = next((verb for verb, told in COMMANDS.items() if told == name), name)
        found = operation(self.tool.family, verb)
        assert found is not None
        return command(name, function(self.tool, found))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """The product's flags are commands; nothing at all is `list`, or `get` where there is one thing only."""
        flags = dict(self.tool.flags)
        if args and args[0] in flags:
            args = [flags[args[0]], *args[1:]]
        first = self.list_commands(ctx)[0]
        option = bool(args) and args[0].startswith("-") and args[0] not in HELP["help_option_names"]
        if first in {"list", "get"} and (option or not (args or ctx.resilient_parsing)):
            args = [first, *args]
        elif not args and not ctx.resilient_parsing:
            args = ["--help"]
        return super().parse_args(ctx, args)


def summary(name: str, tool: Tool) -> str:
    """What a family's command is for."""
    if name in ABOUT:
        return ABOUT[name]
    title = families()[tool.family]["title"]
    return f"{title}." if name == tool.family else f"{title} ({tool.family} of the API)."


def command(name: str, call: Callable[..., Any]) -> Any:
    """A function as a command."""
    made = typer.Typer(
        add_completion=False, rich_markup_mode=None, pretty_exceptions_enable=False, context_settings=HELP
    )
    made.command(name, cls=OnceCommand)(call)
    return get_command(made)


def function(tool: Tool, facts: OperationFacts) -> Callable[..., Any]:
    """The function of a call's command."""
    if facts.get("listed") and facts["method"] == "GET":
        return listing(tool, facts)
    return calling(tool, facts)


def signed(
    call: Callable[..., None], facts: OperationFacts, parameters: list[inspect.Parameter]
) -> Callable[..., None]:
    """A function with the parameters that Typer shall see."""
    call.__signature__ = inspect.Signature(parameters)  # type: ignore[attr-defined]
    call.__annotations__ = {p.name: p.annotation for p in parameters}
    call.__doc__ = f"{facts['summary'].rstrip('.')}. {facts['text']}".strip()
    return call


def one_parameter(name: str, annotation: Any, default: Any = inspect.Parameter.empty) -> inspect.Parameter:
    """A keyword of a command's function."""
    return inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=annotation)


# --- lists ---

_LIST_FLAGS = {"filter_data": "--filter", "sort_by": "--sort", "limit": "--limit"}


def listing(tool: Tool, facts: OperationFacts) -> Callable[..., None]:
    """`list`, and other lists of a family: with the options that its call takes."""
    query = facts.get("query", [])
    names = {f["name"]: f["name"] for f in query}
    columns = names_of_columns(facts)

    def call(
        *, row: str = "", conditions: list[str] | None = None, sort: str = "", desc: bool = False, limit: int = 0,
        every: bool = False, shown: str, json: bool, **rest: Any,
    ) -> None:  # fmt: skip
        asked: dict[str, Any] = bodies.given(query, names, rest)
        asked |= {"filter_data": conditions or None, "sort_by": sort or None, "sort_order": "desc" if desc else None}
        wanted = chosen(shown, columns) or default_columns(tool, facts)
        with connect() as api, naming(_LIST_FLAGS | bodies.flags(query, None)):
            path = facts["path"].replace("{id}", segment(find(api, tool, row))) if row else facts["path"]
            if every:
                found = list(all_rows(api, path, asked, numbered="cursor" not in facts["lists_by"]))
                total = len(found)
            else:
                page = api.call("GET", path, query=asked | {"limit": limit or None}).data
                found, total = page["items"], page["total"]
        if json:
            output.as_json([{n: row[n] for n in wanted} for row in found] if shown else found)
            return
        tables.table(wanted, found)
        if total > len(found):
            typer.echo(f"{len(found)} of {total}; --limit or --all shows more.", err=True)

    return signed(call, facts, [
        *([_row(tool)] if "{id}" in facts["path"] else []), *_list_options(facts, columns), one_parameter("json", Json, False),
        *bodies.options(query, names),
    ])  # fmt: skip


def _list_options(facts: OperationFacts, columns: list[str]) -> list[inspect.Parameter]:
    takes, sorted_by = facts.get("lists_by", []), facts.get("sorted_by", [])
    options = []
    if "filter_data" in takes:
        options.append(one_parameter("conditions", Annotated[list[str], typer.Option(
            "--filter", "-f", metavar="CONDITION", autocompletion=completion.of(columns),
            help='Such as pool_name="Default"; = is, ~ contains, < and > compare. May repeat: all must hold.')], []))  # fmt: skip
    if sorted_by:
        complete = completion.of(sorted_by)
        options += [
            one_parameter("sort", Annotated[str, typer.Option("--sort", help="Column to sort by.", autocompletion=complete)], ""),
            one_parameter("desc", Annotated[bool, typer.Option("--desc", help="The greatest first.")], False),
        ]  # fmt: skip
    if "limit" in takes:
        options += [
            one_parameter("limit", Annotated[int, typer.Option("--limit", min=1, max=1000, help="How many are shown.")], 50),
            one_parameter("every", Annotated[bool, typer.Option("--all", help="Show all, however many.")], False),
        ]  # fmt: skip
    options.append(one_parameter("shown", Annotated[str, typer.Option(
        "--columns", autocompletion=completion.of(columns), help="Columns to show, joined by commas; all: every one.")], ""))  # fmt: skip
    return options


def _row(tool: Tool) -> inspect.Parameter:
    told = typer.Argument(metavar="ROW", help="Id of the row, or its name.", autocompletion=completion.names(tool))
    return one_parameter("row", Annotated[str, told])


def chosen(text: str, columns: list[str]) -> list[str]:
    """The columns that were asked for; a wrong usage names those that there are not."""
    if text == "all":
        return columns
    wanted = [name.strip() for name in text.split(",") if name.strip()]
    if unknown := [name for name in wanted if name not in columns]:
        raise typer.BadParameter(
            f"no such column: {', '.join(unknown)}. There are: {', '.join(columns)}.", param_hint="--columns"
        )
    return wanted


# --- calls ---


def calling(tool: Tool, facts: OperationFacts) -> Callable[..., None]:
    """A command that carries out a call and shows what came of it."""
    query = facts.get("query", [])
    query_names = {f["name"]: f["name"] for f in query}
    taken = facts.get("body")
    names = bodies.short_names(taken["fields"]) if taken else {}
    in_path = "{id}" in facts["path"]
    status_in_path = "{status}" in facts["path"]

    def call(
        *,
        row: str = "",
        data: str | None = None,
        if_match: str = "",
        json: bool = False,
        wait: bool = False,
        **rest: Any,
    ) -> None:
        asked = bodies.given(query, query_names, rest)
        sent = bodies.body(taken, rest, data) if taken else None
        if facts["verb"] == "update" and not (data or _told(sent)):
            raise typer.BadParameter("say what is to be changed: an option for each field, or --data.")
        with connect() as api, naming(bodies.flags(query, taken)):
            path = facts["path"]
            if in_path:
                path = path.replace("{id}", segment(find(api, tool, row)))
            if status_in_path:
                path = path.replace("{status}", segment(row))
            answer = carry_out(api, facts, path, asked, sent, if_match)
            show(answer, json=json)
            if wait:
                wait_for(api, answer.tasks, json=json)

    parameters: list[inspect.Parameter] = []
    if in_path:
        parameters.append(_row(tool))
    if status_in_path:
        told = typer.Argument(
            metavar="STATUS", help="Status: error, killed, broken or obsoleted.",
            autocompletion=completion.of(["error", "killed", "broken", "obsoleted"]),
        )  # fmt: skip
        parameters.append(one_parameter("row", Annotated[str, told]))
    clash = {bodies.parameter(f["name"]) for f in query}
    if taken:
        fields: list[FieldFacts] = [f for f in taken["fields"] if bodies.parameter(f["name"]) not in clash]
        parameters += bodies.options(fields, names)
        parameters.append(one_parameter("data", Data, None))
    parameters += bodies.options(query, query_names)
    if facts.get("if_match") and in_path:
        parameters.append(one_parameter("if_match", IfMatch, ""))
    parameters.append(one_parameter("json", Json, False))
    if facts["method"] == "POST" and facts["path"] in TASKS:
        parameters.append(one_parameter("wait", Wait, False))
    return signed(call, facts, parameters)


def _told(sent: Any) -> bool:
    return bool(sent.get("data") if isinstance(sent, dict) and set(sent) == {"data"} else sent)


def carry_out(
    api: Client, facts: OperationFacts, path: str, query: dict[str, Any], body: Any, if_match: str = ""
) -> Answer[Any]:
    """The answer to a call."""
    headers = {"If-Match": if_match} if if_match else None
    return api.call(
        facts["method"], path, query=query, body=body, headers=headers, repeatable=bool(facts.get("repeatable"))
    )  # fmt: skip


def show(answer: Answer[Any], *, json: bool) -> None:
    """What an answer says: its data, else its sentence. One that went well only in part is an exit status."""
    if json:
        output.as_json(answer.data or {"message": answer.message, "id": answer.row_id, "tasks": answer.tasks})
    elif answer.data:
        tables.anything(answer.data)
    else:
        print(output.plain(answer.message) or "Done.")
        if answer.row_id is not None and not answer.tasks:
            print(f"id {answer.row_id}")
    if answer.status == HTTPStatus.MULTI_STATUS:
        raise typer.Exit(PARTLY)


def deletion(tool: Tool) -> Callable[..., None]:
    """`delete`: one row or many, all or none."""
    single, many = operation(tool.family, "delete"), operation(tool.family, "delete_many")
    facts = single or many
    assert facts is not None

    def call(*, which: list[str], yes: bool, json: bool, if_match: str = "") -> None:
        if len(which) > 1 and (many is None or if_match):
            raise typer.BadParameter("name one row only.")
        with connect() as api:
            ids = [find(api, tool, name) for name in which]
            confirm(f"Delete {', '.join(which)} of {tool.family}?", yes=yes)
            if single is not None and len(ids) == 1:
                path = single["path"].replace("{id}", segment(ids[0]))
                show(carry_out(api, single, path, {}, None, if_match), json=json)
            else:
                assert many is not None
                show(carry_out(api, many, many["path"], {}, {"ids": ids}), json=json)

    return signed(call, facts, [
        one_parameter("which", Annotated[
            list[str], typer.Argument(metavar="ROW", help="Ids or names; all or none.", autocompletion=completion.names(tool))]),
        one_parameter("yes", Yes, False),
        *([one_parameter("if_match", IfMatch, "")] if single is not None and single.get("if_match") else []),
        one_parameter("json", Json, False),
    ])  # fmt: skip


def confirm(question: str, *, yes: bool) -> None:
    """Ask, unless told not to; without a terminal nobody can answer, so that it is refused."""
    if yes:
        return
    if not typer.get_text_stream("stdin").isatty():
        raise typer.BadParameter("there is no terminal to ask on: say --yes.")
    try:
        agreed = typer.confirm(question, err=True)
    except typer.Abort:
        raise typer.Exit(INTERRUPTED) from None
    if not agreed:
        raise typer.Exit(REFUSED)
