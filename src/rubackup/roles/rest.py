"""A small client of the REST API: logs in, keeps its tokens fresh, verifies the server by our root.

Used by what sets an installation up and by the command line; it knows no resource.
"""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from rubackup.domain.errors import CallerError, RubackupError, Unavailable, WireFault

DATABASE = "rubackup"
PAGE_ROWS = 1000
IDLE_SECONDS = 2.0
"""A connection that was idle for longer is not used again: the API may be closing it."""


class ApiFault(CallerError):
    """The API refused a call."""

    code = "api_fault"

    def __init__(self, message: str, status: int) -> None:
        self.status = status
        super().__init__(message, status=status)


class RestClient:
    """One user's session. Not for several threads at a time."""

    def __init__(
        self,
        url: str,
        ca_file: Path,
        user: str,
        password: str,
        *,
        database: str = DATABASE,
        timeout_seconds: float = 30.0,
    ) -> None:
        parts = urlsplit(url)
        if parts.scheme != "https" or parts.hostname is None:
            raise WireFault(f"{url} is no https address.")
        self._host, self._port = parts.hostname, parts.port or 443
        self._context = ssl.create_default_context(cafile=str(ca_file))
        self._credentials = {"rubackup_database": database, "rubackup_user": user, "password": password}
        self._timeout = timeout_seconds
        self._connection: http.client.HTTPSConnection | None = None
        self._used_at = 0.0
        self._tokens: dict[str, str] = {}

    def login(self) -> dict[str, Any]:
        """Log in; what the API tells of the user and the tokens."""
        answer = self._exchange("POST", "/auth/login", self._credentials, {})
        self._tokens = answer["data"]
        return dict(self._tokens)

    def logout(self) -> None:
        """Revoke the tokens."""
        if self._tokens:
            self._exchange("DELETE", "/auth/logout", None, self._headers())
            self._tokens = {}

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def get(self, path: str, /, **query: str | int) -> Any:
        """The `data` of an answer."""
        return self.call("GET", f"{path}?{urlencode(query, quote_via=quote)}" if query else path)["data"]

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The whole envelope of an answer."""
        return self.call("POST", path, body)

    def items(self, path: str, /, **query: str | int) -> Iterator[dict[str, Any]]:
        """The rows of a list, page by page."""
        page = 1
        while True:
            data = self.get(path, **query, page=page, limit=PAGE_ROWS)
            yield from data["items"]
            if page >= data["pages"]:
                return
            page += 1

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """The envelope of an answer; ApiFault when it is an error. Tokens that ran out are renewed once."""
        if not self._tokens:
            self.login()
        try:
            return self._exchange(method, path, body, self._headers())
        except ApiFault as fault:
            if fault.status != http.client.UNAUTHORIZED:
                raise
        self._renew()
        return self._exchange(method, path, body, self._headers())

    def _renew(self) -> None:
        """New tokens by the refresh token, or by the password when the API was started again."""
        headers = {
            "Authorization": f"Bearer {self._tokens['refresh_token']}",
            "Authorization-Access-Token": f"Bearer {self._tokens['access_token']}",
        }
        try:
            self._tokens = self._tokens | self._exchange("POST", "/auth/refresh", None, headers)["data"]
        except ApiFault:
            self.login()

    def _headers(self) -> dict[str, str]:
        return {
            "Authorization": f"Bearer {self._tokens['access_token']}",
            "X-CSRF-TOKEN": self._tokens["csrf_token"],
        }

    def _exchange(
        self, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> dict[str, Any]:
        sent = None if body is None else json.dumps(body).encode()
        kinds = {"Accept": "application/json"} | ({} if sent is None else {"Content-Type": "application/json"})
        status, raw = self._send(method, f"/api/v1{path}", sent, {**kinds, **headers})
        if status == http.client.NO_CONTENT:
            return {"data": {}, "errors": {}, "is_error": False, "message": ""}
        try:
            envelope: dict[str, Any] = json.loads(raw)
        except ValueError as error:
            raise WireFault(f"{method} {path} was answered by {status} with something that is not JSON.") from error
        if envelope["is_error"]:
            raise ApiFault(envelope["message"] or f"{method} {path} was answered by {status}.", status)
        return envelope

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str]) -> tuple[int, bytes]:
        if time.monotonic() - self._used_at > IDLE_SECONDS:
            self.close()
        try:
            if self._connection is None:
                self._connection = http.client.HTTPSConnection(
                    self._host, self._port, context=self._context, timeout=self._timeout
                )
            self._connection.request(method, path, body=body, headers=dict(headers))
            answer = self._connection.getresponse()
            status, raw = answer.status, answer.read()
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unavailable(f"The API at {self._host}:{self._port} does not answer: {error}.") from error
        self._used_at = time.monotonic()
        return status, raw


def failed(error: RubackupError) -> bool:
    """Whether a call failed because nobody answered, so that it may be tried again."""
    return isinstance(error, Unavailable) or (isinstance(error, ApiFault) and error.status >= 500)
