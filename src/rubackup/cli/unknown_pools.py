"""How pools are told that media servers hold and the catalogue does not know, with the command that takes each in."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import typer

from rubackup.cli import output
from rubackup.domain.pools import BLOCK_DEVICE, CLIENT_DEFINED, CLOUD, HeldKind

_BY_HAND = (
    "Take it in by hand: make the pool with this uuid (rb pools create --uuid …), add its storages to it, then "
    "rubackup rebuild-catalogue"
)
_MADE_OTHERWISE = (
    " If it was made with another block size or hash than is usual, say so in the first command (--block-size, --algorithm, "
    "--hash-length)."
)
_KEYS = (
    " KEY and FILE stand for the access key and the file with the secret key; add region, CA and object lock if it had any "
    "(--region, --ca-file, --object-lock)."
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
    kind = kinds.pop() if len(kinds) == 1 else ""
    if kind == HeldKind.FOLDER:
        first = "Mount what is away, then take it in" if away else "Take it in"
        folders = [one["path"] for one in storages]
        return f"{text} {first}: {_command(pool, folders, taken, server if several else '')}"
    if kind not in _STEPS:
        return f"{text} {_BY_HAND}."
    commands, note = _STEPS[kind](pool, storages, _name(pool, taken), server)
    first = "Attach what is away, then take it in" if away else "Take it in"
    # What comes from a media server is quoted: somebody may paste it into a shell.
    return f"{text}{note} {first}: {' && '.join(map(shlex.join, [*commands, ('rubackup', 'rebuild-catalogue')]))}"


def _copies(pool: Mapping[str, Any], kinds: set[str]) -> str:
    """Nobody has looked how many lie in devices and buckets."""
    return "" if kinds <= {HeldKind.DEVICE, HeldKind.BUCKET} else f"{pool['copies']} copies, "


def _place(storage: Mapping[str, Any]) -> str:
    if storage["kind"] == HeldKind.CLIENT:
        return f"folders of client {output.plain(storage['client'])}"
    return str(output.plain(storage["path"])) + (" (away)" if storage["away"] else "")


Steps = tuple[list[tuple[str, ...]], str]
"""Commands that make pool and storages, and a sentence about what they cannot know."""


def _of_devices(pool: Mapping[str, Any], storages: Sequence[Mapping[str, Any]], name: str, server: str) -> Steps:
    keeper = str(output.plain(pool.get("kept_in", ""))) or _KEEPER
    note = f" {_KEEPER} stands for a pool of the type File system of that media server." if keeper == _KEEPER else ""
    made = _made(pool, name, BLOCK_DEVICE, server, "--meta-data-pool", keeper)
    added = [
        ("rb", "block_devices", "create", "--pool", name, "--device", output.plain(one["path"])) for one in storages
    ]
    return [made, *added], note + _MADE_OTHERWISE


def _of_buckets(pool: Mapping[str, Any], storages: Sequence[Mapping[str, Any]], name: str, server: str) -> Steps:
    commands = [_made(pool, name, CLOUD, server)]
    for number, one in enumerate(storages, 1):
        scheme, _, rest = output.plain(one["path"]).partition("://")
        host, _, within = rest.partition("/")
        bucket, _, prefix = within.partition("/")
        commands.append((
            "rb", "clouds", "create", "--pool", name, "--name", f"{name}-{number}", "--endpoint", f"{scheme}://{host}",
            "--bucket", bucket, *(("--prefix", prefix) if prefix else ()), "--access-key", "KEY", "--secret-key-file", "FILE",
        ))  # fmt: skip
    return commands, _KEYS


def _of_clients(pool: Mapping[str, Any], storages: Sequence[Mapping[str, Any]], name: str, server: str) -> Steps:
    told = sorted({str(output.plain(storage)) for one in storages for storage in one.get("client_storages", ())})
    added = (
        "rb", "client_defined_storages", "create", "--pool", name, "--name", told[0] if len(told) == 1 else "NAME",
        "--metadata-fs-pool", str(output.plain(pool.get("kept_in", ""))) or _KEEPER,
    )  # fmt: skip
    which = f": {', '.join(told)}" if told else ""
    note = f" NAME stands for what the folder is called in CLIENT_DEFINED_STORAGES of the client{which}."
    return [_made(pool, name, CLIENT_DEFINED, server), added], "" if len(told) == 1 else note


_STEPS: Mapping[str, Callable[[Mapping[str, Any], Sequence[Mapping[str, Any]], str, str], Steps]] = {
    HeldKind.DEVICE: _of_devices,
    HeldKind.BUCKET: _of_buckets,
    HeldKind.CLIENT: _of_clients,
}


def _made(pool: Mapping[str, Any], name: str, kind: str, server: str, *more: str) -> tuple[str, ...]:
    return (
        "rb", "pools", "create", "--pool-name", name, "--pool-type", kind, "--media-server", server, "--uuid", pool["uuid"], *more,
    )  # fmt: skip


def _name(pool: Mapping[str, Any], taken: set[str]) -> str:
    name = str(output.plain(pool["name"])) or "Found"
    if name in taken or "=" in name:
        name = f"{name.replace('=', '-')}-{pool['uuid'][:8]}"
    taken.add(name)
    return name


def _command(pool: Mapping[str, Any], folders: Sequence[str], taken: set[str], server: str) -> str:
    name = _name(pool, taken)
    options = [part for folder in folders for part in ("--pool", f"{name}={output.plain(folder)}")]
    options += ["--media-server", server] if server else []
    return shlex.join(["rubackup", "rebuild-catalogue", *options])
