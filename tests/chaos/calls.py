"""Calls of the API while its processes die: each is repeated under its key until it is answered."""

from __future__ import annotations

import secrets
import ssl
import time
from pathlib import Path
from typing import Any

import httpx

from chaos.book import Book
from support.system import System

PATIENCE_SECONDS = 600.0
"""How long a call may go without an answer, whatever is killed meanwhile: a busy machine starts things in many seconds."""
ENVELOPE = {"data", "errors", "is_error", "message"}
RUNNING = "A call with this Idempotency-Key is still running."


class GaveUpError(Exception):
    """No answer came for PATIENCE_SECONDS, or one that must not be; the book has it."""


class Caller:
    """One user of the API, of one thread.

    What may be answered: an envelope with what was asked for; one with a refusal (4xx); one with 503, or no answer at
    all, which is repeated. Nothing else, above all no 500.
    """

    def __init__(self, system: System, book: Book) -> None:
        self._book, self._facts = book, system.facts
        context = ssl.create_default_context(cafile=self._facts["ca_file"])
        self._http = httpx.Client(base_url=self._facts["api"] + "/api/v1", verify=context, timeout=120)

    def ask(self, method: str, path: str, body: Any = None, /, **query: Any) -> tuple[int, dict[str, Any]]:
        """Status and envelope of the answer; GaveUpError."""
        key = {} if method == "GET" else {"Idempotency-Key": secrets.token_hex(12)}
        until = time.monotonic() + PATIENCE_SECONDS
        last = ""
        while time.monotonic() < until:
            if "Authorization" not in self._http.headers and not self._login():
                last = "no login"
                time.sleep(0.2)
                continue
            answer = self._send(method, path, body, key, query)
            if answer is None:
                last = "no connection"
            elif answer[0] == 401:
                del self._http.headers["Authorization"]
            elif answer[0] in {429, 503} or (answer[0] == 409 and answer[1]["message"] == RUNNING):
                last = f"{answer[0]} {answer[1]['message']}"
                self._book.counts[f"answers {answer[0]}, asked again"] += 1
            else:
                self._book.counts["answers"] += 1
                return answer
            time.sleep(0.2)
        self._book.differs(f"{method} {path} was not answered for {PATIENCE_SECONDS:g} s: {last}")
        raise GaveUpError

    def items(self, path: str, **query: Any) -> list[dict[str, Any]]:
        """The rows of a list."""
        status, answer = self.ask("GET", path, limit=1000, **query)
        if status != 200:
            self._book.differs(f"GET {path} {query}: {status} {answer['message']}")
            raise GaveUpError
        found: list[dict[str, Any]] = answer["data"]["items"]
        return found

    def task(self, method: str, path: str, body: Any = None, /, **query: Any) -> list[int]:
        """The numbers of the tasks that a call made; none when it was refused."""
        status, answer = self.ask(method, path, body, **query)
        if status not in {200, 201}:
            self._book.counts["refusals"] += 1
            self._book.happens(f"refused: {method} {path} {query}: {status} {answer['message']}")
            return []
        return [int(one) for one in answer["message"].rpartition("TASK WAS ADDED TO QUEUE:")[2].split(",")]

    def close(self) -> None:
        """End the connections."""
        self._http.close()

    def _send(
        self, method: str, path: str, body: Any, headers: dict[str, str], query: dict[str, Any]
    ) -> tuple[int, dict[str, Any]] | None:
        try:
            answer = self._http.request(method, path, json=body, params=query or None, headers=headers)
        except httpx.TransportError as error:
            self._book.counts["calls without an answer"] += 1
            self._book.happens(f"{method} {path}: {type(error).__name__} {error}")
            return None
        try:
            told = answer.json() if answer.content else dict.fromkeys(ENVELOPE, "")
            fits = isinstance(told, dict) and told.keys() == ENVELOPE and (answer.status_code < 400 or told["is_error"])
        except ValueError:
            fits = False
        if not fits or (answer.status_code >= 500 and answer.status_code != 503):
            self._book.differs(f"{method} {path} was answered with {answer.status_code} {answer.text[:500]}")
            raise GaveUpError
        return answer.status_code, told

    def _login(self) -> bool:
        password = Path(self._facts["password_file"]).read_text().strip()
        body = {"rubackup_database": "rubackup", "rubackup_user": self._facts["superuser"], "password": password}
        answer = self._send("POST", "/auth/login", body, {}, {})
        if answer is None or answer[0] in {429, 503}:
            return False
        if answer[0] != 200:
            self._book.differs(f"the login was answered with {answer[0]} {answer[1]['message']}")
            raise GaveUpError
        self._http.headers["Authorization"] = f"Bearer {answer[1]['data']['access_token']}"
        self._http.headers["X-CSRF-TOKEN"] = answer[1]["data"]["csrf_token"]
        return True
