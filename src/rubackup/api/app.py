"""The ASGI application: a path to its route, the caller to a principal, whatever happens to an envelope.

Built from parts of Starlette only. Errors are translated here and nowhere else; ours are
logged once, with a reference that the caller is given instead of the cause.
"""

from __future__ import annotations

import logging
import math
import secrets
from collections.abc import Callable, Iterable
from datetime import tzinfo
from time import monotonic
from typing import Protocol

from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.types import Receive, Scope, Send

from rubackup.api import documents
from rubackup.api.access import identify, permit, source_address
from rubackup.api.board import NO_ROUTE, Board, Slot
from rubackup.api.check import check
from rubackup.api.envelope import SECURITY_HEADERS, failure, internal, success
from rubackup.api.hub import EventHub
from rubackup.api.kernel import BASE, ROUTE, Address, Asked, Kernel, Route
from rubackup.api.metrics import CONTENT_TYPE, Metrics
from rubackup.api.mutations import note_refusal
from rubackup.api.resource import Resource
from rubackup.api.router import MAX_ID, Match, Router
from rubackup.api.routes import routes_of
from rubackup.api.single import Single
from rubackup.catalog.database import Database
from rubackup.domain.errors import (
    Busy,
    CallerError,
    Forbidden,
    MethodNotAllowed,
    NotFound,
    RubackupError,
    TooLarge,
)
from rubackup.domain.permissions import Principal
from rubackup.services.auth import Revoked, Sessions
from rubackup.services.downloads import FileLinks
from rubackup.services.figures import FigureBook
from rubackup.services.ports import Hosts
from rubackup.services.tokens import Tokens

log = logging.getLogger("rubackup.api")

MAX_ACTIVE = 500
"""Calls that may be under way at once; each waits for one of a few database connections."""


HEALTH, METRICS = "/healthz", "/metrics"
HEALTH_SECONDS = 2.0
"""Whoever asks whether we are well has little patience."""
ROUTE_KEY = "rubackup.route"
"""Where a request's scope says which declared path it was for."""


class Settings(Protocol):
    """What the application asks of the process' settings."""

    def text(self, key: str, default: str | None = None) -> str:
        """A value."""
        ...

    def integer(self, key: str, default: int | None = None) -> int:
        """A whole number."""
        ...


