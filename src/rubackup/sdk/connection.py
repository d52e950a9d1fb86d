"""One HTTPS connection to the API. The server is always verified: by a root certificate's file, else by the system's roots."""

from __future__ import annotations

import http.client
import json
import ssl
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit

from rubackup.sdk.caller import Answer, Query, flat
from rubackup.sdk.errors import BadAnswer, Misused, Refused, Unreachable

BASE = "/api/v1"
IDLE_SECONDS = 2.0
"""A connection that was idle for longer is not used again: the API may be closing it."""


class Connection:
    """Sends calls one after another. Not for several threads at a time."""

    def __init__(self, url: str, ca_file: str | Path | None, timeout_seconds: float) -> None:
        self._host, self._port = address(url)
        try:
            self._context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
        except OSError as error:  # ssl.SSLError is one, too
            raise Misused(f"{ca_file} is no file with a root certificate: {error.strerror or error}.") from error
        self._ca_file, self._timeout = ca_file, timeout_seconds
        self._connection: http.client.HTTPSConnection | None = None
        self._used_at = 0.0

    @property
    def url(self) -> str:
        """The API's address."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"https://{host}:{self._port}"

    def exchange(
        self, method: str, path: str, headers: Mapping[str, str], *, query: Query | None = None, body: Any = None
    ) -> Answer[Any]:
        """The envelope of an answer that went well; else Refused, Unreachable or BadAnswer."""
        answer = self.send(method, path, headers, query, body)
        try:
            raw = answer.read()
        except (OSError, http.client.HTTPException) as error:
            raise self.lost(error) from error
        self._used_at = time.monotonic()
        return envelope(f"{method} {path}", answer, raw)

    def stream(self, method: str, path: str, headers: Mapping[str, str], *, query: Query | None = None) -> Download:
        """An answer to be read piece by piece, on a connection of its own."""
        own = Connection(self.url, self._ca_file, self._timeout)
        answer = own.send(method, path, headers, query, None)
        if answer.status < http.client.BAD_REQUEST:
            return Download(own, answer)
        with Download(own, answer) as told:
            envelope(f"{method} {path}", answer, told.read(1 << 20))
        raise BadAnswer(f"{method} {path} was answered by {answer.status}, which is called no error.")

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def send(
        self, method: str, path: str, headers: Mapping[str, str], query: Query | None, body: Any
    ) -> http.client.HTTPResponse:
        """The answer's head; Unreachable when there is none."""
        if time.monotonic() - self._used_at > IDLE_SECONDS:
            self.close()
        raw = None if body is None else json.dumps(body).encode()
        kinds = {"Accept": "application/json"} | ({} if raw is None else {"Content-Type": "application/json"})
        asked = urlencode(flat(query or {}), quote_via=quote)
        try:
            if self._connection is None:
                self._connection = http.client.HTTPSConnection(
                    self._host, self._port, context=self._context, timeout=self._timeout
                )
            target = f"{BASE}{path}?{asked}" if asked else f"{BASE}{path}"
            self._connection.request(method, target, body=raw, headers={**kinds, **headers})
            return self._connection.getresponse()
        except (OSError, http.client.HTTPException) as error:
            raise self.lost(error) from error

    def lost(self, error: Exception) -> Unreachable:
        """What a failed exchange is told as; the connection is closed."""
        self.close()
        if isinstance(error, ssl.SSLCertVerificationError):
            return Unreachable(
                f"The API at {self.url} is not to be trusted: certificate verify failed: {error.verify_message}. "
                "Is this the root certificate of its installation, and the name in its certificate?"
            )
        broke = isinstance(error, (ConnectionError, http.client.HTTPException))
        return Unreachable(
            f"The API at {self.url} does not answer: {error or type(error).__name__}.",
            lost=broke and not isinstance(error, ConnectionRefusedError),
        )


class Download:
    """An answer that is read piece by piece."""

    def __init__(self, connection: Connection, answer: http.client.HTTPResponse) -> None:
        self._connection, self._answer = connection, answer
        self.status = answer.status
        self.headers: Mapping[str, str] = _headers(answer)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def read(self, size: int) -> bytes:
        """At most `size` bytes; none at the end. Unreachable when the answer breaks off before its end."""
        try:
            piece = self._answer.read(size)
        except (OSError, http.client.HTTPException) as error:
            raise self._connection.lost(error) from error
        if not piece and size and self._answer.length:
            raise Unreachable(
                f"The API at {self._connection.url} broke off {self._answer.length} bytes before the end."
            )
        return piece

    def lines(self) -> Iterator[str]:
        """The text line by line, without line ends."""
        try:
            while line := self._answer.readline():
                yield line.decode().rstrip("\r\n")
        except (OSError, http.client.HTTPException) as error:
            raise self._connection.lost(error) from error

    def close(self) -> None:
        """End it."""
        self._answer.close()
        self._connection.close()


def address(url: str) -> tuple[str, int]:
    """Host and port of an https address, with or without `/api/v1` behind it; Misused says what is wrong."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError as error:
        raise Misused(f"{url} is no address: {error}.") from error
    if parts.scheme != "https" or not host or parts.username or parts.path.rstrip("/") not in {"", BASE}:
        raise Misused(f"{url} is not the address of an API: it must be like https://backup.example:5656.")
    return host, port or 443


def envelope(call: str, answer: http.client.HTTPResponse, raw: bytes) -> Answer[Any]:
    """The answer in an envelope; Refused when it says so."""
    if answer.status == http.client.NO_CONTENT:
        return Answer(answer.status, {}, "", _headers(answer))
    try:
        told = json.loads(raw)
        data, message, wrong, failed = told["data"], told["message"], told["errors"], told["is_error"]
    except (ValueError, KeyError, TypeError) as error:
        raise BadAnswer(f"{call} was answered by {answer.status} with something that is not from this API.") from error
    if failed:
        wait = answer.headers.get("Retry-After", "")
        raise Refused(
            message or f"{call} was answered by {answer.status}.", answer.status, wrong,
            int(wait) if wait.isdigit() else None,
        )  # fmt: skip
    return Answer(answer.status, data, message, _headers(answer))


def _headers(answer: http.client.HTTPResponse) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.getheaders()}
