"""How a resource is declared. One frozen value gives routes, schemas, permissions, scope, lists, OpenAPI and audit.

The route builder (`api.routes`), the list builder (`api.lists`) and the document
(`api.openapi`) read nothing else. A wrong declaration stops the start (`api.check`).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from datetime import tzinfo
from enum import Enum, Flag, auto
from typing import Annotated, Any

import msgspec
from starlette.responses import Response

from rubackup.catalog.database import Connection
from rubackup.domain.lookups import Lookup
from rubackup.domain.permissions import Permission, Principal
from rubackup.services.change import Change


class Op(Flag):
    """The seven standard verbs; one that is not listed answers 405."""

    LIST = auto()
    READ = auto()
    CREATE = auto()
    UPDATE = auto()
    DELETE = auto()
    BULK_DELETE = auto()
    BULK_UPDATE = auto()


NO_OPS = Op(0)
LOG = Op.LIST | Op.READ
CRUD = Op.LIST | Op.READ | Op.CREATE | Op.UPDATE | Op.DELETE | Op.BULK_DELETE


@dataclass(frozen=True)
class Clause:
    """A SQL condition. `{}` in `sql` stands for each of `values`, in order."""

    sql: str
    values: tuple[Any, ...] = ()


EVERYTHING = Clause("true")
NOTHING = Clause("false")
Scope = Callable[[Principal], Clause]


def everyone(_principal: Principal) -> Clause:
    """The scope of rows that nobody is kept from."""
    return EVERYTHING


@dataclass(frozen=True)
class Source:
    """Where the rows come from.

    `columns` maps each field of the row struct to a SQL expression over `table` (a FROM
    clause); `key` is the id column. `indexed` names the fields whose filter or sort has an
    index; the others work too, bounded by the statement time-out. `lock` is the alias that a
    change locks, by its `id` (default: the one that `key` begins with, as in `c.id`); `-`: none.
    """

    table: str
    key: str
    columns: Mapping[str, str]
    indexed: frozenset[str] = frozenset()
    order: str = "id"
    descending: bool = False
    lock: str = ""


@dataclass(frozen=True)
class Created:
    """What a creating function did. `task_ids` end the message; `name` is what the row is called."""

    ids: tuple[int, ...] = ()
    task_ids: tuple[int, ...] = ()


Create = Callable[[Change, Any], Awaitable[Created]]
Narrow = Callable[[Connection, Principal, Any], Awaitable[Clause]]
Update = Callable[[Change, int, Any], Awaitable[None]]
Delete = Callable[[Change, tuple[int, ...]], Awaitable[None]]


@dataclass(frozen=True)
class Body:
    """The body of a call: the struct, and the key that wraps it (None: bare). `many`: `data` is a list."""

    struct: type[msgspec.Struct]
    wrapper: str | None = "data"
    many: bool = False
    example: Any = None
    optional: bool = False
    ignored: frozenset[str] = frozenset()
    """Dotted names of unknown keys that the guide says are ignored; any other unknown key is a 400."""


class Answer(Enum):
    """The form of an action's answer."""

    EMPTY = "empty"
    """`data` is `{}`; the message tells."""
    OBJECT = "object"
    """`data` is one struct."""
    LIST = "list"
    """`data` is a list page of structs."""
    TASKS = "tasks"
    """201; the message ends with the numbers of the new tasks."""
    CREATED = "created"
    """201; `data` is `{}`, the message says that the resource was created."""
    EACH = "each"
    """Done for each id of the body by itself: the declared status when all went well, 207 with an Outcome for each
    when only some did, 404 when none exists, 409 when none could be done."""


class Outcome(msgspec.Struct, frozen=True):
    """What became of one id of a call that treats each by itself."""

    id: Annotated[int, msgspec.Meta(description="The id, as it was given.")]
    ok: Annotated[bool, msgspec.Meta(description="Whether it was done.")]
    message: Annotated[str, msgspec.Meta(description="What was done, or why not.")]


@dataclass(frozen=True)
class Call:
    """What the function of an action gets, beside the Change."""

    change: Change
    id: int | None = None
    body: Any = None
    query: Any = None
    path_value: str = ""
    zone: tzinfo | None = None
    """The zone of instants that are written without one; None: the host's."""
    ids: tuple[int, ...] = ()
    """With EACH: the ids of the body that exist and may be changed, each once; their rows are locked."""
    told: Any = None
    """What the action's `ask` found out."""