class Application:
    """The whole API as an ASGI callable."""

    def __init__(self, kernel: Kernel, resources: Iterable[Resource]) -> None:
        self.kernel = kernel
        self.routes = routes_of(resources)
        check(self.routes)
        self._router: Router[Route] = Router(self.routes)
        self._pages = documents.pages(self.routes)
        self._active = 0
        self._alive = Single(self._ask)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: D102 - the ASGI protocol
        if scope["type"] == "lifespan":
            await _lifespan(receive, send)
            return
        if scope["type"] != "http":
            return
        request = Request(scope, receive)
        began = monotonic()
        self._active += 1
        try:
            answer = await self._answer(request)
        finally:
            self._active -= 1
        route = scope.get(ROUTE_KEY, NO_ROUTE)
        self.kernel.metrics.called(route, request.method, answer.status_code, monotonic() - began)
        self._headers(request, answer)
        await answer(scope, receive, send)

    async def close(self) -> None:
        """End what would not end by itself: the event streams, and questions that nothing answers."""
        self._alive.close()
        self.kernel.metrics.close()
        await self.kernel.events.close()

    async def _answer(self, request: Request) -> Response:
        path = request.scope["path"]
        try:
            return await self._page(request, path) or await self._call(request, path)
        except MethodNotAllowed as error:
            return failure(error, {"allow": str(error.facts.get("allowed", ""))})
        except TooLarge as error:
            return failure(error, {"connection": "close"})
        except CallerError as error:
            return failure(error)
        except RubackupError as error:
            detail = error.facts.get("detail", "")
            log.warning(
                "%s %s: %s (%s)%s", request.method, path, error.message, error.code, f" {detail}" if detail else ""
            )
            return failure(error)
        except Exception:
            reference = secrets.token_hex(6)
            log.exception("%s %s failed; reference %s", request.method, path, reference)
            return internal(reference)

    async def _page(self, request: Request, path: str) -> Response | None:
        """Pages that need no login: Swagger UI, its document, the health check."""
        name = path.removesuffix("/")
        page = self._pages.get(name)
        if page is None and name not in {"", HEALTH, METRICS}:
            return None
        request.scope[ROUTE_KEY] = name or "/"
        if request.method not in {"GET", "HEAD"}:
            raise MethodNotAllowed("The method is not allowed for this path; allowed: GET.", allowed="GET")
        if page is not None:
            return page.answer(request)
        if name == HEALTH:
            await self._alive.within(HEALTH_SECONDS)
            return success({"status": "ok"})
        if name == METRICS:
            self.kernel.metrics.admit(request)
            return Response(await self.kernel.metrics.text(), 200, media_type=CONTENT_TYPE)
        return RedirectResponse(f"{BASE}/", 302)

    async def _ask(self) -> None:
        """Whether the service database answers."""
        async with self.kernel.database.connection() as db:
            await db.fetchval("SELECT 1")

    async def _call(self, request: Request, path: str) -> Response:
        if self._active > MAX_ACTIVE:
            raise Busy("Too many calls are being worked on; try again later.")
        if not path.startswith(f"{BASE}/") or "\0" in path:
            raise NotFound("There is no such path.")
        match = self._router.find(request.method, path.removeprefix(BASE))
        request.scope[ROUTE_KEY] = BASE + match.route.path
        action = match.route.action
        if action is not None and action.endpoint is not None and action.permission is None:
            request.scope[ROUTE] = match.route
            return await action.endpoint(self.kernel, request)
        principal = await self._admit(request, match)
        if match.id == MAX_ID:
            raise NotFound(f"Resource with name '{match.route.resource.name}' was not found: {match.digits[:100]}.")
        assert match.route.endpoint is not None
        return await match.route.endpoint(self.kernel, Asked(request, principal, match.route, match.id, match.word))

    async def _admit(self, request: Request, match: Match[Route]) -> Principal:
        """The caller, allowed to make this call; a refusal of somebody known is an audit row."""
        try:
            principal, csrf = await identify(self.kernel, request)
        except Revoked as error:
            who = Principal(error.user_id, error.name, address=source_address(request))
            await note_refusal(self.kernel, Asked(request, who, match.route), "the session is over")
            raise
        try:
            permit(match.route, principal, request, csrf)
        except Forbidden as error:
            await note_refusal(self.kernel, Asked(request, principal, match.route), error.message)
            raise
        return principal

    def _headers(self, request: Request, answer: Response) -> None:
        for name, value in SECURITY_HEADERS.items():
            answer.headers.setdefault(name, value)
        answer.headers["vary"] = "Origin"
        if request.headers.get("origin", "").lower() == self.kernel.address.origin:
            answer.headers["access-control-allow-origin"] = self.kernel.address.origin
            answer.headers["access-control-allow-credentials"] = "true"


async def _lifespan(receive: Receive, send: Send) -> None:
    """What the application needs is opened and closed by its role; here is nothing to do."""
    while True:
        message = await receive()
        await send({"type": message["type"] + ".complete"})
        if message["type"] == "lifespan.shutdown":
            return


def address_of(settings: Settings, port: int | None = None) -> Address:
    """How callers reach the API; `port` is the one really listened on."""
    return Address(
        settings.text("APP_HOST", "localhost"),
        port or settings.integer("APP_PORT", 5656),
        settings.text("COOKIE_DOMAIN", ""),
    )


def board(resources: Iterable[Resource], workers: int = 1) -> Board:
    """Where so many workers of an application of these resources count."""
    paths = (BASE + route.path for route in routes_of(resources))
    return Board([*documents.PATHS, "/", HEALTH, METRICS, *paths], workers)


def build(
    database: Database,
    hosts: Hosts,
    settings: Settings,
    resources: Iterable[Resource],
    *,
    secret: bytes | None = None,
    zone: tzinfo | None = None,
    sessions: Sessions | None = None,
    port: int | None = None,
    metrics_token: str = "",
    slot: Slot | None = None,
    days_left: Callable[[], float] = lambda: math.nan,
) -> Application:
    """The application over an open database. `secret` is random unless given: then tokens die with the process.

    `port` is the one really listened on, where APP_PORT leaves the choice to the system. `slot` is where it counts;
    `days_left` how long its certificate is good.
    """
    secret = secret or secrets.token_bytes(32)
    sessions = sessions or Sessions(database, Tokens(secret), zone=zone)
    address = address_of(settings, port)
    server = settings.text("RB_SERVER_HOST", "localhost").split(",")[0].strip()
    resources = tuple(resources)
    slot = slot or board(resources).slot()
    hub = EventHub(database, sessions, {resource.path: resource for resource in resources}, slot.streams)
    metrics = Metrics(FigureBook(database), slot, metrics_token, days_left)
    kernel = Kernel(
        database, hosts, sessions, hub, metrics, FileLinks(database, secret), slot.downloads, address, server, zone
    )
    return Application(kernel, resources)
