"""Who may do what: one enumeration of permissions, roles as sets of them.

Scope (which rows) is a WHERE clause on each resource; this table only says which verbs.
The matrix is that of the design, section 6.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum


class Permission(Enum):
    """One right; the value is the sentence that explains it."""

    READ_USERS = "See users, their groups and roles."
    WRITE_USERS = "Create, change and delete users and roles."
    READ_CLIENTS = "See clients and client groups."
    WRITE_CLIENTS = "Edit and delete clients."
    AUTHORISE_CLIENTS = "Authorise clients."
    WRITE_CLIENT_GROUPS = "Create, change and delete client groups."
    READ_STORAGE = "See media servers, pools and storages."
    WRITE_STORAGE = "Edit media servers, pools and storages."
    AUTHORISE_MEDIA = "Authorise and delete media servers."
    READ_TASKS = "See the task queue and the task log."
    WRITE_TASKS = "Create, pause, continue, kill, restart and remove tasks."
    READ_RECORDS = "See the repository of copies."
    WRITE_RECORDS = "Verify, copy, move, delete and prolong copies."
    RESTORE = "Restore copies."
    BROWSE_CLIENTS = "List the folders, block devices and resources of a client."
    READ_POLICIES = "See schedules, strategies, their rules, the requests of clients and the disaster recovery plan."
    WRITE_RULES = "Create, change, delete and execute rules of the global schedule; keep the disaster recovery plan."
    DECIDE_REQUESTS = "Approve and decline requests of clients."
    WRITE_STRATEGIES = "Change strategies and their rules."
    MANAGE_STRATEGIES = "Create and delete strategies; appoint their administrators."
    READ_REPORTS = "See reports."
    WRITE_REPORTS = "Create, change and delete reports."
    READ_NOTIFICATIONS = "See notifications."
    READ_MONITORING = "See how busy the servers are."
    READ_STATE = "See the state of the application."
    READ_LOOKUPS = "See the lookup tables."
    READ_CONFIGURATION = "See the global configuration."
    WRITE_CONFIGURATION = "Change the global configuration and the service mode."
    READ_AUDIT = "See who changed what."
    READ_EVENTS = "Follow the event log."
    OWN_TOKENS = "Make, see and revoke own API tokens."
    OWN_PASSWORD = "Change the own password."  # noqa: S105 - a sentence, no password


P = Permission
_READ = frozenset(p for p in P if p.name.startswith("READ_"))


class Role(Enum):
    """Roles, named as the login answer names them."""

    SUPERUSER = "superuser"
    SUPERVISOR = "supervisor"
    MAINTAINER = "maintainer"
    ADMINISTRATOR = "administrator"
    AUDITOR = "auditor"
    STRATEGY_ADMINISTRATOR = "strategy administrator"


GRANTS: dict[Role, frozenset[Permission]] = {
    Role.SUPERUSER: frozenset(P),
    Role.SUPERVISOR: frozenset(P) - {P.WRITE_USERS, P.WRITE_CONFIGURATION},
    Role.MAINTAINER: frozenset(
        {
            P.READ_STORAGE,
            P.WRITE_STORAGE,
            P.READ_TASKS,
            P.READ_RECORDS,
            P.READ_NOTIFICATIONS,
            P.READ_STATE,
            P.READ_LOOKUPS,
            P.READ_EVENTS,
            P.OWN_TOKENS,
            P.OWN_PASSWORD,
        }
    ),
    Role.ADMINISTRATOR: frozenset(
        {
            P.READ_CLIENTS,
            P.WRITE_CLIENTS,
            P.AUTHORISE_CLIENTS,
            P.READ_STORAGE,
            P.READ_TASKS,
            P.WRITE_TASKS,
            P.READ_RECORDS,
            P.WRITE_RECORDS,
            P.RESTORE,
            P.BROWSE_CLIENTS,
            P.READ_POLICIES,
            P.WRITE_RULES,
            P.DECIDE_REQUESTS,
            P.READ_NOTIFICATIONS,
            P.READ_STATE,
            P.READ_LOOKUPS,
            P.READ_EVENTS,
            P.OWN_TOKENS,
            P.OWN_PASSWORD,
        }
    ),
    Role.AUDITOR: _READ | {P.OWN_TOKENS, P.OWN_PASSWORD},
    Role.STRATEGY_ADMINISTRATOR: frozenset(
        {
            P.READ_POLICIES,
            P.WRITE_STRATEGIES,
            P.READ_NOTIFICATIONS,
            P.READ_STATE,
            P.READ_LOOKUPS,
            P.READ_EVENTS,
            P.OWN_TOKENS,
            P.OWN_PASSWORD,
        }
    ),
}
NO_ROLE = frozenset({P.READ_LOOKUPS, P.OWN_TOKENS, P.OWN_PASSWORD})
"""What a user without any role may do."""

NOT_BY_TOKEN = frozenset({P.OWN_TOKENS, P.OWN_PASSWORD, P.WRITE_USERS})
"""What no API token may do, whatever its roles: who gets in is decided by people who logged in."""

GLOBAL = frozenset({Role.SUPERUSER, Role.SUPERVISOR, Role.AUDITOR})
"""Roles whose scope is everything."""


@dataclass(frozen=True)
class Principal:
    """The authenticated caller: read from the catalogue for each request, never from a token."""

    user_id: int
    name: str
    roles: frozenset[Role] = frozenset()
    client_group_ids: tuple[int, ...] = ()
    media_server_ids: tuple[int, ...] = ()
    strategy_ids: tuple[int, ...] = ()
    address: str = ""
    token_id: int = 0
    token_name: str = ""
    """The API token that the call came with, if it came with one."""
    session: str = ""
    """The login session that the call came with, if it came with one."""
    permissions: frozenset[Permission] = field(init=False, default=frozenset())

    def __post_init__(self) -> None:
        granted = NO_ROLE.union(*(GRANTS[role] for role in self.roles))
        object.__setattr__(self, "permissions", granted - NOT_BY_TOKEN if self.token_id else granted)

    @property
    def sees_everything(self) -> bool:
        """Whether no row is out of this caller's scope."""
        return bool(self.roles & GLOBAL)

    def may(self, permission: Permission) -> bool:
        """Whether one of the roles grants it."""
        return permission in self.permissions
