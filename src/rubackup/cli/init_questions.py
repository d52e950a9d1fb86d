"""What `rb_init` asks at a terminal: only what no flag says, until the answer is one. Nothing is changed before the last."""

from __future__ import annotations

import argparse
import functools
import getpass
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TypeVar

from rubackup.roles.init import plan as plans
from rubackup.roles.init.database import LOCAL
from rubackup.roles.init.plan import PASSWORD_LENGTHS, Plan, read_password
from rubackup.roles.installed.config_file import AUTONOMOUS, NODES
from rubackup.roles.installed.layout import Layout
from rubackup.roles.settings import ConfigurationFault, Settings

T = TypeVar("T")
MEANINGS = {
    "primary-server": "the first server, with the media server and the pool Default",
    "secondary-server": "a further server on the same service database",
    "media-server": "a host with storages",
    "client": "a host that is backed up",
    AUTONOMOUS: "a host that backs itself up, without a server",
}


class Questions:
    """A terminal; `at` is whether there is one."""

    def __init__(self) -> None:
        self.at = sys.stdin.isatty()

    def text(self, question: str, flag: str, look: Callable[[str, str], T], default: str = "") -> T:
        """The first answer that `look` takes; nothing typed is the default. ConfigurationFault names the flag when input ends."""
        shown = f"{question} [{default}]: " if default else f"{question}: "
        while True:
            answer = self._read(lambda: input(shown), flag).strip() or default
            try:
                return look(answer, flag)
            except ConfigurationFault as error:
                print(error.message)

    def node(self) -> str:
        """What this host is to be, by number or name."""
        names = list(NODES)
        for number, name in enumerate(names, 1):
            print(f"  {number}  {name.ljust(18)} {MEANINGS[name]}")

        def look(answer: str, _flag: str) -> str:
            if answer.isdigit() and 1 <= int(answer) <= len(names):
                return names[int(answer) - 1]
            if answer not in names:
                raise ConfigurationFault(f"One of {', '.join(names)}, or its number.")
            return answer

        return self.text(f"What is this host (1 to {len(names)})?", "-n", look)

    def new_password(self, user: str, flag: str, *, optional: bool = False) -> str:
        """A password that was typed twice, unseen; '' for none where that is allowed."""
        hint = " (empty: a random one)" if optional else ""
        while True:
            first = self._secret(f"Password of {user}{hint}: ", flag)
            if not first and optional:
                return ""
            if len(first) not in PASSWORD_LENGTHS:
                print("A password has 8 to 1024 characters.")
            elif first == self._secret("The same again: ", flag):
                return first
            else:
                print("They are not the same.")

    def secret(self, question: str, flag: str) -> str:
        """What is typed unseen, once."""
        return self._secret(f"{question}: ", flag)

    def _secret(self, question: str, flag: str) -> str:
        return self._read(lambda: getpass.getpass(question), flag)

    @staticmethod
    def _read(work: Callable[[], str], flag: str) -> str:
        try:
            return work()
        except EOFError as error:
            print()
            raise ConfigurationFault(f"Input ended at a question that {flag} answers; nothing was changed.") from error
        except UnicodeDecodeError as error:
            raise ConfigurationFault(f"What was typed is not UTF-8; {flag} answers the question as well.") from error


