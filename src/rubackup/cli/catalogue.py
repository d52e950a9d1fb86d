"""`rubackup backup-catalogue` and `restore-catalogue`: the service database in one file, and back."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from rubackup.catalog.backup.file import Header, check
from rubackup.catalog.versions import OWN, Schema
from rubackup.cli import administration, output, paths, reconciliation
from rubackup.domain.errors import Invalid
from rubackup.roles.init.plan import Plan, read_password
from rubackup.roles.recovery import homes, rebuilding, safekeeping
from rubackup.roles.recovery.homes import Home

StateOption = Annotated[
    Path | None,
    typer.Option(
        "--state",
        envvar="RUBACKUP_STATE",
        help="State of `rubackup up`; without it the installation of this host.",
        parser=paths.path,
    ),
]
PassphraseOption = Annotated[
    Path | None,
    typer.Option("--passphrase-file", help="File with the passphrase that encrypts the backup.", parser=paths.path),
]


def backup_catalogue(
    to: Annotated[
        Path,
        typer.Option("--to", help="File to write, or folder in which a file with the time is made.", parser=paths.path),
    ],
    state: StateOption = None,
    passphrase_file: PassphraseOption = None,
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="Keys and settings of this host, too; needs a passphrase.")
    ] = False,
    keep: Annotated[
        int, typer.Option("--keep", min=0, help="Leave so many of this kind in the folder, the newest; 0: all.")
    ] = 0,
) -> None:
    """Write the service database into one file, as it is at one moment; everything may run meanwhile."""
    taken = safekeeping.backup(
        _home(state), to, keep=keep, passphrase=safekeeping.read_passphrase(passphrase_file), with_keys=with_keys
    )
    output.facts([("File", taken.path), *_facts(taken.header, taken.rows, taken.total), ("Bytes", taken.size_bytes)])


def restore_catalogue(
    file: Annotated[Path, typer.Argument(help="A backup that backup-catalogue has written.", parser=paths.path)],
    state: StateOption = None,
    passphrase_file: PassphraseOption = None,
    with_keys: Annotated[
        bool, typer.Option("--with-keys", help="Put keys and settings of the host back, too, before the database.")
    ] = False,
    replace: Annotated[bool, typer.Option("--replace", help="Replace the catalogue that is there.")] = False,
    only_check: Annotated[bool, typer.Option("--check", help="Only read the file whole and tell what it is.")] = False,
    other_ca: Annotated[
        bool, typer.Option("--other-ca", help="The keys of the backup's installation are lost: its hosts enrol again.")
    ] = False,
    admin_password: Annotated[
        Path | None,
        typer.Option(
            "-X", help="File with the password of PostgreSQL's administrator, as for rb_init.", parser=paths.path
        ),
    ] = None,
    db_admin: Annotated[str, typer.Option("--db-admin", help="PostgreSQL's administrator.")] = "postgres",
) -> None:
    """Make the service database what a backup says. Servers and APIs have to be stopped."""
    passphrase = safekeeping.read_passphrase(passphrase_file)
    if only_check:
        header, rows, total = check(file, passphrase)
        output.facts([("File", file), *_facts(header, rows, total)])
        return
    secret = read_password(admin_password, "-X") if admin_password else ""
    plan = Plan("primary-server", db_admin=db_admin, db_admin_password=secret)
    header = safekeeping.bring_back(
        _home(state), file, replace=replace, passphrase=passphrase, with_keys=with_keys, other_ca=other_ca, plan=plan,
        tell=print,
    )  # fmt: skip
    print(f"The catalogue is that of {header.taken_at:%Y-%m-%d %H:%M:%S} UTC from {header.server}.")
    schema = Schema.parse(header.schema)
    if schema is not None and OWN.target(schema, finish=False).post < OWN.newest() and _home(state).kind == "installed":
        print(
            f"Version {header.product} can still work with it; when nobody is to go back to it: rb_init --finish-upgrade."
        )
    print("Tasks that ran or waited then are over, sessions and API tokens are withdrawn.")
    print("Nothing is deleted by time for 7 days: look whether copies were prolonged, and pools made, since then.")
    print(
        "Start the services; nothing is deleted in a pool until it was reconciled: rubackup repository reconcile --apply."
    )


def rebuild_catalogue(
    pool: Annotated[
        list[str] | None,
        typer.Option("--pool", help="NAME=FOLDER: a pool that lies in this folder of a media server; may be repeated."),
    ] = None,
    media_server: Annotated[
        str,
        typer.Option("--media-server", help="Host name of the media server with the folders, if there are several."),
    ] = "",
    state: administration.StateOption = None,
    api: administration.ApiOption = "",
    ca: administration.CaOption = None,
    user: administration.UserOption = "",
) -> None:
    """Fill the catalogue out of what lies in pools, when it and all its backups are lost. May be run again."""
    wanted = [_named(text) for text in pool or []]
    with administration.session(administration.Login(state, api, ca, user)) as client:
        found = rebuilding.rebuild(client, wanted, media_server, reconciliation.progress)
        administration.tell_unknown_pools(client)
    whole = not found.unusable
    for name, answer in found.pools.items():
        reconciliation.tell(name, answer)
        whole = reconciliation.is_whole(name, answer) and whole
    for hwid, number in found.strangers.items():
        print(
            f"Client {hwid} is not authorised: {number} copies of it are listed, and can be restored to another client."
        )
    for name, problem in found.unusable.items():
        typer.echo(f"{output.plain(name)}: NOT looked at: {output.plain(problem)}", err=True)
    reconciliation.finish(apply=True, whole=whole)


def _named(text: str) -> tuple[str, str]:
    name, sign, folder = text.partition("=")
    if not name or not sign or not folder.startswith("/"):
        raise Invalid(f"--pool must be NAME=FOLDER with an absolute folder of the media server, not {text!r}.")
    return name, folder


def _home(state: Path | None) -> Home:
    return homes.here() if state is None else homes.of_state(state)


def _facts(header: Header, rows: dict[str, int], total: str) -> list[tuple[str, object]]:
    encrypted = "with a passphrase" if header.salt else "no"
    return [
        ("Taken", f"{header.taken_at:%Y-%m-%d %H:%M:%S} UTC, at {header.lsn} of PostgreSQL {header.postgres}"),
        ("Server", header.server),
        ("Root certificate", header.root or "none"),
        ("Version", f"{header.product}, schema {header.schema}"),
        ("Rows", sum(rows.values())),
        ("Copies", rows.get("repository", 0)),
        ("Keys", "in it" if header.keys else "not in it"),
        ("Encrypted", encrypted),
        ("Sum", total),
    ]
