"""The OpenAPI document and Swagger UI: from the same declarations, from our own disk.

The golden file's diff is what callers will see change; the failing test says how to renew it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import jsonschema_rs
import pytest
import yaml
from schemathesis.specs.openapi.definitions import OPENAPI_31_VALIDATOR

from rubackup.api.openapi import document, document_bytes
from rubackup.api.resource import Op
from rubackup.api.routes import routes_of
from rubackup.domain.permissions import NOT_BY_TOKEN
from rubackup.resources import RESOURCES
from support.api import Api

CONTRACT: list[dict[str, Any]] = yaml.safe_load((Path(__file__).parents[1] / "contract" / "endpoints.yaml").read_text())
UNITS = {
    r"_bytes$|_size$|_capacity$|_reserve$|^size$": r"bytes|[kmgt]i?b\b|gigabytes|megabytes|kilobytes|percent",
    r"_seconds$|_timeout$": r"seconds",
    r"_period$|_interval$|_duration$|^period": r"minutes|seconds|hours|days|interval|how long|when |instant|moment|until",
    r"_minutes$": r"minutes",
    r"percent": r"percent|share",
    r"_at$|_until$|last_online$|_not_after$": r"when|until",
    r"speed|bandwidth": r"bytes|second|limit",
}
"""What the description of a field must say that has such a name."""
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
            content = resolved(answer, "responses").get("content", {})
            assert content or status == "204", (path, status)
            if "application/json" not in content:
                continue
            schema = resolved(content["application/json"]["schema"], "schemas")
            assert set(schema["required"]) == {"data", "errors", "is_error", "message"}, (path, status)


def test_every_call_with_a_permission_asks_for_a_csrf_token_or_an_api_token() -> None:
    """`Authorize` takes it; a bearer token is only needed without cookies; some calls no API token may make."""
    by_id = {route.operation_id: route for route in ROUTES}
    for path, operation in operations():
        schemes = [set(one) for one in operation["security"]]
        if by_id[operation["operationId"]].permission is not None:
            token = [] if by_id[operation["operationId"]].permission in NOT_BY_TOKEN else [{"token"}]
            assert schemes == [{"csrf", "bearer"}, {"csrf", "cookie"}, *token], path


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


# --- complete and correct ---


def test_the_document_is_openapi_31() -> None:
    """It holds against the specification's own schema."""
    errors = [f"{list(e.instance_path)}: {e.message}" for e in OPENAPI_31_VALIDATOR.iter_errors(document(ROUTES))]

    assert errors == []


def test_every_schema_is_one() -> None:
    """Each can be compiled, with all that it refers to."""
    tree = document(ROUTES)
    for name, schema in tree["components"]["schemas"].items():
        jsonschema_rs.meta.validate(schema)
        jsonschema_rs.Draft202012Validator({"$ref": f"#/components/schemas/{name}", "components": tree["components"]})


def bodies() -> Iterator[tuple[str, dict[str, Any]]]:
    """The JSON body of every operation that takes one."""
    for path, operation in operations():
        if "requestBody" in operation:
            yield f"{operation['operationId']} {path}", operation["requestBody"]["content"]["application/json"]


def test_every_example_is_what_its_schema_asks_for() -> None:
    """Whoever sends it as it stands is told about names that do not exist, never about its form."""
    components = document(ROUTES)["components"]
    wrong = {}
    for name, body in bodies():
        validator = jsonschema_rs.Draft202012Validator({**body["schema"], "components": components})
        wrong |= {name: [f"{list(e.instance_path)}: {e.message}" for e in validator.iter_errors(body["example"])]}

    assert {name: errors for name, errors in wrong.items() if errors} == {}


