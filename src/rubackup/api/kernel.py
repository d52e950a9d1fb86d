"""What every call has at hand: the catalogue, the hosts, the sessions, the settings of the API's own address."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any

from starlette.requests import Request
from starlette.responses import Response

from rubackup.api.estimates import Estimates
from rubackup.api.hub import EventHub
from rubackup.api.metrics import Metrics
from rubackup.api.resource import Action, Answer, Body, Op, Resource
from rubackup.api.seats import Seats
from rubackup.api.validate import key_names
from rubackup.catalog.database import Database
from rubackup.domain.permissions import Permission, Principal
from rubackup.services.auth import Sessions
from rubackup.services.change import SECRET_KEYS
from rubackup.services.downloads import FileLinks
from rubackup.services.ports import Hosts

BASE = "/api/v1"
ROUTE = "rubackup.route_declared"
"""Where a request's scope holds its Route, for an endpoint that answers before anybody is known."""


@dataclass(frozen=True)
class Address:
    """How callers reach this API: cookies and CORS answers are for this name only."""

    host: str
    port: int
    cookie_domain: str = ""

    @property
    def origin(self) -> str:
        """The origin of our own pages, as a browser writes it."""
        host = f"[{self.host}]" if ":" in self.host else self.host.lower()
        return f"https://{host}" if self.port == 443 else f"https://{host}:{self.port}"

    def is_own(self, host_header: str) -> bool:
        """Whether a request came under this name, whatever the port."""
        name = host_header.rsplit(":", 1)[0] if not host_header.endswith("]") else host_header
        return name.strip("[]").casefold() == self.host.strip("[]").casefold()


@dataclass(frozen=True)
class Kernel:
    """Everything that a call needs."""

    database: Database
    hosts: Hosts
    sessions: Sessions
    events: EventHub
    metrics: Metrics
    links: FileLinks
    seats: Seats
    """Of downloads."""
    address: Address
    server_address: str = "localhost"
    zone: tzinfo | None = None
    estimates: Estimates = field(default_factory=Estimates)


@dataclass(frozen=True)
class Asked:
    """A call that was let in: who asks, and what its path held."""

    request: Request
    principal: Principal
    route: Route
    id: int | None = None
    word: str = ""

    @property
    def method(self) -> str:
        """The HTTP method."""
        return self.request.method

    @property
    def path(self) -> str:
        """The path as it was asked for, for the audit."""
        return str(self.request.scope["path"])


Endpoint = Callable[[Kernel, Asked], Awaitable[Response]]


@dataclass(frozen=True)
class Route:
    """One operation of the API, all of it: routing, access, document and tests read this."""

    method: str
    path: str
    operation_id: str
    summary: str
    resource: Resource
    permission: Permission | None
    endpoint: Endpoint | None
    status: int
    op: Op | None = None
    action: Action | None = None
    body: Body | None = None
    query: Any = None

    @property
    def mutates(self) -> bool:
        """Whether the call changes something."""
        return self.action.mutates if self.action else self.op not in {Op.LIST, Op.READ}

    @property
    def conditional(self) -> bool:
        """Whether `If-Match` is honoured: by every change of rows that the call names by their ids."""
        action = self.action
        if action is None:
            return self.op in {Op.UPDATE, Op.DELETE, Op.BULK_DELETE}
        named = "{id}" in self.path or action.answer is Answer.EACH
        return named and action.mutates and action.endpoint is None and self.resource.source is not None

    @property
    def replayable(self) -> bool:
        """Whether an `Idempotency-Key` is honoured: never where the body may hold a secret."""
        if not self.mutates or self.permission is None or (self.action is not None and not self.action.replayable):
            return False
        return self.body is None or not key_names(self.body.struct) & SECRET_KEYS
