"""The entries of `rb` and of its aliases `rb_pools`, `rb_clients` and so on."""

from __future__ import annotations

import io
import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from typer.core import TyperGroup
from typer.main import get_command

from rubackup import __version__
from rubackup.cli import output, paths
from rubackup.cli.rb import access, bodies, copies, following, login, shells, tasks
from rubackup.cli.rb import completion as words
from rubackup.cli.rb.generic import HELP, FamilyGroup, Json, command, function, show
from rubackup.cli.rb.once import Once
from rubackup.cli.rb.status import READER_GONE, USAGE, exit_status, tell
from rubackup.cli.rb.tools import TOOLS, Tool, operation, tool_of
from rubackup.sdk import SdkError
from rubackup.sdk.operations import families

OWN: dict[str, Callable[..., Any]] = {}
"""Commands that are no family, in the order of the help."""


def call(
    method: Annotated[str, typer.Argument(help="GET, POST, PATCH or DELETE.")],
    path: Annotated[str, typer.Argument(help="Path below /api/v1, with its query.")],
    data: Annotated[
        str | None,
        typer.Option("--data", metavar="FILE", help="The body as JSON, -: standard input.", parser=paths.path_text),
    ] = None,
    json: Json = False,
) -> None:
    """Carry out any call of the API."""
    if method.upper() not in {"GET", "POST", "PATCH", "DELETE"}:
        raise typer.BadParameter(f"{method} is not GET, POST, PATCH or DELETE.")
    body = bodies.read_json(data) if data else None
    with access.connect() as api:
        show(api.call(method.upper(), f"/{path.lstrip('/')}", body=body), json=json)


def completion(
    shell: Annotated[
        str, typer.Argument(metavar="SHELL", help="bash, zsh or fish.", autocompletion=words.of(shells.SHELLS))
    ],
    program: Annotated[
        str, typer.Option("--program", help="Only for this command, such as rb_pools; else for all.")
    ] = "",
) -> None:
    """Print what a shell needs to complete `rb` and its aliases, for `eval "$(rb completion bash)"`."""
    if shell not in shells.SHELLS:
        raise typer.BadParameter(f"{shell} is not bash, zsh or fish.")
    every = ["rb", *(f"rb_{name}" for name in ALIASES)]
    if program and program not in every:
        raise typer.BadParameter(f"{program} is not one of {', '.join(every)}.")
    print(shells.script(shell, [program] if program else every), end="")


def version() -> None:
    """Show the version."""
    print(__version__)


OWN |= {
    "login": login.login, "logout": login.logout, "whoami": login.whoami, "backup": copies.backup, "restore": copies.restore,
    "verify": copies.verify, "copy2pool": copies.copy2pool, "log_viewer": tasks.log_viewer, "events": following.events, "call": call,
    "completion": completion, "version": version,
}  # fmt: skip
CLOUD_TASKS = "cloud_task_queue"
ALIASES = (*TOOLS, "copy2pool", "log_viewer", CLOUD_TASKS)
"""What is also a command by itself, `rb_` before it."""
CALLS = "calls"
"""Calls that are no family's are commands by their own names, too."""


class RbGroup(Once, TyperGroup):
    """Commands of their own, the product's tools, and every family of the API."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ARG002 - Typer's signature
        """Families that have a tool are shown by its name."""
        covered = {tool.family for tool in TOOLS.values()}
        return [*OWN, *sorted([*TOOLS, CLOUD_TASKS]), *sorted(name for name in families() if name not in covered)]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        """In three parts: what is done most, the product's tools, and everything else that the API has."""
        tools = sorted([*TOOLS, CLOUD_TASKS])
        others = [name for name in self.list_commands(ctx) if name not in {*OWN, *tools}]
        for title, found in (
            ("Commands", list(OWN)), ("Tools of the product (each is a command rb_…, too)", tools), ("Other families of the API", others),
        ):  # fmt: skip
            with formatter.section(title):
                formatter.write_dl([(name, made(name).get_short_help_str(limit=90)) for name in found])

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ARG002 - Typer's signature
        """The command of this name, made now."""
        return made(cmd_name.replace("-", "_"))


def made(name: str) -> Any:
    """A command of `rb`; None when there is none of this name."""
    if name in OWN:
        return command(name, OWN[name])
    if name == CLOUD_TASKS:
        return FamilyGroup(name, TOOLS["task_queue"], tasks.commands() | {"list": tasks.cloud_list})
    tool = tool_of(name)
    if tool is None:
        alone = operation(CALLS, name)
        return None if alone is None or alone.get("streams") else command(name, function(Tool(CALLS), alone))
    own: dict[str, Callable[..., Any]] = {}
    if tool.family == "repository":
        own = copies.commands()
    elif tool.family == "task_queue":
        own = tasks.commands()
    elif tool.family in {"global_schedule", "backup_strategies", "reports"}:
        own = tasks.starters(tool)
    return FamilyGroup(name, tool, own)


def root(
    profile: Annotated[
        str,
        typer.Option("--profile", help=f"Which of several installations, each with its own login ({access.PROFILE})."),
    ] = "",
    show_version: Annotated[bool, typer.Option("--version", "-V", help="Show the version.", is_eager=True)] = False,
) -> None:
    """RuBackup's tools, through the REST API. Log in first: rb login."""
    if show_version:
        version()
        raise typer.Exit
    if profile:
        os.environ[access.PROFILE] = profile


def group() -> Any:
    """The whole of `rb`."""
    app = typer.Typer(
        cls=RbGroup, add_completion=False, no_args_is_help=True, rich_markup_mode=None, pretty_exceptions_enable=False,
        invoke_without_command=True, context_settings=HELP,
    )  # fmt: skip
    app.callback()(root)
    return get_command(app)


def run(made_command: Any, program: str, arguments: list[str] | None = None) -> None:
    """Carry a command line out. Errors are told on stderr, and by the exit status."""
    if shells.asked():
        sys.exit(shells.answer(made_command, program))
    output.survive_encoding()
    given = sys.argv[1:] if arguments is None else arguments
    printed_to = sys.stdout
    try:
        try:
            made_command.main(args=arguments, prog_name=program)
        finally:
            if sys.stdout is not None:
                sys.stdout.flush()
            if sys.stdout is not printed_to:  # Typer's way to put up with a reader that has gone
                raise BrokenPipeError
    except BrokenPipeError:
        _print_nowhere(printed_to)
        sys.exit(READER_GONE)
    except SdkError as error:
        tell(program, error, as_json="--json" in given)
        sys.exit(exit_status(error))
    except OSError as error:  # a file or folder of the user's
        _print_nowhere(printed_to)
        where = f"{error.filename}: " if error.filename else ""
        print(f"{program}: {where}{error.strerror or error}.", file=sys.stderr)
        sys.exit(USAGE)


def _print_nowhere(stream: TextIO | None) -> None:
    """What could not be printed is given up: Python would try once more at its end."""
    if isinstance(stream, io.TextIOWrapper):
        os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def main() -> None:
    """Entry of `rb`."""
    run(group(), "rb")


def alias() -> None:
    """Entry of the aliases: the name that it was called by says which."""
    program = Path(sys.argv[0]).name
    found = made(program.removeprefix("rb_"))
    if found is None:
        sys.exit(f"{program} is no alias of rb.")
    run(found, program)