def test_examples_are_the_contracts() -> None:
    """The guide's own body; only where it leaves a text empty that must not be, stands one that is good."""
    found = {
        (method.upper(), re.sub(r"\{(?!id\})\w+\}", "{word}", path)): operation
        for path, methods in document(ROUTES)["paths"].items()
        for method, operation in methods.items()
    }
    for row in CONTRACT:
        operation = found.get((row["method"], re.sub(r"\{(?!id\})\w+\}", "{word}", row["path"])))
        if operation is None or row["body"] is None:
            continue
        example = operation["requestBody"]["content"]["application/json"]["example"]
        assert list(differences(example, row["body"])) == [], (row["method"], row["path"])


def differences(ours: Any, theirs: Any, where: str = "") -> Iterator[str]:
    """Where an example is not the contract's."""
    if isinstance(theirs, dict) and isinstance(ours, dict):
        yield from (f"{where}.{key} is missing" for key in theirs.keys() - ours.keys())
        yield from (f"{where}.{key} is new" for key in ours.keys() - theirs.keys())
        for key in theirs.keys() & ours.keys():
            yield from differences(ours[key], theirs[key], f"{where}.{key}")
    elif theirs not in {"", ours} if isinstance(theirs, str) else ours != theirs:
        yield f"{where}: {ours!r}, not {theirs!r}"


def properties(schema: Any, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every field of every object in a schema, by its dotted name."""
    if isinstance(schema, list):
        for part in schema:
            yield from properties(part, where)
    if isinstance(schema, dict):
        for name, inner in schema.get("properties", {}).items():
            yield f"{where}.{name}", inner
            yield from properties(inner, f"{where}.{name}")
        for key in ("items", "anyOf", "allOf", "oneOf", "additionalProperties"):
            yield from properties(schema.get(key), where)


def text_of(schema: dict[str, Any]) -> str:
    """The description of a field, wherever its schema keeps it."""
    inner = [text_of(part) for part in schema.get("anyOf", ())]
    return schema.get("description", "") or next(filter(None, inner), "")


def fields() -> Iterator[tuple[str, str]]:
    """Every field that a caller sends or gets, with its description."""
    for name, schema in document(ROUTES)["components"]["schemas"].items():
        if name != "Failure":
            yield from ((field, text_of(inner)) for field, inner in properties(schema, name))
    for path, operation in operations():
        for parameter in operation["parameters"]:
            if "$ref" not in parameter:
                yield f"{operation['operationId']} {path} {parameter['name']}", parameter.get("description", "")


def test_every_field_is_described() -> None:
    """What it means, in words: of bodies, answers, queries, paths and headers."""
    assert [name for name, text in fields() if not text] == []


def test_every_field_with_a_unit_names_it() -> None:
    """Nobody has to guess whether a period is in minutes or in days."""
    without = [
        f"{name}: {text}"
        for name, text in fields()
        for pattern, words in UNITS.items()
        if (word := re.split(r"[. ]", name)[-1]) and re.search(pattern, word) and not word.startswith("notify_")
        if not re.search(words, text, re.IGNORECASE)
    ]

    assert without == []


def test_every_tag_is_described_once() -> None:
    """Each group of calls has a sentence, and every call is in one of them."""
    tags = document(ROUTES)["tags"]

    assert all(tag["description"] for tag in tags)
    assert len({tag["name"] for tag in tags}) == len(tags)
    assert {name for _, operation in operations() for name in operation["tags"]} == {tag["name"] for tag in tags}


def test_every_list_says_what_its_rows_are() -> None:
    """The items of a list are of a named schema."""
    tree = document(ROUTES)
    for route in ROUTES:
        if route.op is Op.LIST:
            answer = tree["paths"][route.path]["get"]["responses"]["200"]["content"]["application/json"]["schema"]
            items = answer["properties"]["data"]["properties"]["items"]["items"]
            assert items["$ref"].rpartition("/")[2] in tree["components"]["schemas"], route.path


def test_every_change_that_can_be_replayed_says_so() -> None:
    """`Idempotency-Key` stands where it is honoured, and nowhere else."""
    for route in ROUTES:
        parameters = document([route])["paths"][route.path][route.method.lower()]["parameters"]
        told = {"$ref": "#/components/parameters/Idempotency-Key"} in parameters
        assert told == route.replayable, route.operation_id
