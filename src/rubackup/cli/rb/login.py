"""`rb login`, `rb logout` and `rb whoami`. A password comes from a prompt or a file, never from the command line."""

from __future__ import annotations

import json as json_text
import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from rubackup.cli import output, paths
from rubackup.cli.rb import access, tables
from rubackup.cli.rb.status import INTERRUPTED
from rubackup.sdk import Client, Misused
from rubackup.sdk.client import DATABASE
from rubackup.sdk.store import read_private

Json = Annotated[bool, typer.Option("--json", help="JSON for scripts.")]


def login(
    url: Annotated[
        str, typer.Argument(help="Address of the API, such as https://backup.example:5656; that of the last login.")
    ] = "",
    user: Annotated[str, typer.Option("--user", "-u", help="Who logs in; the user of the last login.")] = "",
    ca: Annotated[
        Path | None,
        typer.Option(
            "--ca",
            help="Root certificate of the installation; else the system's roots, or the last login's.",
            parser=paths.path,
        ),
    ] = None,
    password_file: Annotated[
        str | None,
        typer.Option(
            "--password-file",
            help="File with the password, readable by its owner alone; -: standard input.",
            parser=paths.path_text,
        ),
    ] = None,
    database: Annotated[str, typer.Option("--database", help="Name of the service database.")] = "",
    state: Annotated[
        Path | None,
        typer.Option(
            "--state", help="State folder of `rubackup up` on this machine: it tells all of that.", parser=paths.path
        ),
    ] = None,
    json: Json = False,
) -> None:
    """Begin a session. It lasts until `rb logout`, at most 24 hours."""
    last = _last(needed=not url and state is None)
    if state is None and not url and not ca and _logs_in_here(own := _own_state(), last, user):
        state = own
    if state is not None:
        place, password_file = _place_of(state, password_file)
    elif url or last is not None or sys.stdin.isatty():
        if not url and last is None:
            url = ask("Address of the API", default="https://localhost:5656")
            ca = ca or _given(ask("Root certificate of the installation (none: the system's roots)", default=_root()))
        url = url or (last.url if last else "")
        base = last if last is not None and url in {"", last.url} else access.Place(url, None, "", DATABASE)
        place = access.Place(base.url, str(ca.absolute()) if ca else base.ca_file, user or base.user, base.database)
    else:
        raise typer.BadParameter("say where the API is, such as https://backup.example:5656.")
    if database:
        place = access.Place(place.url, place.ca_file, place.user, database)
    if not place.user and sys.stdin.isatty():
        place = access.Place(place.url, place.ca_file, ask("User"), place.database)
    if not place.user:
        raise typer.BadParameter("say who logs in: --user.")
    with Client(place.url, ca_file=place.ca_file, store=access.session_store()) as api:
        told = api.login(
            place.user, password(password_file or "", f"Password of {place.user}"), database=place.database
        )
    access.write_place(place)
    _show(place, told["user_name"], told["role"], json, told)


def logout() -> None:
    """End the session: its tokens are revoked and forgotten."""
    store = access.session_store()
    if store.load() is None:
        print("Nobody is logged in.")
        return
    with Client.from_store(store) as api:
        api.logout()
    print("Logged out.")


def whoami(json: Json = False) -> None:
    """Show who is logged in where, and ask the API whether that still holds."""
    with access.connect() as api:
        hello = api.calls.server_hello().data
        session = access.session_store().load()
        place = access.read_place()
        if session is None or place is None:
            _show(access.Place(api.url, None, "", ""), "an API token", [], json, dict(hello))
            return
    _show(place, session.user, list(session.roles), json, dict(hello))


def password(file: str, question: str, *, new: bool = False) -> str:
    """A password of a file, of standard input (`-`), or of a prompt that does not show it, and asks twice for a new one."""
    if file == "-":
        text = sys.stdin.readline()
    elif file:
        found = read_private(Path(file))
        if found is None:
            raise Misused(f"There is no file {file}.")
        text = found
    elif sys.stdin.isatty():
        text = ask(question, hide_input=True, confirmation_prompt=new)
    else:
        raise Misused("There is no terminal to ask for the password: name a file, or - for standard input.")
    if not (text := text.rstrip("\r\n")):
        raise Misused("The password is empty.")
    return text


def ask(question: str, **how: Any) -> str:
    """What somebody answers at the terminal; Ctrl-C and Ctrl-D end the program."""
    try:
        return str(typer.prompt(question, err=True, **how))
    except typer.Abort:
        raise typer.Exit(INTERRUPTED) from None


def _root() -> str:
    """The root certificate of an installation on this host."""
    from rubackup.roles.installed.layout import Layout  # noqa: PLC0415 - nothing else of `rb` needs the product

    found = Layout.here().root_certificate
    return str(found) if found.exists() else "none"


def _given(answer: str) -> Path | None:
    return None if answer == "none" else Path(answer)


def _last(*, needed: bool) -> access.Place | None:
    try:
        return access.read_place()
    except Misused:
        if needed:
            raise
        return None  # it is written anew


def _own_state() -> Path | None:
    """The folder of an autonomous client, when this host is one."""
    from rubackup.domain.errors import RubackupError  # noqa: PLC0415 - nothing else of `rb` needs the product
    from rubackup.roles.installed.config_file import AUTONOMOUS, ConfigFile  # noqa: PLC0415
    from rubackup.roles.installed.layout import Layout  # noqa: PLC0415

    try:
        file = ConfigFile.load(Layout.here().config_file)
        return Path(file.values["autonomous-directory"]) if file.node == AUTONOMOUS else None
    except (RubackupError, KeyError):
        return None


def _logs_in_here(own: Path | None, last: access.Place | None, user: str) -> bool:
    """Whether the login is that of an autonomous client's superuser, whose password this host has: the first, or once more."""
    if own is None or last is None:
        return own is not None
    try:
        here, _ = _place_of(own, "")
    except Misused:
        return False
    return (last.url, user or last.user) == (here.url, here.user)


def _place_of(state: Path, password_file: str | None) -> tuple[access.Place, str]:
    try:
        ready: dict[str, Any] = json_text.loads((state / "ready.json").read_text(encoding="utf-8"))
    except OSError as error:
        raise Misused(
            f"Nothing tells where the API of {state} is ({error.strerror}): does `rubackup up` run?"
        ) from error
    return (
        access.Place(ready["api"], ready["ca_file"], ready["superuser"], DATABASE),
        password_file or ready["password_file"],
    )


def _show(place: access.Place, user: str, roles: list[str], json: bool, told: dict[str, Any]) -> None:
    facts = {"api": place.url, "user": user, "roles": roles}
    if json:
        output.as_json({**told, **facts})
        return
    earlier = [
        (name, tables.shown(name, told[name])) for name in ("last_success_login", "last_fail_login") if told.get(name)
    ]
    output.facts([("api", place.url), ("user", user), ("roles", ", ".join(roles)), *earlier])
