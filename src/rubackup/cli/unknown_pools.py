"""How pools are told that media servers hold and the catalogue does not know, with the command that takes each in."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import typer

from rubackup.cli import output
from rubackup.domain.pools import HeldKind

_BY_HAND = (
    "Take it in by hand: make the pool with this uuid (rb pools create --uuid …), add its storages to it, then "
    "rubackup rebuild-catalogue"
)
_MADE_OTHERWISE = (
    "; if it was made with another block size or hash than is usual, say so in the first command (--block-size, --algorithm, "
    "--hash-length)"
)
_KEEPER = "POOL"
"""Stands for what the command cannot know."""


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
                f"{host} holds a pool that the catalogue does not know: {_line(pool, taken, host, len(rows) > 1)}",
                err=True,
            )


def _line(pool: Mapping[str, Any], taken: set[str], server: str, several: bool) -> str:
    storages = [one for one in pool["storages"] if one["kind"] != HeldKind.EMERGENCY] or pool["storages"]
    kinds = {one["kind"] for one in storages}
    named = f"{output.plain(pool['name'])} " if pool["name"] else ""
    text = f"{named}{pool['uuid']}, {_copies(pool, kinds)}in {', '.join(map(_place, storages))}."
    away = any(one["away"] for one in storages)
    match kinds.pop() if len(kinds) == 1 else "":
        case HeldKind.FOLDER | HeldKind.EMERGENCY:
            first = "Mount what is away, then take it in" if away else "Take it in"
            folders = [one["path"] for one in storages if one["kind"] == HeldKind.FOLDER]
            return f"{text} {first}: {_command(pool, folders, taken, server if several else '')}"
        case HeldKind.DEVICE:
            first = "Attach what is away, then take it in" if away else "Take it in"
            return f"{text} {first}: {_of_devices(pool, storages, taken, server)}"
        case HeldKind.BUCKET:
            return f"{text} Take it in: {_of_buckets(pool, storages, taken, server)}"
        case HeldKind.CLIENT:
            return f"{text} Take it in: {_of_clients(pool, storages, taken, server)}"
    return f"{text} {_BY_HAND}."


def _copies(pool: Mapping[str, Any], kinds: set[str]) -> str:
    """Nobody has looked how many lie in devices and buckets."""
    return "" if kinds <= {HeldKind.DEVICE, HeldKind.BUCKET} else f"{pool['copies']} copies, "


def _place(storage: Mapping[str, Any]) -> str:
    if storage["kind"] == HeldKind.CLIENT:
        return f"folders of client {output.plain(storage['client'])}"
    return str(output.plain(storage["path"])) + (" (away)" if storage["away"] else "")


def _of_devices(pool: Mapping[str, Any], storages: Sequence[Mapping[str, Any]], taken: set[str], server: str) -> str:
    name = _name(pool, taken)
    keeper = output.plain(pool.get("kept_in", "")) or _KEEPER
    made = _made(pool, name, "Block device", server, "--meta-data-pool", keeper)
    added = [
        ("rb", "block_devices", "create", "--pool", name, "--device", output.plain(one["path"])) for one in storages
    ]
    note = f"; {_KEEPER} is a pool of the type File system of that media server" if keeper == _KEEPER else ""
    return _commands(made, *added) + note + _MADE_OTHERWISE


def _of_buckets(pool: Mapping[str, Any], storages: Sequence[Mapping[str, Any]], taken: set[str], server: str) -> str:
    name = _name(pool, taken)
    added = []
    for number, one in enumerate(storages, 1):
        scheme, _, rest = output.plain(one["path"]).partition("://")
        host, _, within = rest.partition("/")
        bucket, _, prefix = within.partition("/")
        added.append((
            "rb", "clouds", "create", "--pool", name, "--name", f"{name}-{number}", "--endpoint", f"{scheme}://{host}",
            "--bucket", bucket, *(("--prefix", prefix) if prefix else ()), "--access-key", "KEY", "--secret-key-file", "FILE",
        ))  # fmt: skip
    note = "; KEY and FILE are the access key and the file with the secret key, and region, CA and object lock as they were"
    return _commands(_made(pool, name, "Cloud", server), *added) + note


def _of_clients(pool: Mapping[str, Any], storages: Sequence[Mapping[str, Any]], taken: set[str], server: str) -> str:
    name = _name(pool, taken)
    told = sorted({output.plain(storage) for one in storages for storage in one.get("client_storages", ())})
    added = (
        "rb", "client_defined_storages", "create", "--pool", name, "--name", told[0] if len(told) == 1 else "NAME",
        "--metadata-fs-pool", output.plain(pool.get("kept_in", "")) or _KEEPER,
    )  # fmt: skip
    which = f" ({', '.join(told)})" if len(told) > 1 else ""
    note = "" if len(told) == 1 else f"; NAME is a name of the folder in CLIENT_DEFINED_STORAGES of the client{which}"
    return _commands(_made(pool, name, "Client defined", server), added) + note


def _made(pool: Mapping[str, Any], name: str, kind: str, server: str, *more: str) -> tuple[str, ...]:
    return (
        "rb", "pools", "create", "--pool-name", name, "--pool-type", kind, "--media-server", server, "--uuid", pool["uuid"], *more,
    )  # fmt: skip


def _commands(*commands: Sequence[str]) -> str:
    """What comes from a media server is quoted: somebody may paste it into a shell."""
    return " && ".join(map(shlex.join, [*commands, ("rubackup", "rebuild-catalogue")]))


def _name(pool: Mapping[str, Any], taken: set[str]) -> str:
    name = str(output.plain(pool["name"])) or "Found"
    if name in taken or "=" in name:
        name = f"{name.replace('=', '-')}-{pool['uuid'][:8]}"
    return name


def _command(pool: Mapping[str, Any], folders: Sequence[str], taken: set[str], server: str) -> str:
    name = _name(pool, taken)
    options = [part for folder in folders for part in ("--pool", f"{name}={output.plain(folder)}")]
    options += ["--media-server", server] if server else []
    return shlex.join(["rubackup", "rebuild-catalogue", *options])
