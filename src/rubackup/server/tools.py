"""What the tools of a client's user ask of the server: each message is one service call about that client alone.

Who asks is the certificate of the connection. What a client sends is bounded here and checked by the services.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable, Iterator
from typing import Any

import msgspec

from rubackup.catalog.database import Database
from rubackup.domain.errors import Invalid, TooManyAttempts, WireFault
from rubackup.domain.identity import client_label
from rubackup.services import own, own_rules, rule_requests
from rubackup.services.fields import Row
from rubackup.services.no_hosts import NoHosts
from rubackup.services.own import Tool
from rubackup.wire.control import ControlPeer
from rubackup.wire.limits import Allowance
from rubackup.wire.messages import (
    AskDeletion,
    AskOwnClient,
    AskOwnCopies,
    AskOwnRules,
    AskOwnTasks,
    Deleted,
    LocalUser,
    Message,
    OwnClient,
    OwnCopies,
    OwnCopy,
    OwnRule,
    OwnRules,
    OwnTask,
    OwnTasks,
    Queued,
    Requested,
    RequestRule,
    RequestRuleDeletion,
    StartBackup,
    StartRestore,
    WaitingRequest,
)

BURST = 50
PER_SECOND = 5.0
"""How many messages of tools a client may send at once, and how fast it gets them back."""
PATHS = 1000
PATH_CHARACTERS = 32768
LARGEST = 2**63 - 1

_READS = (AskOwnClient, AskOwnRules, AskOwnCopies, AskOwnTasks)
_ACTS = (RequestRule, RequestRuleDeletion, StartBackup, StartRestore, AskDeletion)
TOOL_MESSAGES = (*_READS, *_ACTS)


class ClientTools:
    """Answers tools of clients."""

    def __init__(self, database: Database, clock: Callable[[], float] = time.monotonic) -> None:
        self._database = database
        self._allowance = Allowance(BURST, PER_SECOND, clock)
        self._hosts = NoHosts()

    async def handle(self, peer: ControlPeer, message: Message) -> Message:
        """The answer for the client at the other end; errors name the fields as the tools call them."""
        identity = peer.identity
        if not self._allowance.take(identity.hwid):
            raise TooManyAttempts("This client's tools ask too often; wait a moment.")
        user: LocalUser = getattr(message, "user", LocalUser())
        tool = Tool(identity.hwid, identity.serial, identity.key, peer.address, user.name, user.uid)
        _check_storable(message)
        try:
            return await (self._read(tool, message) if isinstance(message, _READS) else self._act(tool, message))
        except Invalid as error:
            raise Invalid(_plain(error)) from error

    async def _read(self, tool: Tool, message: Message) -> Message:
        match message:
            case AskOwnClient():
                return _client(*await own.read(self._database, tool))
            case AskOwnRules():
                rules, requests = await rule_requests.own_list(self._database, tool)
                return OwnRules(rules=[_rule(row) for row in rules], requests=[_waiting(row) for row in requests])
            case AskOwnCopies():
                rows, more = await own.copies(
                    self._database, tool, message.resource, _number(message.before), message.limit
                )
                return OwnCopies(copies=[OwnCopy(**_told(row)) for row in rows], more=more)
            case AskOwnTasks():
                rows, more = await own.own_tasks(
                    self._database, tool, _number(message.task), _number(message.before), message.limit
                )
                return OwnTasks(tasks=[OwnTask(**_told(row)) for row in rows], more=more)
        raise WireFault("The server does not take this message from a tool.")

    async def _act(self, tool: Tool, message: Message) -> Message:
        database, hosts, fields = self._database, self._hosts, msgspec.structs.asdict(message)
        fields.pop("user")
        match message:
            case RequestRule():
                wanted = own.built(rule_requests.WantedRule, fields)
                return Requested(id=await rule_requests.request_rule(database, hosts, tool, wanted))
            case RequestRuleDeletion():
                unwanted = own.built(rule_requests.UnwantedRule, fields | {"rule": _number(message.rule)})
                return Requested(id=await rule_requests.request_deletion(database, hosts, tool, unwanted))
            case StartBackup():
                backup = own.built(own.OwnBackup, fields)
                return Queued(task=await own.backup(database, hosts, tool, backup))
            case StartRestore():
                _check_paths(message)
                restore = own.built(own.OwnRestore, fields | {"record": _number(message.record)})
                return Queued(task=await own.restore(database, hosts, tool, restore))
            case AskDeletion():
                await own.delete_copy(database, hosts, tool, _number(message.record))
                return Deleted(record=message.record)
        raise WireFault("The server does not take this message from a tool.")


def _client(row: Row, waiting: int) -> OwnClient:
    flags = ("client_side_backup", "client_side_restore", "centralized_restore", "lrl_flag", "lsf_flag")
    return OwnClient(
        client=client_label(row["hostname"], row["hwid"]),
        group=row["group_name"],
        description=row["description"],
        ls_pool=row["ls_pool"] or "",
        storage_capacity=row["storage_capacity"],
        waiting_requests=waiting,
        **{flag: row[flag] for flag in flags},
    )


def _rule(row: Row) -> OwnRule:
    same = (
        "id", "name", "resource_type", "resource", "backup_type", "pool", "status", "storage_duration",
        "client_delete_flag",
    )  # fmt: skip
    return OwnRule(schedule=own_rules.schedule_of(row), **{name: row[name] for name in same})


def _waiting(row: Row) -> WaitingRequest:
    return WaitingRequest(**_told(row))


def _told(row: Row) -> dict[str, Any]:
    """A row's columns with instants as texts, '' for none."""
    return {name: _text(value) for name, value in row.items()}


def _text(value: Any) -> Any:
    if isinstance(value, dt.datetime):
        return value.isoformat()
    return "" if value is None else value


def _number(value: int) -> int:
    """A number that can be an id; others are no row's."""
    return value if 0 <= value <= LARGEST else LARGEST


def _plain(error: Invalid) -> str:
    """The sentences of an error, each with the last part of its field's name: tools know no nested bodies."""
    if not error.fields:
        return error.message
    return " ".join(f"{field.rpartition('.')[2]}: {text}" for field, text in error.fields.items())


def _check_paths(message: StartRestore) -> None:
    if len(message.paths) > PATHS or any(len(path) > PATH_CHARACTERS for path in message.paths):
        raise Invalid(fields={"paths": f"must be at most {PATHS} paths of at most {PATH_CHARACTERS} characters."})


def _check_storable(message: Message) -> None:
    """Invalid for texts that the catalogue cannot hold."""
    for text in _texts(msgspec.to_builtins(message, builtin_types=(bytes,))):
        try:
            text.encode()
        except UnicodeEncodeError as error:
            raise Invalid("Names that are not UTF-8 cannot be given to the server.") from error
        if "\0" in text:
            raise Invalid("A text must not hold a NUL character.")


def _texts(tree: Any) -> Iterator[str]:
    if isinstance(tree, str):
        yield tree
    elif isinstance(tree, dict | list | tuple):
        for one in tree.values() if isinstance(tree, dict) else tree:
            yield from _texts(one)
