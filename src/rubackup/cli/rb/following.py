"""`rb events`: what changes, as it happens."""

from __future__ import annotations

import json as json_text
import sys
from typing import Annotated

import typer

from rubackup.cli import output
from rubackup.cli.rb import completion, tables
from rubackup.cli.rb.access import connect
from rubackup.cli.rb.generic import Json
from rubackup.cli.rb.tools import tool_of
from rubackup.sdk.operations import families


def events(
    family: Annotated[list[str] | None, typer.Option(
        "--family", "-f", help="Only of this family, such as task_queue or pools. May repeat.",
        autocompletion=completion.of(sorted(families())))] = None,
    after: Annotated[str, typer.Option("--after", help="Go on behind the event of this id.")] = "",
    once: Annotated[bool, typer.Option("--once", help="End when what there is has been told.")] = False,
    json: Json = False,
) -> None:  # fmt: skip
    """Follow what changes, a line an event, until Ctrl-C."""
    wanted = [tool.family if (tool := tool_of(name.replace("-", "_"))) else name for name in family or ()]
    with connect() as api, api.follow(wanted, after=after or None, once=once) as told:
        try:
            for event in told:
                if json:
                    print(json_text.dumps({"id": event.id, "name": event.name} | event.data), flush=True)
                    continue
                about = [event.data.get(name) for name in ("kind", "family", "row_id")]
                line = [tables.instant(str(event.data.get("at", ""))), event.name, *about, event.data.get("reason")]
                print("  ".join(output.plain(fact) for fact in line if fact not in {None, ""}), flush=True)
        finally:
            if told.after:
                print(f"Go on with --after {told.after}", file=sys.stderr)
