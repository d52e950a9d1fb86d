"""Commands of their own for what administrators do most: back up, restore, verify, copy, look into copies."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, cast

import typer

from rubackup.cli import output, paths, reconciliation, unknown_pools
from rubackup.cli.rb import completion, filenames, tables
from rubackup.cli.rb.access import connect
from rubackup.cli.rb.deleting import delete
from rubackup.cli.rb.generic import Json, Wait
from rubackup.cli.rb.names import client_name, find
from rubackup.cli.rb.status import REFUSED, naming
from rubackup.cli.rb.tools import TOOLS
from rubackup.cli.rb.waiting import wait_for
from rubackup.domain.filenames import on_one_line
from rubackup.domain.pools import WRITTEN
from rubackup.roles.recovery import reconciling
from rubackup.sdk import Answer, Client, Refused, Unreachable
from rubackup.sdk.caller import rows
from rubackup.sdk.files import write_sparse

CLIENTS, POOLS, REPOSITORY = TOOLS["clients"], TOOLS["pools"], TOOLS["repository"]
PIECE = 1 << 20
UNWELL = 500
_BACKUP = {
    "data.task.resource": "RESOURCE", "data.task.client": "--client", "data.task.backup_type": "--type", "data.task.pool": "--pool",
    "data.task.resource_type": "--resource-type", "data.task.storage_duration": "--keep", "data.task.crypto": "--crypto",
    "data.task.priority": "--priority", "data.task.archiving": "--archive",
}  # fmt: skip
_RESTORE = {
    "data.restore_task.target_client": "--client", "data.restore_task.destination_path": "--to",
    "data.restore_task.data_deployment": "--in-place", "data.restore_task.granular_restore_files": "--file",
}  # fmt: skip
"""Fields of the API with the options that they are given by."""

Record = Annotated[
    str, typer.Argument(metavar="COPY", help="Id or uuid of the copy.", autocompletion=completion.names(REPOSITORY))
]
Records = Annotated[
    list[str],
    typer.Argument(metavar="COPY", help="Ids or uuids of copies.", autocompletion=completion.names(REPOSITORY)),
]
ToPool = Annotated[
    str, typer.Argument(metavar="POOL", help="Pool that it goes to.", autocompletion=completion.names(POOLS))
]


def backup(
    resource: Annotated[str, typer.Argument(metavar="RESOURCE", help="What to back up; for File system an absolute path.", parser=paths.path_text)],
    client: Annotated[
        str, typer.Option("--client", "-c", help="The client: host name, hwid, id or `hostname (hwid)`.",
                          autocompletion=completion.names(CLIENTS))],
    backup_type: Annotated[
        str, typer.Option("--type", "-t", help="full, incremental or differential.",
                          autocompletion=completion.of(["full", "incremental", "differential"]))] = "full",
    pool: Annotated[str, typer.Option("--pool", "-p", help="Pool, or dynamic pool group.",
                                      autocompletion=completion.names(POOLS))] = "Default",
    resource_type: Annotated[str, typer.Option(help="A name of resource_types.")] = "File system",
    keep: Annotated[str, typer.Option(help="How long the copy is kept, such as '1 month'.")] = "1 year",
    crypto: Annotated[str, typer.Option(help="A name of crypto.")] = "nocrypt",
    priority: Annotated[int, typer.Option(help="1 to 1000; higher runs first.")] = 100,
    archiving: Annotated[bool, typer.Option("--archive", help="The copy stands by itself, and goes only when it is named.")] = False,
    wait: Wait = False,
    json: Json = False,
) -> None:  # fmt: skip
    """Back up a resource of a client now."""
    if not filenames.is_text(resource):
        raise typer.BadParameter("its name is not UTF-8: name a folder above it.", param_hint="RESOURCE")
    with connect() as api, naming(_BACKUP):
        answer = api.task_queue.create({
            "task": {
                "resource_type": resource_type, "resource": resource, "client": client_name(api, CLIENTS, client),
                "backup_type": backup_type, "pool": pool, "crypto": crypto, "priority": priority,
                "storage_duration": keep, "archiving": archiving,
            }
        })  # fmt: skip
        _begun(api, [answer], wait=wait, json=json)


def restore(
    record: Record,
    to: Annotated[str | None, typer.Option("--to", help="Folder on the client: files land there under their full path.", parser=paths.path_text)] = None,
    in_place: Annotated[bool, typer.Option("--in-place", help="Put everything where it came from.")] = False,
    client: Annotated[str, typer.Option("--client", "-c", help="Another client than that of the copy.",
                                        autocompletion=completion.names(CLIENTS))] = "",
    file: Annotated[list[str] | None, typer.Option("--file", "-f", help="Only this file or folder. May repeat.", parser=paths.path_text)] = None,
    wait: Wait = False,
    json: Json = False,
) -> None:  # fmt: skip
    """Restore a copy, or files of it."""
    if bool(to) == in_place:
        raise typer.BadParameter("say where to: --to FOLDER, or --in-place.")
    if not filenames.is_text(to or ""):
        raise typer.BadParameter("its name is not UTF-8: name another folder.", param_hint="--to")
    with connect() as api, naming(_RESTORE):
        number = find(api, REPOSITORY, record)
        target = client_name(api, CLIENTS, client) if client else _client_of(api, number)
        answer = api.repository.restoring(number, {
            "restore_task": {
                "target_client": target, "destination_path": to or "", "data_deployment": in_place,
                "granular_restore_files": [filenames.as_listed(name) for name in file or [""]],
            }
        })  # fmt: skip
        _begun(api, [answer], wait=wait, json=json)


def verify(records: Records, wait: Wait = False, json: Json = False) -> None:
    """Read copies and compare every sum."""
    with connect() as api:
        answers = [api.repository.verification(find(api, REPOSITORY, record)) for record in records]
        _begun(api, answers, wait=wait, json=json, many=True)


def copy2pool(record: Record, pool: ToPool, wait: Wait = False, json: Json = False) -> None:
    """Copy a copy into another pool."""
    with connect() as api:
        answer = api.repository.copying(find(api, REPOSITORY, record), pool=pool)
        _begun(api, [answer], wait=wait, json=json)


def move(record: Record, pool: ToPool, wait: Wait = False, json: Json = False) -> None:
    """Move a copy into another pool."""
    with connect() as api:
        answer = api.repository.moving(find(api, REPOSITORY, record), pool=pool)
        _begun(api, [answer], wait=wait, json=json)


def files(
    record: Record,
    path: Annotated[str, typer.Argument(metavar="[FOLDER]", help="Folder in the copy.")] = "",
    json: Json = False,
) -> None:
    """List a folder of a copy."""
    with connect() as api:
        found: list[Any] = []
        page = 1
        number = find(api, REPOSITORY, record)
        while True:
            query = {"id": number, "path": filenames.as_listed(path) or None, "page": page, "limit": 1000}
            data = api.call("GET", "/repository_record_file_list", query=query).data
            found += data["items"]
            if page >= data["pages"]:
                break
            page += 1
    if json:
        output.as_json(found)
    elif found:
        wanted = [name for name in ("type", "mode", "size_bytes", "mtime", "path", "name") if name in found[0]]
        tables.table(wanted, [row | {"path": on_one_line(row["path"])} for row in found])


def download(
    record: Record,
    path: Annotated[
        str, typer.Argument(metavar="FILE", help="Absolute path of a file in the copy.", parser=paths.path_text)
    ],
    to: Annotated[
        str | None,
        typer.Option(
            "--to", help="File to write, -: standard output; its own name unless given.", parser=paths.path_text
        ),
    ] = None,
) -> None:
    """Fetch one file of a copy to this machine. A file that is there already is not replaced."""
    asked = filenames.as_listed(path)
    with connect() as api, api.repository.file(find(api, REPOSITORY, record), path=asked) as stream:
        if to == "-":
            for piece in stream.pieces(PIECE):
                sys.stdout.buffer.write(piece)
            sys.stdout.buffer.flush()
            return
        target = Path(to or Path(path).name)
        if target.is_dir():
            target /= Path(path).name
        try:
            descriptor = os.open(target, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except OSError as error:
            typer.echo(f"rb: {output.plain(target)}: {error.strerror}.", err=True)
            raise typer.Exit(REFUSED) from None
        try:
            with os.fdopen(descriptor, "wb") as file:
                write_sparse(stream.pieces(PIECE), file)
        except BaseException:
            target.unlink()  # half a file is not taken for a whole one
            raise
    print(output.plain(target))


def reconcile(
    pool: Annotated[str, typer.Option("--pool", help="Only this pool.", autocompletion=completion.names(POOLS))] = "",
    apply: Annotated[bool, typer.Option("--apply", help="Do it; otherwise it is only told what would be done.")] = False,
    json: Json = False,
) -> None:  # fmt: skip
    """Make the catalogue agree with what lies in the pools, after it was restored or rebuilt."""
    with connect() as api:
        wanted = [api.pool_list.read(find(api, POOLS, pool)).data] if pool else list(api.pool_list.all())

        def ask(row: Mapping[str, Any]) -> Mapping[str, Any]:
            return reconciling.walk(
                lambda after: (
                    api.pool_list.reconciliation(row["id"], apply=apply, limit=reconciling.COPIES, after=after).data
                ),
                lambda error: isinstance(error, Unreachable) or (isinstance(error, Refused) and error.status >= UNWELL),
                reconciliation.progress,
                reconciling.patience(row),
            ).answer

        chosen = [row for row in wanted if pool or row["pool_type"] in WRITTEN]
        told, whole = reconciliation.each(chosen, lambda path: rows(api, path, {}), ask, Refused)
        if not pool:
            servers, names = list(api.media_servers.all()), [row["pool_name"] for row in wanted]
            unknown_pools.tell(servers, lambda number: api.media_servers.unknown_pools(number).data, names, (Refused,))
            reconciliation.tell_apis(api.calls.server_state().data)
    if json:
        output.as_json(told)
    for name, found in () if json else told.items():
        reconciliation.tell(name, found)
    reconciliation.finish(apply=apply or json, whole=whole)


def _client_of(api: Client, record: int) -> str:
    client = api.repository.read(record).data["client"]
    if client is None:
        raise typer.BadParameter("the client of this copy is gone: name another one by --client.")
    return client


def _begun(api: Client, answers: list[Answer[Any]], *, wait: bool, json: bool, many: bool = False) -> None:
    tasks = [number for answer in answers for number in answer.tasks]
    if wait:
        wait_for(api, tasks, json=json, many=many)
    elif json:
        output.as_json({"tasks": tasks})
    else:
        for number in tasks:
            print(f"task {number}")


def commands() -> dict[str, Any]:
    """Commands of `rb repository` beside those of the API."""
    return cast(
        "dict[str, Any]",
        {"restore": restore, "verify": verify, "copy": copy2pool, "move": move, "files": files, "download": download,
         "reconcile": reconcile, "delete": delete},
    )  # fmt: skip
