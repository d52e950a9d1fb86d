"""Every row of the guide's table, over HTTPS, against the running system.

Six rules a row: the guide's own example body (with real names) has its effect, shown by further calls; what
does not exist is a 404; a wrong body is a 400 that names the key; no token 401; no CSRF token 403; a role that
may not 403. A row that this version refuses says why and changes nothing. The last test makes a table by family.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from rubackup.api.kernel import Route
from rubackup.api.routes import routes_of
from rubackup.domain.permissions import NO_ROLE
from rubackup.resources import RESOURCES
from support import (
    contract_hosts,
    contract_people,
    contract_policies,
    contract_storage,
    contract_system,
    contract_tape,
    contract_tasks,
)
from support.office import MISSING, Office, contract
from support.rows import Call, Key, Row, Rows
from support.system import running

ROWS: Rows = {
    **contract_people.ROWS,
    **contract_hosts.ROWS,
    **contract_storage.ROWS,
    **contract_tape.ROWS,
    **contract_policies.ROWS,
    **contract_tasks.ROWS,
    **contract_system.ROWS,
}
ENVELOPE = {"data", "errors", "is_error", "message"}
TABLE = Path(__file__).parents[2] / "artefacts" / "contract_rows.txt"
NO_TOKEN_NEEDED = {("POST", "/auth/login"), ("POST", "/auth/refresh"), ("DELETE", "/auth/logout")}
"""Rows that are about tokens themselves; their other answers are in `tests/api/test_login.py` and `test_sessions.py`."""


NOTHING_TAKEN = {("POST", "/auth/refresh"), ("DELETE", "/auth/logout")}
"""Rows that take neither body nor query: the guide sends an empty one."""


def word_path(path: str) -> str:
    """The path with one name for a placeholder that is no id."""
    return path.replace("{status}", "{word}")


ROUTES: dict[Key, Route] = {(r.method, word_path(r.path)): r for r in routes_of(RESOURCES)}
outcome: dict[str, dict[str, list[str]]] = {}


@pytest.fixture(scope="module")
def office(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Office]:
    """A system of its own: the guide's global configuration and deletions must not meet other tests."""
    folder = tmp_path_factory.mktemp("office")
    with running(folder / "state") as system:
        found = Office(system, folder)
        found.furnish()
        try:
            yield found
        finally:
            found.close()


def keys(*, without: set[Key] | None = None) -> list[Any]:
    """Parameters: every row of the table."""
    return [pytest.param(key, id=f"{key[0]} {key[1]}") for key in contract() if key not in (without or set())]


def sent(client: httpx.Client, method: str, call: Call) -> httpx.Response:
    """The answer to a call; every one wears the envelope, save 204."""
    answer = client.request(method, call.path, json=call.body, params=call.query)
    if answer.status_code != 204:
        assert answer.json().keys() == ENVELOPE, answer.text
        assert answer.json()["is_error"] is (answer.status_code >= 400)
    return answer


def note(key: Key, what: str) -> None:
    """Remember for the table."""
    family = contract()[key]["group"]
    outcome.setdefault(family, {}).setdefault(what, []).append(f"{key[0]} {key[1]}")


def test_every_row_of_the_table_has_its_case() -> None:
    """None is missing, none is of our own invention."""
    assert ROWS.keys() == contract().keys()


@pytest.mark.parametrize("key", keys())
def test_the_guides_call_has_its_effect(office: Office, key: Key) -> None:
    """The contract's status, the envelope, and the effect by a second call; or the honest refusal."""
    row, wanted = ROWS[key], contract()[key]["statuses"]
    call = row.call(office)
    client = row.caller(office) if row.caller else office.system.http

    answer = sent(client, key[0], call)

    if row.refused:
        assert answer.status_code == row.status, answer.text
        assert row.refused in answer.json()["message"], answer.text
        note(key, "refused")
    else:
        assert answer.status_code in ([s for s in wanted if s < 300] or [200]), f"{call} {answer.text[:2000]}"
        note(key, "effect")
    row.effect(office, call, answer)


