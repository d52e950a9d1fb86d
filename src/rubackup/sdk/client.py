"""A client of the REST API: a session or an API token, and the families of calls as attributes.

    with Client.from_token("https://backup.example:5656", token, ca_file="/etc/rubackup/root.crt") as api:
        for pool in api.pool_list.all():
            print(pool["pool_name"], pool["free_bytes"])

A session's tokens are renewed by themselves. A call whose answer was lost is sent again where that does no harm: it only reads,
or goes under an Idempotency-Key. So is, after a pause, one that the API had no time for. Any number of threads may share a client.
"""

from __future__ import annotations

import random
import re
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from http import HTTPStatus
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar

from rubackup.sdk.api import Families
from rubackup.sdk.caller import Answer, Query, Stream
from rubackup.sdk.connection import Connection
from rubackup.sdk.errors import BUSY, LoggedOut, Misused, Refused, Unreachable
from rubackup.sdk.events import Events
from rubackup.sdk.store import MemoryStore, Session, Store

DATABASE = "rubackup"
TIMEOUT_SECONDS = 60.0
PATIENCE_SECONDS = 30.0
FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 0.25, 8.0
OVER = "The session is over: log in."
_TOKEN = re.compile(r"[!-~]+")

T = TypeVar("T")


class Client(Families):
    """Whoever calls the API.

    `timeout_seconds` bounds each wait for the network, `patience_seconds` how long a call is tried again in all: 0 is never.
    """

    def __init__(
        self,
        url: str,
        *,
        ca_file: str | Path | None = None,
        store: Store | None = None,
        token: str | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> None:
        super().__init__(self)
        if token is not None and not _TOKEN.fullmatch(token):
            raise Misused("This is no token: a token is ASCII letters, digits and signs, with no blank or line break.")
        if not patience_seconds >= 0:
            raise Misused(f"patience_seconds is {patience_seconds}: it must be 0 (never again) or more.")
        self._ca_file = None if ca_file is None else str(Path(ca_file).absolute())
        self._connection = Connection(url, self._ca_file, timeout_seconds)
        self._store: Store = store or MemoryStore()
        self._token = token
        self._patience = patience_seconds

    @classmethod
    def from_token(
        cls,
        url: str,
        token: str,
        *,
        ca_file: str | Path | None = None,
        timeout_seconds: float = TIMEOUT_SECONDS,
        patience_seconds: float = PATIENCE_SECONDS,
    ) -> Self:
        """A client with an API token (`rbt_…`), which needs no login."""
        return cls(
            url, ca_file=ca_file, token=token, timeout_seconds=timeout_seconds, patience_seconds=patience_seconds
        )  # fmt: skip

    @classmethod
    def from_store(
        cls, store: Store, *, timeout_seconds: float = TIMEOUT_SECONDS, patience_seconds: float = PATIENCE_SECONDS
    ) -> Self:
        """A client with a session that is kept, such as that of `rb login`; LoggedOut when there is none."""
        session = store.load()
        if session is None:
            raise LoggedOut("Nobody is logged in: log in.")
        return cls(
            session.url, ca_file=session.ca_file, store=store, timeout_seconds=timeout_seconds,
            patience_seconds=patience_seconds,
        )  # fmt: skip

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @property
    def url(self) -> str:
        """The API's address."""
        return self._connection.url

    def close(self) -> None:
        """End this client: its calls are Misused from now on. A session that is kept stays."""
        self._connection.close()

    def login(self, user: str, password: str, *, database: str = DATABASE) -> dict[str, Any]:
        """Begin a session; what the API tells of the user. Refused with status 401 or 429 when it does not go."""
        body = {"rubackup_database": database, "rubackup_user": user, "password": password}
        told: dict[str, Any] = self._connection.exchange("POST", "/auth/login", {}, body=body).data
        self._store.save(
            Session(
                url=self.url, ca_file=self._ca_file, user=told["user_name"], access_token=told["access_token"],
                refresh_token=told["refresh_token"], csrf_token=told["csrf_token"], roles=tuple(told["role"]),
                logged_in_at=time.time(),
            )
        )  # fmt: skip
        return {name: value for name, value in told.items() if not name.endswith("_token")}

    def logout(self) -> None:
        """End the session, here and at the API. One that is over already is no error."""
        with self._store.locked():
            session = self._store.load()
            if session is None:
                return
            try:
                self._connection.exchange("DELETE", "/auth/logout", _bearer(session.refresh_token, session))
            except Refused as refused:
                if refused.status != HTTPStatus.UNAUTHORIZED:
                    raise
            self._store.drop()

    def call(
        self,
        method: str,
        path: str,
        *,
        query: Query | None = None,
        body: Any = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool = False,
    ) -> Answer[Any]:
        """The answer of a call, `path` without `/api/v1`. Prefer the families' methods, which know the types."""  # fmt: skip
        sent = dict(headers or {})
        if repeatable:
            sent.setdefault("Idempotency-Key", str(uuid.uuid4()))
        again = method == "GET" or "Idempotency-Key" in sent
        return self._patiently(lambda: self._known(method, path, query, body, sent), again=again)

    def stream(
        self, method: str, path: str, *, query: Query | None = None, headers: Mapping[str, str] | None = None
    ) -> Stream:
        """The answer of a call that is no envelope."""
        sent = dict(headers or {})
        return self._patiently(lambda: self._stream(method, path, query, sent), again=method == "GET")

    def follow(
        self, families: Sequence[str] = (), *, after: str | None = None, reconnect: bool = True, once: bool = False
    ) -> Events:
        """What changes, as it happens: of some families, or of all that may be seen.

        `after` is the id of the last event that was seen; unless given, it begins with this call. A stream that ended is
        gone on with where it was: nothing is lost and nothing comes twice. `reconnect=False` ends with the stream, `once=True`
        when what there is has been told. An event named `reset` says that some were missed: read anew what is shown.
        """
        return Events(self, families, after, reconnect=reconnect and not once, once=once)

    def _patiently(self, attempt: Callable[[], T], *, again: bool) -> T:
        """What an attempt gives; it is made again while that does no harm, may help, and patience lasts."""
        until = time.monotonic() + self._patience
        pause = 0.0  # a connection that broke off is best tried again at once
        while True:
            try:
                return attempt()
            except Unreachable as unreachable:
                if not (again and unreachable.lost and time.monotonic() + pause < until):
                    raise
            except Refused as refused:
                harmless = again or refused.status == HTTPStatus.TOO_MANY_REQUESTS  # then nothing was done
                pause = refused.retry_after if refused.retry_after is not None else max(pause, FIRST_PAUSE_SECONDS)
                if refused.status not in BUSY or not harmless or time.monotonic() + pause > until:
                    raise
            time.sleep(pause * random.uniform(1.0, 1.2))  # noqa: S311 - so that clients do not come back all at once
            pause = min(max(2 * pause, FIRST_PAUSE_SECONDS), LONGEST_PAUSE_SECONDS)

    def _stream(self, method: str, path: str, query: Query | None, headers: dict[str, str]) -> Stream:
        session = self._session()
        try:
            return self._connection.stream(method, path, headers | self._rights(session), query=query)
        except Refused as refused:
            if refused.status != HTTPStatus.UNAUTHORIZED or session is None:
                raise
        return self._connection.stream(method, path, headers | self._rights(self._renewed(session)), query=query)

    def _known(self, method: str, path: str, query: Query | None, body: Any, headers: dict[str, str]) -> Answer[Any]:
        session = self._session()
        try:
            return self._connection.exchange(
                method, path, headers | self._rights(session), query=query, body=body
            )  # fmt: skip
        except Refused as refused:
            if refused.status != HTTPStatus.UNAUTHORIZED or session is None:
                raise
        renewed = self._renewed(session)
        return self._connection.exchange(method, path, headers | self._rights(renewed), query=query, body=body)

    def _session(self) -> Session | None:
        if self._token is not None:
            return None
        session = self._store.load()
        if session is None:
            raise LoggedOut("Nobody is logged in: log in.")
        return session

    def _rights(self, session: Session | None) -> dict[str, str]:
        if session is None:
            return {"Authorization": f"Bearer {self._token}"}
        return _bearer(session.access_token, session)

    def _renewed(self, refused: Session) -> Session:
        """New tokens by the refresh token; those of another program that was quicker."""
        with self._store.locked():
            session = self._store.load()
            if session is None:
                raise LoggedOut(OVER)
            if session.access_token != refused.access_token:
                return session
            headers = {
                "Authorization": f"Bearer {session.refresh_token}",
                "Authorization-Access-Token": f"Bearer {session.access_token}",
            }
            try:
                told = self._connection.exchange("POST", "/auth/refresh", headers).data
            except Refused as error:
                if error.status != HTTPStatus.UNAUTHORIZED:
                    raise
                self._store.drop()
                raise LoggedOut(OVER) from error
            renewed = replace(
                session, access_token=told["access_token"], refresh_token=told["refresh_token"],
                csrf_token=told["csrf_token"], roles=tuple(told["role"]),
            )  # fmt: skip
            self._store.save(renewed)
            return renewed


def _bearer(token: str, session: Session) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}", "X-CSRF-TOKEN": session.csrf_token}