def plan_of(chosen: argparse.Namespace, kept: Mapping[str, str], layout: Layout) -> Plan:
    """The answers; `kept` is what config.file says already. ConfigurationFault names a flag that is missing or wrong."""
    asked = Questions()
    if chosen.node is None and not asked.at:
        raise ConfigurationFault(f"Say with -n what this host is: {', '.join(NODES)}.")
    whole = chosen.node is None
    node = chosen.node or asked.node()
    free = node in plans.MEDIA and Settings({"free-bind": kept.get("free-bind") or "False"}, "config.file").flag(
        "free-bind"
    )
    plan = Plan(
        node=node,
        db_host=chosen.H or "", db_port=chosen.db_port, db_name=chosen.db_name or "", db_user=chosen.db_user or "",
        db_admin=chosen.db_admin or "",
        db_admin_password=read_password(chosen.X, "-X") if chosen.X else "",
        db_password=read_password(chosen.db_password, "--db-password") if chosen.db_password else "",
        db_sslmode=chosen.db_sslmode or "", db_root_cert=chosen.db_root_cert,
        superuser_password=read_password(chosen.Y, "-Y") if chosen.Y else "",
        interface=chosen.interface or "", free_bind=chosen.free_bind or free, storage=chosen.storage, primary=chosen.primary or "",
        fingerprint=chosen.fingerprint or "", root_ca=chosen.root_ca, bundle=chosen.bundle, hostname=chosen.hostname or "",
        alone=chosen.alone, local=chosen.local, adopt=chosen.adopt_database, change=chosen.change_node,
    )  # fmt: skip
    plan.check()
    return _asked(plan, asked, kept, layout, whole=whole) if asked.at else plan


def _asked(plan: Plan, asked: Questions, kept: Mapping[str, str], layout: Layout, *, whole: bool) -> Plan:
    """The plan with the answers to what is missing: what has to be known, and in a `whole` dialogue all the rest."""
    found: dict[str, object] = {}

    def missing(part: str, *, needed: bool = False) -> bool:
        return not getattr(plan, part) and plan.node in plans.FLAGS[part][1] and (whole or needed)

    if missing("bundle", needed=not kept):
        found["bundle"] = asked.text("File that rb_init --enroll-server wrote", "--bundle", plans.file)
    if missing("alone", needed=not kept.get("autonomous-directory")):
        default = kept.get("autonomous-directory", "")
        found["alone"] = asked.text("Folder for catalogue and copies", "-a", plans.folder, default)
    if missing("db_host"):
        default = kept.get("dbhost", "localhost")
        found["db_host"] = asked.text("Host of PostgreSQL", "-H", plans.database_host, default)
    host = str(found.get("db_host") or plan.db_host)
    if missing("db_admin_password") and not plan.db_password and not (kept or plan.bundle) and not _by_socket(host):
        hint = " (empty: role and database are there)"
        found["db_admin_password"] = asked.secret(f"Password of PostgreSQL's administrator{hint}", "-X")
        if not found["db_admin_password"]:
            found["db_password"] = asked.secret("Password of the service database's role", "--db-password")
    if missing("superuser_password") and not kept:
        found["superuser_password"] = asked.new_password("rubackup", "-Y", optional=True)
    if plan.node in plans.AGENTS and missing("primary"):
        default = kept.get("who-is-primary-server", "")
        found["primary"] = asked.text("Host of the primary server", "-c", plans.servers, default)
    known = plan.root_ca is not None or bool(kept.get("root-ca-fingerprint"))
    if missing("fingerprint", needed=True) and not known:
        found["fingerprint"] = asked.text("Fingerprint of the root certificate", "--fingerprint", plans.fingerprint)
    if plan.node in plans.MEDIA and missing("interface"):
        found["interface"] = asked.text(
            "Network interface or address on which others reach this host (empty: none)", "-i",
            functools.partial(plans.interface, free=plan.free_bind),
            kept.get("media-inet-interface", ""),
        )  # fmt: skip
    if missing("storage") and not kept:
        found["storage"] = _folder_or_none(asked, str(layout.default_storage))
    return Plan(**{**{name: getattr(plan, name) for name in plan.__dataclass_fields__}, **found})


def _folder_or_none(asked: Questions, default: str) -> Path | None:
    path = asked.text("Folder of the pool Default", "-f", plans.folder, default)
    return None if str(path) == default else path


def _by_socket(host: str) -> bool:
    """Whether this process makes role and database over PostgreSQL's own socket, without a password."""
    return os.geteuid() == 0 and (host in LOCAL or not host)
