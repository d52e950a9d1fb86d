"""Every answer that a test gets is held against the OpenAPI document: its status, its content type, its schema."""

from __future__ import annotations

from typing import Any

import httpx
import jsonschema_rs

from rubackup.api.app import Application
from rubackup.api.kernel import BASE
from rubackup.api.openapi import document
from rubackup.domain.errors import CallerError

_documents: dict[tuple[int, ...], Described] = {}
_kept: list[Any] = []


def names_in(schema: Any) -> set[str]:
    """The names of the schemas that a schema refers to."""
    if isinstance(schema, list):
        return set().union(*map(names_in, schema))
    if not isinstance(schema, dict):
        return set()
    own = {str(schema["$ref"]).rpartition("/")[2]} if isinstance(schema.get("$ref"), str) else set()
    return own.union(*map(names_in, schema.values()))


class Described:
    """The document of one set of routes, with its schemas ready for use."""

    def __init__(self, app: Application) -> None:
        self.document = document(app.routes)
        self._validators: dict[tuple[str, str, str], Any] = {}

    def answer(self, path: str, method: str, status: str) -> dict[str, Any]:
        """What the document says of an answer; a status that it does not know is an error of the document."""
        told = self.document["paths"][path][method.lower()]["responses"]
        assert status in told, f"{method} {path} answered {status}; the document knows {', '.join(told)}"
        found: dict[str, Any] = told[status]
        if "$ref" in found:
            found = self.document["components"]["responses"][found["$ref"].rpartition("/")[2]]
        return found

    def _complete(self, schema: Any) -> dict[str, Any]:
        """The schema with those that it refers to, and no others: with all of them a validator takes 2 MiB."""
        every = self.document["components"]["schemas"]
        wanted: dict[str, Any] = {}
        waiting = names_in(schema)
        while waiting:
            name = waiting.pop()
            if name not in wanted:
                wanted[name] = every[name]
                waiting |= names_in(every[name])
        return {**schema, "components": {"schemas": wanted}}

    def check(self, path: str, method: str, answer: httpx.Response) -> None:
        """Hold an answer against the document."""
        told = self.answer(path, method, str(answer.status_code)).get("content", {})
        if not told:
            assert not answer.content, f"{method} {path} answered {answer.status_code} with a body"
            return
        kind = answer.headers["content-type"].partition(";")[0]
        assert kind in told, f"{method} {path} answered with {kind}; the document knows {', '.join(told)}"
        if kind != "application/json":
            return
        key = (path, method, str(answer.status_code))
        if key not in self._validators:
            self._validators[key] = jsonschema_rs.Draft202012Validator(self._complete(told[kind]["schema"]))
        errors = [
            f"{list(e.instance_path)}: {e.message}"[:300] for e in self._validators[key].iter_errors(answer.json())
        ]
        assert errors == [], f"{method} {path} {answer.status_code} is not as described: {errors[:5]}"


def check_described(app: Application, method: str, url: str, answer: httpx.Response) -> None:
    """Hold the answer of a declared operation against its description."""
    path = url.partition("?")[0]
    if method == "HEAD" or not path.startswith(f"{BASE}/"):
        return
    try:
        route = app._router.find(method, path.removeprefix(BASE)).route
    except CallerError:
        return
    key = tuple(id(one.resource) for one in app.routes)
    if key not in _documents:
        _documents[key] = Described(app)
        _kept.append(app.routes)  # so that no other resource gets the same id
    _documents[key].check(route.path, method, answer)
