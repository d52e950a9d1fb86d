"""`rb_init`: makes this host a server, a media server or a client; asks for what no flag says."""

from __future__ import annotations

import argparse
import getpass
import sys
from pathlib import Path

from rubackup.domain.errors import RubackupError
from rubackup.roles.init import folders, further, nodes
from rubackup.roles.init.plan import Plan, read_password
from rubackup.roles.installed.config_file import NODES
from rubackup.roles.installed.layout import Layout
from rubackup.roles.process import EXIT_CONFIGURATION
from rubackup.roles.settings import ConfigurationFault

PROGRAM = "rb_init"


def main(arguments: list[str] | None = None) -> int:
    """Entry of `rb_init`; what is wrong is one sentence on standard error."""
    chosen = _parser().parse_args(arguments)
    try:
        return _act(Layout.here(), chosen)
    except ConfigurationFault as error:
        sys.stderr.write(f"{PROGRAM}: {error.message}\n")
        return EXIT_CONFIGURATION
    except RubackupError as error:
        sys.stderr.write(f"{PROGRAM}: {error.message}\n")
        return 1
    except (KeyboardInterrupt, EOFError):
        sys.stderr.write(f"\n{PROGRAM}: nothing more was changed.\n")
        return 130


def _act(layout: Layout, chosen: argparse.Namespace) -> int:
    if chosen.folders is not None:
        folders.make(layout, chosen.folders)
    elif chosen.passwd:
        password = read_password(chosen.Y, "-Y") if chosen.Y else _new_password(chosen.user)
        further.change_password(layout, chosen.user, password)
        print(f"{chosen.user} has a new password; all of that user's sessions are over.")
    elif chosen.unlock:
        found = further.unlock(layout, chosen.unlock)
        print(f"{chosen.unlock} may log in again." if found else f"{chosen.unlock} was not blocked.")
    elif chosen.finish_upgrade:
        further.finish_upgrade(layout)
        print("The service database is of this version; no process of an older one may run any more.")
    elif chosen.renew:
        renewed = further.renew_all(layout, print)
        if chosen.reload:
            further.use_new(renewed)
    elif chosen.enroll_api or chosen.enroll_server:
        role = "api" if chosen.enroll_api else "server"
        path = further.enroll(layout, role, chosen.enroll_api or chosen.enroll_server, chosen.to)
        print(f"{path}: carry it over a safe way, and delete it here and there once it was taken over.")
    else:
        nodes.set_up(layout, _plan(chosen), print)
        print("This host is set up; rubackup config check looks at its settings.")
    return 0


def _plan(chosen: argparse.Namespace) -> Plan:
    """The answers; questions are asked only at a terminal, and only for what no flag says."""
    asks = chosen.node is None
    if asks and not sys.stdin.isatty():
        raise ConfigurationFault(f"Say with -n what this host is: {', '.join(NODES)}.")
    node = chosen.node or _choice("What is this host", list(NODES))
    serves = node in {"primary-server", "secondary-server"}
    db_host = chosen.H or (_text("Host of PostgreSQL", "localhost") if asks and serves else "localhost")
    admin = read_password(chosen.X, "-X") if chosen.X else ""
    if asks and serves and not chosen.X and db_host != "localhost":
        admin = getpass.getpass("Password of PostgreSQL's administrator (empty: role and database are there): ")
    superuser = read_password(chosen.Y, "-Y") if chosen.Y else ""
    if asks and node == "primary-server" and not chosen.Y:
        superuser = _new_password(further.SUPERUSER, optional=True)
    primary = chosen.primary or (_text("Host of the primary server", "") if asks and not serves else "localhost")
    needs_root = asks and not serves and chosen.fingerprint is None and chosen.root_ca is None
    interface = chosen.interface or ""
    if asks and node != "client" and not interface:
        interface = _text("Network interface or address on which others reach this host (empty: none)", "")
    return Plan(
        node=node,
        db_host=db_host,
        db_port=chosen.db_port,
        db_name=chosen.db_name,
        db_user=chosen.db_user,
        db_admin=chosen.db_admin,
        db_admin_password=admin,
        superuser_password=superuser,
        interface=interface,
        storage=chosen.storage,
        primary=primary,
        fingerprint=chosen.fingerprint or (_text("Fingerprint of the root certificate", "") if needs_root else ""),
        root_ca=chosen.root_ca,
        bundle=chosen.bundle,
        hostname=chosen.hostname or "",
    )


def _choice(question: str, answers: list[str]) -> str:
    for number, answer in enumerate(answers, 1):
        print(f"  {number}  {answer}")
    while True:
        text = input(f"{question} (1 to {len(answers)})? ").strip()
        if text.isdigit() and 1 <= int(text) <= len(answers):
            return answers[int(text) - 1]
        if text in answers:
            return text
        print(f"One of {', '.join(answers)}, or its number.")


def _text(question: str, default: str) -> str:
    shown = f" [{default}]" if default else ""
    return input(f"{question}{shown}: ").strip() or default


def _new_password(user: str, *, optional: bool = False) -> str:
    hint = " (empty: a random one)" if optional else ""
    while True:
        first = getpass.getpass(f"Password of {user}{hint}: ")
        if not first and optional:
            return ""
        if first and first == getpass.getpass("The same again: "):
            return first
        print("They are not the same, or empty.")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=PROGRAM, description=__doc__, allow_abbrev=False)
    parser.add_argument("-y", action="store_true", help="accepted for scripts; there is no licence to agree to")
    parser.add_argument("-n", dest="node", metavar="NODE", help=f"what this host is: {', '.join(NODES)}")
    parser.add_argument("-H", metavar="HOST", help="host of PostgreSQL")
    parser.add_argument("-X", metavar="FILE", type=Path, help="file with the password of PostgreSQL's administrator")
    parser.add_argument("-Y", metavar="FILE", type=Path, help="file with the password of the superuser rubackup")
    parser.add_argument("-i", dest="interface", metavar="NAME", help="network interface or address to listen on")
    parser.add_argument("-f", dest="storage", metavar="DIR", type=Path, help="folder of the pool Default")
    parser.add_argument("-c", dest="primary", metavar="HOST", help="the primary server, HOST or HOST:PORT")
    parser.add_argument("--db-port", type=int, default=5432, help="port of PostgreSQL (5432)")
    parser.add_argument("--db-name", default="rubackup", help="service database (rubackup)")
    parser.add_argument("--db-user", default="rubackup", help="its role (rubackup)")
    parser.add_argument("--db-admin", default="postgres", help="PostgreSQL's administrator (postgres)")
    parser.add_argument("--hostname", help="name of this host as administrators see it")
    parser.add_argument("--fingerprint", help="SHA-256 of the root certificate, as rb_init printed it on the server")
    parser.add_argument("--root-ca", type=Path, metavar="FILE", help="the root certificate itself")
    parser.add_argument("--bundle", type=Path, metavar="FILE", help="what --enroll-server wrote")
    parser.add_argument("--to", type=Path, metavar="FILE", help="where --enroll-api and --enroll-server write")
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
    act.add_argument("--enroll-server", metavar="FQDN", help="write the file for a secondary server")
    act.add_argument(
        "--folders", nargs="*", choices=sorted(folders.USERS), metavar="ROLE", help="only make folders (packages)"
    )
    return parser
