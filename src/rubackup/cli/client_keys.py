"""`rubackup client key`: the keys that this host's copies are encrypted with.

Works on the files, for whoever may read them; the client's process sees a change within seconds. Keys are never arguments.
"""

from __future__ import annotations

import datetime as dt
import os
import socket
import sys
from pathlib import Path
from typing import Annotated

import typer

from rubackup.cli import output, paths
from rubackup.client import recovery_sheet
from rubackup.client.keys import NAME, KeyStore
from rubackup.domain.errors import Invalid, RubackupError, StorageFault
from rubackup.roles.installed.alone import master_key as own_master_key
from rubackup.roles.installed.alone import state_of
from rubackup.roles.installed.layout import Layout
from rubackup.roles.up.state import State

app = typer.Typer(
    no_args_is_help=True,
    help="The keys of encrypted copies. Without them nobody can read these copies: print the recovery sheet.",
)

Json = Annotated[bool, typer.Option("--json", help="JSON for scripts.")]


@app.callback()
def place(
    context: typer.Context,
    master_key: Annotated[
        Path | None,
        typer.Option(
            "--master-key",
            envvar="RUBACKUP_MASTER_KEY",
            help="File of the current key (MASTER_KEY).",
            parser=paths.path,
        ),
    ] = None,
) -> None:
    """Find the keys: beside the client's own key in a state, else beside its socket, unless their file is named."""
    given = context.parent.params if context.parent else {}
    if master_key is not None:
        path = master_key.absolute()
    elif given.get("state") is not None:
        path = State(given["state"].absolute()).master_key
    elif given.get("socket") is not None:
        path = given["socket"].absolute().with_name(NAME)
    elif (own := state_of(installed := Layout.here())) is not None:
        path = own_master_key(installed, own)
    elif installed.hwid("client").exists():
        path = installed.master_key
    else:
        raise typer.BadParameter("name the keys by --master-key, or by --state or --socket of the client.")
    context.obj = KeyStore(path)


def _fail(error: RubackupError) -> typer.Exit:
    typer.echo(f"rubackup: {output.plain(error.message)}", err=True)
    return typer.Exit(1)


@app.command()
def show(context: typer.Context, json: Json = False) -> None:
    """Show ids of the keys, never the keys themselves; what cannot be read is named, with exit status 1."""
    store: KeyStore = context.obj
    try:
        keys, problems = store.readable()
    except RubackupError as error:
        raise _fail(error) from None
    if json:
        output.as_json({"keys": [{"key_id": key.id.hex(), "use": use} for key, _, use in keys], "problems": problems})
    elif keys:
        output.columns(("Key id", "Use"), [(key.id.hex(), use) for key, _, use in keys])
    elif not problems:
        print(f"There is no key in {store.path.parent} yet; the first encrypted copy makes one.")
    if problems:
        raise _fail(StorageFault(" ".join(problems)))


@app.command()
def rotate(context: typer.Context, json: Json = False) -> None:
    """Make a new key for copies from now on. Older copies stay readable with the older keys; print a new sheet."""
    try:
        key = context.obj.rotate()
    except RubackupError as error:
        raise _fail(error) from None
    if json:
        output.as_json({"key_id": key.id.hex()})
    else:
        print(f"New copies are encrypted with the key {key.id.hex()} from now on. Print a new recovery sheet.")


@app.command()
def sheet(
    context: typer.Context,
    to: Annotated[
        Path | None, typer.Option("--to", help="A new file, readable by its owner only.", parser=paths.path)
    ] = None,
) -> None:
    """Print the recovery sheet: every key, in lines with checksums."""
    store: KeyStore = context.obj
    try:
        keys = store.uses()
        if not keys:
            raise Invalid(f"There is no key in {store.path.parent} yet.")
        text = recovery_sheet.sheet(keys, socket.gethostname(), dt.datetime.now(dt.UTC).date())
        if to is not None:
            _write(to, text)
    except RubackupError as error:
        raise _fail(error) from None
    if to is None:
        print(text)


def _write(path: Path, text: str) -> None:
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            file.write(text)
    except OSError as error:
        raise Invalid(f"{path} cannot be written: {error.strerror}.") from error


@app.command(name="import")
def import_sheet(
    context: typer.Context,
    sheet_file: Annotated[
        Path | None, typer.Argument(metavar="[FILE]", help="A recovery sheet; left out: stdin.", parser=paths.path)
    ] = None,
    current: Annotated[
        bool, typer.Option("--current", help="Encrypt new copies with the first key of the sheet.")
    ] = False,
    json: Json = False,
) -> None:
    """Take the keys of a recovery sheet, so that copies of theirs can be restored here."""
    try:
        secrets = recovery_sheet.read(_sheet_text(sheet_file))
        added = [context.obj.add(secret, current=current and not number) for number, secret in enumerate(secrets)]
    except RubackupError as error:
        raise _fail(error) from None
    if json:
        output.as_json({"key_ids": [key.id.hex() for key in added]})
    else:
        for key in added:
            print(f"The key {key.id.hex()} is here.")


def _sheet_text(path: Path | None) -> str:
    limit = recovery_sheet.MAX_SHEET_CHARACTERS + 1
    if path is None:
        return sys.stdin.read(limit)
    try:
        with path.open(encoding="utf-8", errors="replace") as file:
            return file.read(limit)
    except OSError as error:
        raise Invalid(f"{path} cannot be read: {error.strerror}.") from error
