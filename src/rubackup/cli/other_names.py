"""Programs of the product under the names that its administrators know, where this system does the same elsewhere.

The tools of a client (`rb_archives`, `rb_schedule`, `rb_tasks`) are `rubackup client`. A name with nothing behind it says in one
sentence what there is instead, with the exit status of a wrong usage: a script that calls it must not take it for done.
"""

from __future__ import annotations

import sys
from pathlib import Path

from typer.main import get_command

from rubackup.cli import client
from rubackup.cli.rb.status import USAGE

CLIENT_TOOLS = {"rb_archives": "copies", "rb_schedule": "rules", "rb_tasks": "tasks"}
"""Commands of `rubackup client` by the names of the product's tools."""
PLACES = ("--state", "--socket")
INSTEAD = {
    "rb_remote_replication": "copies do not go to another installation; a second copy goes to another pool, such as a bucket: "
    "rb copy2pool, or the second-copy pools of rb strategies.",
    "rb_update": "hosts are upgraded by their packages (docs/installation.md); rb inventory shows the version of each.",
    "rbcrypt": "keys of encrypted copies are made and kept by rubackup client key; rb crypto lists the ciphers.",
    "rbfd": "files are read, deduplicated and encrypted by rubackup_client itself; its keys are kept by rubackup client key.",
    "rbd": "deduplication has no process of its own: rubackup_client and rubackup_media do it.",
    "rbc": "there is no window for a client; rubackup client does what it did, from a terminal.",
    "rbm": "there is no window for administrators; rb does what it did, and a browser at the API's address shows every call.",
}
"""What there is instead of a program of the product, by its name."""


def client_tool() -> None:
    """Entry of the client's tools: `rb_tasks` is `rubackup client tasks`, `rb_archives restore 5` is `rubackup client restore 5`."""
    program = Path(sys.argv[0]).name
    command = get_command(client.app)
    command.main(args=arguments(program, sys.argv[1:]), prog_name=program)


def arguments(program: str, given: list[str]) -> list[str]:
    """The command line of `rubackup client`: where the client is comes first, then the command that the name stands for."""
    place: list[str] = []
    rest = list(given)
    while rest and rest[0].partition("=")[0] in PLACES:
        taken = 1 if "=" in rest[0] else 2
        place, rest = [*place, *rest[:taken]], rest[taken:]
    known = {
        name for one in client.app.registered_commands if one.callback and (name := one.name or _dashed(one.callback))
    }
    if not rest or rest[0] not in known | {"key"}:
        rest = [CLIENT_TOOLS[program], *rest]
    return [*place, *rest]


def _dashed(function: object) -> str:
    return str(getattr(function, "__name__", "")).replace("_", "-")


def instead() -> None:
    """Entry of the names that have nothing behind them."""
    program = Path(sys.argv[0]).name
    print(f"{program}: {INSTEAD[program]}", file=sys.stderr)
    sys.exit(USAGE)
