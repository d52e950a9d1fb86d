"""`rb_init`: makes this host a server, a media server or a client; asks for what no flag says."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rubackup.catalog.encryption import MODES
from rubackup.cli.init_questions import Questions, plan_of
from rubackup.domain.errors import RubackupError
from rubackup.roles import arguments as given
from rubackup.roles.init import enrolling, folders, further, nodes
from rubackup.roles.init.access import Administrator
from rubackup.roles.init.plan import read_password
from rubackup.roles.installed.config_file import NODES, ConfigFile
from rubackup.roles.installed.layout import Layout
from rubackup.roles.process import EXIT_CONFIGURATION, MOST_WORKERS
from rubackup.roles.settings import ConfigurationFault

PROGRAM = "rb_init"


def main(arguments: list[str] | None = None) -> int:
    """Entry of `rb_init`; what is wrong is one sentence on standard error."""
    try:
        chosen = _parser().parse_args(arguments)
        return _act(Layout.here(), chosen)
    except ConfigurationFault as error:
        sys.stderr.write(f"{PROGRAM}: {error.message}\n")
        return EXIT_CONFIGURATION
    except RubackupError as error:
        sys.stderr.write(f"{PROGRAM}: {error.message}\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write(f"\n{PROGRAM}: interrupted; run again, it goes on where it was.\n")
        return 130


def _act(layout: Layout, chosen: argparse.Namespace) -> int:
    if chosen.folders is not None:
        folders.make(layout, chosen.folders)
    elif chosen.passwd:
        further.change_password(layout, chosen.user, _new_password(chosen))
        print(f"{chosen.user} has a new password; all of that user's sessions are over.")
    elif chosen.unlock:
        found = further.unlock(layout, chosen.unlock)
        print(f"{chosen.unlock} may log in again." if found else f"{chosen.unlock} was not blocked.")
    elif chosen.finish_upgrade:
        further.finish_upgrade(layout)
        print("The service database is of this version; no process of an older one may run any more.")
    elif chosen.renew:
        renewed = further.renew_all(layout, print)
        further.keep_token_secret(layout, print)
        if chosen.reload:
            further.use_new(renewed)
    elif chosen.expel_api is not None:
        enrolling.expel_api(layout, chosen.expel_api, _administrator(chosen), print)
    elif path := _enrolled(layout, chosen):
        print(f"{path}: carry it over a safe way, and delete it here and there once it was taken over.")
    else:
        _set_up(layout, chosen)
        print("This host is set up; rubackup config check looks at its settings.")
    return 0


def _enrolled(layout: Layout, chosen: argparse.Namespace) -> Path | None:
    """What was written for another host, where that was asked for."""
    if chosen.enroll_api is not None:
        return enrolling.enroll_api(layout, chosen.enroll_api, chosen.to, _administrator(chosen), chosen.workers, print)
    if chosen.renew_api is not None:
        return enrolling.renew_api(layout, chosen.renew_api, chosen.to)
    if chosen.enroll_server is not None:
        return enrolling.enroll_server(layout, chosen.enroll_server, chosen.to)
    if chosen.enroll_database is not None:
        return enrolling.enroll_database(layout, chosen.enroll_database, chosen.to, print)
    return None


def _administrator(chosen: argparse.Namespace) -> Administrator:
    """Who may change roles in PostgreSQL."""
    password = read_password(chosen.X, "-X") if chosen.X else ""
    return Administrator(chosen.db_admin or "postgres", password)


def _workers(text: str) -> int:
    found = given.number(text)
    if found is None or not 1 <= found <= MOST_WORKERS:
        raise ConfigurationFault(f"--workers must be a whole number from 1 to {MOST_WORKERS}, not {text!r}.")
    return found


def _set_up(layout: Layout, chosen: argparse.Namespace) -> None:
    kept = ConfigFile.load(layout.config_file).values if layout.config_file.exists() else {}
    try:
        plan = plan_of(chosen, kept, layout)
    except KeyboardInterrupt:
        raise ConfigurationFault("Interrupted; nothing was changed.") from None
    nodes.set_up(layout, plan, print)


def _new_password(chosen: argparse.Namespace) -> str:
    """From the file of -Y, else asked for at a terminal."""
    if chosen.Y:
        return read_password(chosen.Y, "-Y")
    asked = Questions()
    if not asked.at:
        raise ConfigurationFault("There is no terminal to ask for the password: name a file that has it with -Y.")
    return asked.new_password(chosen.user, "-Y")


class _Unknown(argparse.Action):
    """A flag of the product of which only the name is known."""

    def __call__(self, _parser: object, _namespace: object, _values: object, option: str | None = None) -> None:
        raise ConfigurationFault(
            f"{option} stands in scripts for the product, but what it means is not known, and rb_init does not guess: leave it out."
        )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__, allow_abbrev=False)
    parser.add_argument("-y", action="store_true", help="accepted for scripts; there is no licence to agree to")
    parser.add_argument("-n", dest="node", metavar="NODE", help=f"what this host is: {', '.join(NODES)}")
    parser.add_argument("-H", metavar="HOST", help="host of PostgreSQL")
    parser.add_argument(
        "-X", metavar="FILE", type=given.path, help="file with the password of PostgreSQL's administrator"
    )
    parser.add_argument("-Y", metavar="FILE", type=given.path, help="file with the password of the superuser rubackup")
    parser.add_argument("-i", dest="interface", metavar="NAME", help="network interface or address to listen on")
    parser.add_argument(
        "--free-bind",
        action="store_true",
        help="the address of -i need not be there now: it moves between hosts, or comes late",
    )
    parser.add_argument("-f", dest="storage", metavar="DIR", type=given.path, help="folder of the pool Default")
    parser.add_argument("-a", dest="alone", metavar="DIR", type=given.path, help="folder of an autonomous client")
    parser.add_argument(
        "-l",
        dest="local",
        metavar="DIR",
        type=given.path,
        help="folder in which this host's client keeps copies itself",
    )
    for flag in ("-r", "-R", "-g"):
        parser.add_argument(flag, action=_Unknown, nargs="?", help=argparse.SUPPRESS)
    parser.add_argument("-c", dest="primary", metavar="HOST", help="the primary server, HOST or HOST:PORT")
    parser.add_argument("--db-port", type=given.whole, help="port of PostgreSQL (5432)")
    parser.add_argument("--db-name", help="service database (rubackup)")
    parser.add_argument("--db-user", help="its role (rubackup)")
    parser.add_argument("--db-admin", help="PostgreSQL's administrator (postgres)")
    parser.add_argument(
        "--db-password", type=given.path, metavar="FILE", help="file with that role's password, if it is there"
    )
    parser.add_argument("--db-sslmode", metavar="MODE", help=f"how to encrypt the way to it: {', '.join(MODES)}")
    parser.add_argument(
        "--db-root-cert", metavar="FILE", type=given.path, help="certificate of the CA of PostgreSQL's own"
    )
    parser.add_argument(
        "--adopt-database", action="store_true", help="take the service database of a lost installation over"
    )
    parser.add_argument(
        "--change-node", action="store_true", help="this host is something else already, and becomes this"
    )
    parser.add_argument("--hostname", help="name of this host as administrators see it")
    parser.add_argument("--fingerprint", help="SHA-256 of the root certificate, as rb_init printed it on the server")
    parser.add_argument("--root-ca", type=given.path, metavar="FILE", help="the root certificate itself")
    parser.add_argument("--bundle", type=given.path, metavar="FILE", help="what --enroll-server wrote")
    parser.add_argument("--to", type=given.path, metavar="FILE", help="where --enroll-... and --renew-api write")
    parser.add_argument("--workers", type=_workers, default=1, metavar="N", help="with --enroll-api: WORKERS there")
    parser.add_argument("--user", default=further.SUPERUSER, help="whose password --passwd changes (rubackup)")
    act = parser.add_mutually_exclusive_group()
    act.add_argument("--passwd", action="store_true", help="change the superuser's password")
    act.add_argument("--unlock", metavar="USER", help="let a user in who is blocked after failed logins")
    act.add_argument("--renew", action="store_true", help="sign new certificates where they are due")
    act.add_argument(
        "--finish-upgrade", action="store_true", help="complete the schema: no older version runs any more"
    )
    parser.add_argument("--reload", action="store_true", help="with --renew: let the services take what is new")
    act.add_argument("--enroll-api", metavar="FQDN", help="write the file for a host of its own for the API")
    act.add_argument("--renew-api", metavar="FQDN", help="write a file with a new certificate alone for such a host")
    act.add_argument("--expel-api", metavar="FQDN", help="shut such a host out: its certificate and its role")
    act.add_argument("--enroll-database", metavar="FQDN", help="write the certificate of PostgreSQL's host")
    act.add_argument("--enroll-server", metavar="FQDN", help="write the file for a secondary server")
    act.add_argument(
        "--folders", nargs="*", choices=sorted(folders.USERS), metavar="ROLE", help="only make folders (packages)"
    )
    return parser
