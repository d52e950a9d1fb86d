"""How pools are told that media servers hold and the catalogue does not know, with the command that takes each in."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import typer

from rubackup.cli import output
from rubackup.domain.pools import HeldKind

_BY_HAND = (
    "Take it in by hand: make the pool with this uuid (rb pools create --uuid …), add its devices or buckets to it, then "
    "rubackup rebuild-catalogue"
)


def tell(
    servers: Iterable[Mapping[str, Any]],
    ask: Callable[[int], Mapping[str, Any]],
    names: Iterable[str],
    refused: tuple[type[Exception], ...],
) -> None:
    """A line on stderr for each. `ask` makes the call for the media server of this id; `names`: pools of the catalogue."""
    rows, taken = list(servers), set(names)
    for row in rows:
        host = output.plain(row["hostname"])
        try:
            found = ask(row["id"])["pools"]
        except refused as error:
            typer.echo(
                f"{host}: pools that the catalogue does not know could not be asked for: {output.plain(str(error))}",
                err=True,
            )
            continue
        for pool in found:
            typer.echo(
                f"{host} holds a pool that the catalogue does not know: {_line(pool, taken, host if len(rows) > 1 else '')}",
                err=True,
            )


def _line(pool: Mapping[str, Any], taken: set[str], server: str) -> str:
    storages = [one for one in pool["storages"] if one["kind"] != HeldKind.EMERGENCY] or pool["storages"]
    lies = ", ".join(output.plain(one["path"]) + (" (away)" if one["away"] else "") for one in storages)
    named = f"{output.plain(pool['name'])} " if pool["name"] else ""
    text = f"{named}{pool['uuid']}, {pool['copies']} copies, in {lies}."
    folders = [one for one in storages if one["kind"] == HeldKind.FOLDER]
    if len(folders) < len(storages):
        return f"{text} {_BY_HAND}."
    first = "Mount what is away, then take it in" if any(one["away"] for one in folders) else "Take it in"
    return f"{text} {first}: {_command(pool, [one['path'] for one in folders], taken, server)}"


def _command(pool: Mapping[str, Any], folders: Sequence[str], taken: set[str], server: str) -> str:
    """What comes from a media server is quoted: somebody may paste it into a shell."""
    name = output.plain(pool["name"]) or "Found"
    if name in taken or "=" in name:
        name = f"{name.replace('=', '-')}-{pool['uuid'][:8]}"
    options = [part for folder in folders for part in ("--pool", f"{name}={output.plain(folder)}")]
    options += ["--media-server", server] if server else []
    return shlex.join(["rubackup", "rebuild-catalogue", *options])