@pytest.mark.parametrize("key", keys())
def test_what_does_not_exist_is_404(office: Office, key: Key) -> None:
    """An id that no row has, a name that nobody has, a path that leads nowhere."""
    row = ROWS[key]
    client = row.caller(office) if row.caller else office.system.http
    call = row.absent(office) if row.absent else _elsewhere(row, office)

    answer = sent(client, key[0], call)

    assert answer.status_code == row.absent_status, f"{call} {answer.text[:500]}"


def _elsewhere(row: Row, office: Office) -> Call:
    """The same call about an id that no row has."""
    call = row.call(office)
    assert call.about, call
    return Call(call.path.replace(f"/{call.about}", f"/{MISSING}"), call.body, call.query)


@pytest.mark.parametrize("key", keys(without=NOTHING_TAKEN))
def test_a_wrong_body_is_400_and_names_the_key(office: Office, key: Key) -> None:
    """An unknown key of the body, or of the query where the row has no body."""
    row = ROWS[key]
    call = row.call(office)
    client = row.caller(office) if row.caller else office.system.http

    answer = sent(client, key[0], row.invalid(call) if row.invalid else _with_unknown(call))

    assert answer.status_code == 400, answer.text
    assert answer.json()["errors"], answer.text


def _with_unknown(call: Call) -> Call:
    """The call with a key that nobody knows."""
    if call.body is None:
        return Call(call.path, None, (call.query or {}) | {"no_such_parameter": "1"})
    body = {**call.body, "no_such_key": 1}
    return Call(call.path, body, call.query)


@pytest.mark.parametrize("key", keys(without=NO_TOKEN_NEEDED))
def test_without_a_token_nothing_is_told(office: Office, key: Key) -> None:
    """401, whatever else is right or wrong with the call."""
    answer = sent(office.stranger, key[0], _blank(key))

    assert answer.status_code == 401, answer.text


@pytest.mark.parametrize("key", keys(without=NO_TOKEN_NEEDED))
def test_without_the_csrf_token_nothing_is_done(office: Office, key: Key) -> None:
    """403, for reading calls too, as the guide says."""
    headers = {"Authorization": office.system.http.headers["Authorization"]}
    call = _blank(key)

    answer = office.stranger.request(key[0], call.path, json=call.body, headers=headers)

    assert answer.status_code == 403, answer.text
    assert answer.json().keys() == ENVELOPE


@pytest.mark.parametrize("key", keys(without=NO_TOKEN_NEEDED))
def test_a_role_that_may_not_is_403(office: Office, key: Key) -> None:
    """An auditor changes nothing; who has no role reads nothing but the lookup tables."""
    route = ROUTES[key[0], word_path(key[1])]
    assert route.permission is not None
    if route.permission in NO_ROLE:
        answer = sent(office.caller(), key[0], _blank(key))
        assert answer.status_code != 403, answer.text
        return

    answer = sent(office.caller("auditor" if route.mutates else ""), key[0], _blank(key))

    assert answer.status_code == 403, answer.text


def _blank(key: Key) -> Call:
    """The row's call with the guide's own body, as it stands."""
    path = key[1].replace("{id}", "1").replace("{status}", "error")
    return Call(path, contract()[key]["body"])


def test_the_table_by_family(capsys: pytest.CaptureFixture[str]) -> None:
    """Say what was seen, also in artefacts/contract_rows.txt: rows with effect, rows refused. Nothing is left over."""
    seen = sum(len(rows) for kinds in outcome.values() for rows in kinds.values())
    lines = [f"{'family':34} {'rows':>4} {'effect':>6} {'refused':>7}"]
    for family, kinds in outcome.items():
        effect, refused = (len(kinds.get(kind, [])) for kind in ("effect", "refused"))
        lines.append(f"{family:34} {effect + refused:4} {effect:6} {refused:7}")
    for kinds in outcome.values():
        for row in kinds.get("refused", []):
            method, path = row.split(" ", 1)
            lines.append(f"refused: {row}: {ROWS[method, path].refused}")
    lines.append(f"{seen} of {len(contract())} rows seen")
    table = "\n".join(lines)
    with capsys.disabled():
        print(f"\n{table}")
    TABLE.parent.mkdir(exist_ok=True)
    TABLE.write_text(table + "\n")

    assert seen in {0, len(contract())}, "run the whole module for the table"
