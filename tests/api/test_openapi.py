"""The OpenAPI document and Swagger UI: from the same declarations, from our own disk.

The golden file's diff is what callers will see change; the failing test says how to renew it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from rubackup.api.openapi import document, document_bytes
from rubackup.api.routes import routes_of
from rubackup.resources import RESOURCES
from support.api import Api

GOLDEN = Path(__file__).parents[2] / "docs" / "openapi.json"
RENEW = "RENEW_GOLDENS=1 .venv/bin/pytest tests/api/test_openapi.py"
ROUTES = routes_of(RESOURCES)


def operations() -> Iterator[tuple[str, dict[str, Any]]]:
    """Every operation with its path."""
    for path, methods in document(ROUTES)["paths"].items():
        for operation in methods.values():
            yield path, operation


def test_the_document_is_the_golden_one() -> None:
    """A change of the document is seen in review."""
    if os.environ.get("RENEW_GOLDENS"):
        GOLDEN.write_bytes(document_bytes(ROUTES, readable=True))

    assert GOLDEN.read_bytes() == document_bytes(ROUTES, readable=True), f"renew it: {RENEW}"


def test_every_route_is_in_the_document_once() -> None:
    """One operation a route, operation ids unique."""
    ids = [operation["operationId"] for _, operation in operations()]

    assert sorted(ids) == sorted(r.operation_id for r in ROUTES)
    assert len(set(ids)) == len(ids)


def test_every_reference_leads_somewhere() -> None:
    """No $ref points to a schema that is not there."""
    tree = document(ROUTES)
    found = set(re.findall(r'"#/components/(\w+)/([^"]+)"', document_bytes(ROUTES).decode()))

    assert [f"{kind}/{name}" for kind, name in found if name not in tree["components"][kind]] == []


def test_every_status_has_the_envelope() -> None:
    """Each answer, good or bad, is described with its four keys; 204 alone has no body."""
    shared = document(ROUTES)["components"]

    def resolved(part: dict[str, Any], kind: str) -> dict[str, Any]:
        return shared[kind][part["$ref"].rsplit("/", 1)[1]] if "$ref" in part else part

    for path, operation in operations():
        for status, answer in operation["responses"].items():
            if status == "204":
                assert "content" not in answer, (path, status)
                continue
            content = resolved(answer, "responses")["content"]
            schema = resolved(content["application/json"]["schema"], "schemas")
            assert set(schema["required"]) == {"data", "errors", "is_error", "message"}, (path, status)


def test_every_call_but_auth_asks_for_the_csrf_token() -> None:
    """`Authorize` takes it; a bearer token is only needed without cookies."""
    for path, operation in operations():
        schemes = [set(one) for one in operation["security"]]
        if not path.startswith("/auth/"):
            assert schemes == [{"csrf", "bearer"}, {"csrf", "cookie"}], path


def test_every_body_has_an_example() -> None:
    """Whoever tries a call in Swagger UI starts from something that is good."""
    without = [
        f"{path} {operation['operationId']}"
        for path, operation in operations()
        if "requestBody" in operation and "example" not in operation["requestBody"]["content"]["application/json"]
    ]

    assert without == []


def test_the_document_is_served_to_anybody(api: Api) -> None:
    """No login is needed; a browser that has it is told so."""
    stranger = api.another()
    answer = stranger.get("/openapi.json")
    again = stranger.get("/openapi.json", headers={"If-None-Match": answer.headers["etag"]})

    assert answer.json()["openapi"] == "3.1.0"
    assert (again.status_code, again.content) == (304, b"")


@pytest.mark.parametrize("path", ["//api/v1", "//api/v1/"])
def test_swagger_ui_loads_nothing_from_elsewhere(api: Api, path: str) -> None:
    """Its page names our own files only, each is served, and the policy allows no other."""
    page = api.another().get(path)
    files = re.findall(r'(?:src|href)="([^"]+)"', page.text)

    assert page.status_code == 200
    assert "<script>" not in page.text
    assert "script-src 'self';" in page.headers["content-security-policy"]
    assert files
    for file in files:
        assert file.startswith("/api/v1/")
        assert api.another().get("/" + file).status_code == 200


def test_swagger_ui_is_set_up_as_decided() -> None:
    """No validator, folded, and the authorization survives a reload."""
    script = (Path(__file__).parents[2] / "src/rubackup/api/swagger/start.js").read_text(encoding="utf-8")

    for setting in ("validatorUrl: null", 'docExpansion: "none"', "persistAuthorization: true"):
        assert setting in script


def test_pages_are_read_only(api: Api) -> None:
    """Any other method is a 405 in the envelope."""
    assert api.another().post("//api/v1/openapi.json").status_code == 405
    assert api.another().post("//api/v1/").status_code == 405


def test_the_root_leads_to_swagger_ui(api: Api) -> None:
    """As long as there is nothing else at /."""
    answer = api.another().get("//")

    assert (answer.status_code, answer.headers["location"]) == (302, "/api/v1/")
