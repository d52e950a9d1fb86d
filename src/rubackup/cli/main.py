"""The command `rubackup`."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from rubackup import __version__
from rubackup.cli import administration, catalogue, client, configuration, media, paths
from rubackup.cli.demo.run import default_folder, demonstrate
from rubackup.domain.errors import RubackupError
from rubackup.roles.up import background
from rubackup.roles.up.main import serve
from rubackup.roles.up.settings import Wishes

app = typer.Typer(no_args_is_help=True, add_completion=True, pretty_exceptions_enable=False, help="RuBackup.")

app.add_typer(client.app, name="client")
app.add_typer(media.app, name="media")
app.add_typer(administration.pool_app, name="pool")
app.add_typer(configuration.app, name="config")
app.add_typer(administration.repository_app, name="repository")
app.command("backup-catalogue")(catalogue.backup_catalogue)
app.command("restore-catalogue")(catalogue.restore_catalogue)
app.command("rebuild-catalogue")(catalogue.rebuild_catalogue)

StateOption = Annotated[
    Path,
    typer.Option(
        "--state", envvar="RUBACKUP_STATE", help="Folder that holds everything of the installation.", parser=paths.path
    ),
]
PortOption = Annotated[int, typer.Option("--port", min=0, max=65535, help="Port of the API; 0: a free one.")]


@app.command()
def up(
    state: StateOption,
    port: PortOption = 0,
    detach: Annotated[bool, typer.Option("--detach", help="Return as soon as everything runs.")] = False,
    new_catalogue: Annotated[
        bool, typer.Option("--new-catalogue", help="Begin with an empty catalogue where the state's is lost.")
    ] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Log everything.")] = False,
) -> None:
    """Run the whole system on this machine, on loopback. Ctrl-C or `rubackup down` stops it."""
    level = "DEBUG" if debug else "INFO"
    if detach:
        told = background.running(state)
        show(
            told
            if told and not port
            else background.start(state, port=port, log_level=level, new_catalogue=new_catalogue)
        )
        return
    serve(state, port=port, log_level=level, announce=show, wishes=Wishes(new_catalogue=new_catalogue))


@app.command()
def down(state: StateOption) -> None:
    """Stop the system of a state and wait until it has stopped."""
    stopped = background.shut_down(state)
    print("Stopped." if stopped else f"Nothing runs on {state}.")


@app.command()
def demo(
    path: Annotated[
        Path | None, typer.Argument(help="What to back up; the standard library unless given.", parser=paths.path)
    ] = None,
    once: Annotated[
        bool, typer.Option("--once", help="Stop everything afterwards; exit 0 only if all matched.")
    ] = False,
    state: Annotated[Path, typer.Option("--state", help="Folder of the demonstration.", parser=paths.path)] = Path(
        "demo-state"
    ),
    port: PortOption = 0,
) -> None:
    """Back a folder up, list, verify and restore it, compare every byte, and leave the system running."""
    try:
        equal = demonstrate(path or default_folder(), state, port=port, once=once)
    except KeyboardInterrupt:
        raise typer.Exit(130) from None
    raise typer.Exit(0 if equal else 1)


@app.command()
def version() -> None:
    """Show the version."""
    print(__version__)


def show(ready: dict[str, Any]) -> None:
    """Tell where the system is and how to log in."""
    print(
        f"API       {ready['api']}/api/v1\n"
        f"Swagger   {ready['api']}/api/v1/\n"
        f"Login     {ready['superuser']}, password in {ready['password_file']}\n"
        f"CA        {ready['ca_file']}\n"
        f"Client    {ready['client']}",
        flush=True,
    )


def main() -> None:
    """Entry of the command. An error is one sentence on stderr and exit status 1."""
    try:
        app()
    except RubackupError as error:
        sys.exit(f"rubackup: {error.message}")
