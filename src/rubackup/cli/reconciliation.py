"""How it is told in what a pool and the catalogue differ."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import typer

from rubackup.cli import output
from rubackup.roles.recovery.rebuilding import with_storages

NOT_LOOKED_AT = 1
"""Exit status when there was a pool that could not be looked at."""

Asked = Callable[[Mapping[str, Any]], Mapping[str, Any]]


def each(
    pools: Iterable[Mapping[str, Any]],
    items: Callable[[str], Iterable[Mapping[str, Any]]],
    ask: Asked,
    refused: type[Exception],
) -> tuple[dict[str, Mapping[str, Any]], bool]:
    """What `ask` says of each pool by its name, and whether all of all could be looked at; the rest is told on stderr, and does not stop it.

    `items` reads a list of the API.
    """
    stored = with_storages(items)
    told: dict[str, Mapping[str, Any]] = {}
    whole = True
    for row in pools:
        name = row["pool_name"]
        if name not in stored:
            typer.echo(f"{output.plain(name)}: left out, it has no storage.", err=True)
            continue
        try:
            told[name] = ask(row)
            whole = is_whole(name, told[name]) and whole
        except refused as error:
            whole = False
            typer.echo(f"{output.plain(name)}: NOT looked at: {output.plain(str(error))}", err=True)
    return told, whole


def tell_apis(state: Mapping[str, Any]) -> None:
    """Dedicated APIs of whose certificate's renewal the catalogue knows nothing, with the command; `state`: what /server_state says."""
    for one in state.get("ending_certificates", ()):  # an older API tells of none
        name = output.plain(one["name"])
        typer.echo(
            f"{name}: the catalogue knows no certificate of this API but one that ends on {one['ends_at'][:10]}. If it got another"
            f" one after the backup, servers refuse it: on the primary server rb_init --enroll-api {name}, and bring the file over.",
            err=True,
        )


def is_whole(pool: str, found: Mapping[str, Any]) -> bool:
    """Whether all storages of a pool were there; those that were not are told on stderr."""
    if not found["away"]:
        return True
    paths = ", ".join(map(output.plain, found["away"]))
    left = f"{found['not_there']} copies that lie there, or may, are left as they are"
    typer.echo(f"{output.plain(pool)}: NOT looked at: what lies in {paths}, which is away; {left}.", err=True)
    return False


def finish(*, apply: bool, whole: bool) -> None:
    """Say what was not done; typer.Exit when a pool could not be looked at."""
    if not apply:
        print("Nothing was changed. Run it again with --apply.")
    if not whole:
        print("Not every pool could be looked at; run it again when it can.", file=sys.stderr)
        raise typer.Exit(NOT_LOOKED_AT)


def tell(pool: str, found: Mapping[str, Any]) -> None:
    """A line for the pool, and one for each copy."""
    verbs = ("adopted", "marked Not Trusted") if found["applied"] else ("unknown to the catalogue", "not in the pool")
    print(f"{output.plain(pool)}: {found['found']} copies {verbs[0]}, {found['lost']} copies {verbs[1]}.")
    for one in found["found_records"]:
        until = (
            f"kept until {one['store_until']} ({one['kept_by']})" if one["store_until"] else "kept until it is deleted"
        )
        print(f"  + {one['uuid']}  {one['client_hwid']}  {one['size_bytes']}  {output.plain(one['resource'])}  {until}")
    for one in found["lost_records"]:
        print(f"  - {one['uuid']}  copy {one['id']}")
    more = found["found"] + found["lost"] - len(found["found_records"]) - len(found["lost_records"])
    if more > 0:
        print(f"  … and {more} more")


def progress(text: str) -> None:
    """How far it is, beside what is printed at the end."""
    print(output.plain(text), file=sys.stderr, flush=True)
