"""`rubackup config`: looks at the settings of an installation."""

from __future__ import annotations

import typer

from rubackup.roles.installed.check import check as look
from rubackup.roles.installed.layout import Layout

app = typer.Typer(no_args_is_help=True, help="The settings of this host's installation.")


@app.command()
def check() -> None:
    """Tell everything that is wrong in config.file, rubackup_api.env and rubackup_api_logger.conf; exit status 1 then."""
    report = look(Layout.here())
    for path in report.files:
        print(path)
    for problem in report.problems:
        print(f"  {problem}")
    for note in report.notes:
        print(f"  Note: {note}")
    if report.problems:
        raise typer.Exit(1)
    print("Nothing is wrong.")


@app.callback()
def _config() -> None:
    """Keep `check` a command of its own, although it is the only one."""
