"""`rubackup pool` and `rubackup repository`: what needs no login where `rubackup up` runs. `rb` does all the rest."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer

from rubackup.cli import output, paths, reconciliation, unknown_pools
from rubackup.domain.errors import Invalid, Unavailable
from rubackup.domain.lookups import TaskStatus
from rubackup.domain.pools import WRITTEN
from rubackup.domain.tasks import FINAL
from rubackup.roles.installed.alone import state_of
from rubackup.roles.installed.layout import Layout
from rubackup.roles.recovery import rebuilding
from rubackup.roles.rest import ApiFault, RestClient
from rubackup.roles.up import background

PASSWORD = "RUBACKUP_PASSWORD"  # noqa: S105 - the name of a variable
POLL_SECONDS = 0.5
NOT_DONE = 4
_TASK = re.compile(r"TASK WAS ADDED TO QUEUE:(\d+)")
_FINAL = frozenset(status.label for status in FINAL)

pool_app = typer.Typer(no_args_is_help=True, help="Pools.")
repository_app = typer.Typer(no_args_is_help=True, help="The repository of copies.")


@dataclass(frozen=True)
class Login:
    """Where the API is, and who asks: of a state that runs on this machine, or as given."""

    state: Path | None
    api: str
    ca: Path | None
    user: str


StateOption = Annotated[
    Path | None,
    typer.Option(
        "--state", envvar="RUBACKUP_STATE", help="State of a system that runs on this machine.", parser=paths.path
    ),
]
ApiOption = Annotated[str, typer.Option("--api", help="Address of the API, such as https://backup.example:5656.")]
CaOption = Annotated[
    Path | None, typer.Option("--ca", help="Root certificate that the API is verified by.", parser=paths.path)
]
UserOption = Annotated[str, typer.Option("--user", help=f"Who logs in; the password is read from {PASSWORD}.")]


@contextmanager
def session(login: Login) -> Iterator[RestClient]:
    """The API, logged in. Invalid when it is not told where it is, and this host is no autonomous client."""
    state = login.state or (None if login.api else _own_state())
    if state is not None:
        ready = background.running(state)
        if ready is None:
            raise Unavailable(f"Nothing runs on {state}.")
        password = Path(ready["password_file"]).read_text(encoding="utf-8").strip()
        client = RestClient(ready["api"], Path(ready["ca_file"]), ready["superuser"], password)
    elif login.api and login.ca and login.user and os.environ.get(PASSWORD):
        client = RestClient(login.api, login.ca, login.user, os.environ[PASSWORD])
    else:
        raise Invalid(f"Give --state, or --api, --ca and --user with the password in {PASSWORD}.")
    try:
        yield client
    finally:
        client.close()


def _own_state() -> Path | None:
    """The folder of an autonomous client, when this host is one."""
    found = state_of(Layout.here())
    return found.root if found is not None else None


def pools_of(api: RestClient, name: str = "") -> list[dict[str, Any]]:
    """The pools that data is written to, of whatever type, or the one of this name; Invalid when there is none."""
    found = [row for row in api.items("/pool_list") if name in {"", row["pool_name"]}]
    if name and not found:
        raise Invalid(f"There is no pool {name}.")
    return [row for row in found if name or row["pool_type"] in WRITTEN]


def tell_unknown_pools(api: RestClient) -> None:
    """Pools that media servers hold and the catalogue does not know."""
    names = [row["pool_name"] for row in api.items("/pool_list")]
    unknown_pools.tell(
        api.items("/media_servers"),
        lambda number: api.get(f"/media_servers/{number}/unknown_pools"),
        names,
        (ApiFault,),
    )


@pool_app.command()
def clean(
    pool: Annotated[str, typer.Argument(help="Name of the pool.")],
    state: StateOption = None,
    api: ApiOption = "",
    ca: CaOption = None,
    user: UserOption = "",
) -> None:
    """Free what no copy in a pool needs, and wait for the end of it."""
    with session(Login(state, api, ca, user)) as client:
        (row,) = pools_of(client, pool)
        match = _TASK.search(client.post(f"/pool_list/{row['id']}/cleaning")["message"])
        if match is None:
            raise Invalid("The API named no task.")
        while True:
            task = client.get(f"/task_queue/{match[1]}")
            if task["status"] in _FINAL:
                break
            time.sleep(POLL_SECONDS)
    output.facts([("Task", match[1]), ("Status", task["status"]), ("Result", task["message"])])
    if task["status"] != TaskStatus.DONE.label:
        raise typer.Exit(NOT_DONE)


@repository_app.command()
def reconcile(
    state: StateOption = None,
    api: ApiOption = "",
    ca: CaOption = None,
    user: UserOption = "",
    pool: Annotated[str, typer.Option("--pool", help="Only this pool.")] = "",
    apply: Annotated[
        bool, typer.Option("--apply", help="Do it; otherwise it is only told what would be done.")
    ] = False,
) -> None:
    """Make the catalogue agree with what lies in the pools, after it was restored or rebuilt."""
    with session(Login(state, api, ca, user)) as client:

        def ask(row: Mapping[str, Any]) -> Mapping[str, Any]:
            return rebuilding.reconcile(client, row, reconciliation.progress, apply=apply).answer

        told, whole = reconciliation.each(pools_of(client, pool), client.items, ask, ApiFault)
        for name, found in told.items():
            reconciliation.tell(name, found)
        if not pool:
            tell_unknown_pools(client)
            reconciliation.tell_apis(client.get("/server_state"))
    reconciliation.finish(apply=apply, whole=whole)


@repository_app.callback()
def _repository() -> None:
    """Keep `reconcile` a command of its own, although it is the only one."""


@pool_app.callback()
def _pool() -> None:
    """Keep `clean` a command of its own, although it is the only one."""
