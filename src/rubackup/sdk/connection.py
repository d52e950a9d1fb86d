"""HTTPS connections to the API. The server is always verified: by a root certificate's file, else by the system's roots."""

from __future__ import annotations

import http.client
import json
import re
import ssl
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote, urlencode, urlsplit

from rubackup.sdk.api import VERSION
from rubackup.sdk.caller import Answer, Query, flat
from rubackup.sdk.errors import BadAnswer, Misused, Refused, Unreachable
from rubackup.sdk.files import save

BASE = "/api/v1"
AGENT = f"rubackup-sdk/{VERSION}"
IDLE_SECONDS = 2.0
"""A connection that was idle for longer is not used again: the API may be closing it."""
LONGEST_TIMEOUT_SECONDS = 1_000_000
"""More than that the system's own calls do not take."""
ESCAPED = "To restore or fetch a file of such a name write it as lists show it: \\xff for a byte."
_METHOD = re.compile(r"[A-Z]+")
_VALUE = re.compile(r"[\t -~]*")
_TARGET = re.compile(r"[!-~]+")


class Connection:
    """Sends calls, each on a connection that is idle, else on a new one: for any number of threads."""

    def __init__(self, url: str, ca_file: str | Path | None, timeout_seconds: float) -> None:
        self._host, self._port = address(url)
        if not 0 < timeout_seconds <= LONGEST_TIMEOUT_SECONDS:
            raise Misused(
                f"timeout_seconds is {timeout_seconds}: it must be above 0, and {LONGEST_TIMEOUT_SECONDS} at most."
            )
        try:
            self._context = ssl.create_default_context(cafile=None if ca_file is None else str(ca_file))
        except (OSError, ValueError) as error:  # ssl.SSLError is an OSError, too; no name of a file is a ValueError
            reason = (error.strerror if isinstance(error, OSError) else "") or error
            raise Misused(f"{ca_file} is no file with a root certificate: {reason}.") from error
        self._ca_file, self._timeout = ca_file, timeout_seconds
        self._idle: list[tuple[float, http.client.HTTPSConnection]] = []
        """Connections that can be used again, and since when they are idle; the last one is the freshest."""
        self._lock = threading.Lock()
        self._closed = False

    @property
    def url(self) -> str:
        """The API's address."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"https://{host}:{self._port}"

    def exchange(
        self, method: str, path: str, headers: Mapping[str, str], *, query: Query | None = None, body: Any = None
    ) -> Answer[Any]:
        """The envelope of an answer that went well; else Refused, Unreachable or BadAnswer."""
        link, answer = self.send(method, path, headers, query, body)
        try:
            raw = answer.read()
        except (OSError, http.client.HTTPException) as error:
            link.close()
            raise self.lost(error) from error
        with self._lock:
            keeps = not (answer.will_close or self._closed)
            if keeps:
                self._idle.append((time.monotonic(), link))
        if not keeps:
            link.close()
        return envelope(f"{method} {path}", answer, raw)

    def stream(self, method: str, path: str, headers: Mapping[str, str], *, query: Query | None = None) -> Download:
        """An answer to be read piece by piece, on a connection of its own."""
        link, answer = self.send(method, path, headers, query, None)
        if answer.status < http.client.BAD_REQUEST:
            return Download(self, link, answer)
        with Download(self, link, answer) as told:
            envelope(f"{method} {path}", answer, told.read(1 << 20))
        raise BadAnswer(f"{method} {path} was answered by {answer.status}, which is called no error.")

    def close(self) -> None:
        """Close what is idle, and send nothing any more."""
        with self._lock:
            self._closed = True
            idle, self._idle = self._idle, []
        for _, link in idle:
            link.close()

    def _link(self) -> http.client.HTTPSConnection:
        """A connection that was used a moment ago, else one that is opened when it is used."""
        late: list[http.client.HTTPSConnection] = []
        found = None
        with self._lock:
            if self._closed:
                raise Misused("This client is closed: make another one.")
            while self._idle and found is None:
                since, link = self._idle.pop()
                if time.monotonic() - since > IDLE_SECONDS:
                    late.append(link)
                else:
                    found = link
        for link in late:
            link.close()
        return found or http.client.HTTPSConnection(
            self._host, self._port, context=self._context, timeout=self._timeout
        )

    def send(
        self, method: str, path: str, headers: Mapping[str, str], query: Query | None, body: Any
    ) -> tuple[http.client.HTTPSConnection, http.client.HTTPResponse]:
        """The answer's head, and the connection that it came by; Unreachable when there is none.

        What HTTP cannot carry is Misused, and not sent.
        """
        raw = None if body is None else _encoded(body)
        kinds = {"Accept": "application/json", "User-Agent": AGENT} | (
            {} if raw is None else {"Content-Type": "application/json"}
        )
        asked = _asked(query or {})
        target = f"{BASE}{path}?{asked}" if asked else f"{BASE}{path}"
        _check(method, target, headers)
        link = self._link()
        try:
            link.request(method, target, body=raw, headers={**kinds, **headers})
            return link, link.getresponse()
        except (OSError, http.client.HTTPException) as error:
            link.close()
            raise self.lost(error) from error

    def lost(self, error: Exception) -> Unreachable:
        """What a failed exchange is told as."""
        if isinstance(error, ssl.SSLCertVerificationError):
            hint = (
                "Name the root certificate of its installation."
                if self._ca_file is None
                else f"Is {self._ca_file} the root certificate of its installation, and {self._host} the name in its certificate?"
            )
            return Unreachable(
                f"The API at {self.url} is not to be trusted: certificate verify failed: {error.verify_message}. {hint}"
            )
        broke = isinstance(error, (ConnectionError, http.client.HTTPException))
        return Unreachable(
            f"The API at {self.url} does not answer: {_reason(error)}.",
            lost=broke and not isinstance(error, ConnectionRefusedError),
        )


def _reason(error: Exception) -> str:
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text or type(error).__name__


class Download:
    """An answer that is read piece by piece."""

    def __init__(
        self, connection: Connection, link: http.client.HTTPSConnection, answer: http.client.HTTPResponse
    ) -> None:
        self._connection, self._link, self._answer = connection, link, answer
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

    def pieces(self, size: int = 1 << 20) -> Iterator[bytes]:
        """All of it, in pieces of that size."""
        while piece := self.read(size):
            yield piece

    def save(self, file: str | Path, *, replace: bool = False) -> int:
        """Write all of it to a file, which is there under its name only when it is whole; how many bytes it has.

        A file that is there already is replaced only when told so; what is no ordinary file (a link, a device, a folder) never.
        """
        return save(self.pieces(), Path(file), replace=replace)

    def lines(self) -> Iterator[str]:
        """The text line by line, without line ends."""
        try:
            while line := self._answer.readline():
                yield line.decode().rstrip("\r\n")
        except (OSError, http.client.HTTPException) as error:
            raise self._connection.lost(error) from error
        except UnicodeDecodeError as error:
            raise BadAnswer("What was answered is no text.") from error

    def close(self) -> None:
        """End it."""
        self._answer.close()
        self._link.close()


def address(url: str) -> tuple[str, int]:
    """Host and port of an https address, with or without `/api/v1` behind it; Misused says what is wrong."""
    if "@" in url:  # what is before it may be a password
        raise Misused("An address has no name or password in it: it must be like https://backup.example:5656.")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
        (host or "").encode("idna")
    except ValueError as error:  # UnicodeError is one, too
        raise Misused(f"{url!r} is no address: {error}.") from error
    fits = host and host.isprintable() and " " not in host
    if parts.scheme != "https" or not host or not fits or parts.path.rstrip("/") not in {"", BASE}:
        raise Misused(f"{url!r} is not the address of an API: it must be like https://backup.example:5656.")
    return host, 443 if port is None else port


def as_typed(text: str) -> str:
    r"""A text with what is no character in it as it was typed: a byte as `\xff`."""
    return (
        "".join(f"\\x{ord(c) - 0xDC00:02x}" if "\udc80" <= c <= "\udcff" else c for c in text)
        .encode("utf-8", "backslashreplace")
        .decode()
    )


def _asked(query: Query) -> str:
    try:
        return urlencode(flat(query), quote_via=quote)
    except UnicodeEncodeError as error:
        raise Misused(f"{as_typed(error.object)} is not UTF-8. {ESCAPED}") from error


def _encoded(body: Any) -> bytes:
    try:
        return json.dumps(body, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:  # the rest of the body may be secret
        raise Misused(f"The body has a text in it that is not UTF-8. {ESCAPED}") from error


def _check(method: str, target: str, headers: Mapping[str, str]) -> None:
    """Misused where HTTP cannot carry it. What a header has is not told: it may be a token."""
    if not _METHOD.fullmatch(method):
        raise Misused(f"{method!r} is no method: there are GET, POST, PATCH and DELETE.")
    if not _TARGET.fullmatch(target):
        raise Misused(f"{target!r} is no path: blanks and what is not ASCII are written as %20, or given in the query.")
    for name, value in headers.items():
        if not _VALUE.fullmatch(value):
            raise Misused(
                f"The header {name} must be one line of ASCII"
                f"{'; a token has no line break, not even at its end' if name.startswith('Authorization') else ''}."
            )


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