@dataclass(frozen=True)
class Later:
    """What an action that changes nothing has still to ask of live hosts.

    The kernel gives the catalogue's connection back before it waits, so that silent hosts cannot use them all up.
    `then` gets what they said, and a connection again: to note it and to look up what belongs to it.
    So does what an action's `ask` returns.
    """

    work: Callable[[], Awaitable[Any]]
    then: Callable[[Change, Any], Awaitable[Any]] | None = None


@dataclass(frozen=True)
class Page:
    """A list answer that an action made itself."""

    items: list[Any]
    total: int
    page: int = 1
    limit: int = 50


@dataclass(frozen=True)
class Action:
    """A verb that is none of the seven: a small typed function beside its resource.

    `path` is relative to the resource (`{id}/verification`, `tree`, `''`). With `{id}` the
    kernel checks scope first: a row out of scope is a 404. Another word in braces (`{status}`)
    takes any text that is not all digits and arrives as `Call.path_value`. `run` returns a
    struct for OBJECT, a Page for LIST, Created for TASKS and CREATED, Outcomes for EACH
    (`api.each.each` makes them, a savepoint an id), None or a message for EMPTY, or a Later that gives one of these. `mutates` decides between a transaction with an audit row and a plain connection.
    An action with `endpoint` has no `run`: it answers itself, before anybody is known where
    `permission` is None (authentication only), else once the caller is admitted.
    """

    method: str
    path: str
    summary: str
    permission: Permission | None
    run: Callable[[Call], Awaitable[Any]] | None = None
    ask: Callable[[Call], Awaitable[Later]] | None = None
    """What has to be asked of live hosts before `run` may change something; `run` finds it as `Call.told`."""
    answer: Answer = Answer.EMPTY
    body: Body | None = None
    query: type[msgspec.Struct] | None = None
    row: type[msgspec.Struct] | None = None
    status: int | None = None
    statuses: Mapping[int, str] = field(default_factory=dict)
    message: str = ""
    operation_id: str = ""
    mutates: bool = True
    replayable: bool = True
    """Whether an Idempotency-Key is honoured; not where the answer holds a secret, nor where the body may."""
    endpoint: Callable[[Any, Any], Awaitable[Response]] | None = None
    """Takes the kernel and the request; where there is a permission, the `Asked` of `api.kernel`."""
    word: str = ""
    """What a word in braces in the path may be, other than `{id}`."""
    media: str = "application/json"
    """The content type of an answer that is none of the envelope's; only with `endpoint`."""
    headers: Mapping[str, str] = field(default_factory=dict)
    """Request headers that the call takes, with a sentence each."""

    @property
    def binary(self) -> bool:
        """Whether the answer is a file: bytes of which the API knows nothing."""
        return self.media == "application/octet-stream"


@dataclass(frozen=True)
class Resource:
    """One family of the API."""

    path: str
    name: str
    tag: str
    summary: str
    read: Permission
    row: type[msgspec.Struct] | None = None
    source: Source | None = None
    lookup: type[Lookup] | None = None
    ops: Op = NO_OPS
    write: Permission | None = None
    make: Permission | None = None
    """The permission to create, where it is not `write`."""
    remove: Permission | None = None
    """The permission to delete, where it is not `write`."""
    scope: Scope = everyone
    """Rows that the caller may know of; others do not exist for him."""
    changeable: Scope = everyone
    """Of those, the rows that he may change: a call that changes another is a 403."""
    list_query: type[msgspec.Struct] | None = None
    """What the query of a list call may say beside pages, order and filters; its keys are no columns' names."""
    narrow: Narrow | None = None
    """The rows that a list call with such a query shows, of those in scope."""
    create: Create | None = None
    create_body: Body | None = None
    create_query: type[msgspec.Struct] | None = None
    """What the query of a creating call may say; `create` then gets `(body, query)`."""
    update: Update | None = None
    update_body: Body | None = None
    delete: Delete | None = None
    actions: tuple[Action, ...] = ()
    ids_example: tuple[int, ...] = (1,)
    """What the document shows as the body of the call that deletes several rows."""
    ids_are_digits: bool = True
    """`{id}` matches digits only, so an action may take other words in its place (`{status}`)."""
