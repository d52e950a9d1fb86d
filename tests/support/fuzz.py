"""Sends what schemathesis makes of the live OpenAPI document to a running system, and holds every answer against it.

Each operation gets its share of the calls: right ones and wrong ones by the document's schemas, and the document's
own example with one value exchanged, under names and ids that exist. What would end the run or reach beyond its
folder is kept from it (`Guard`); each such exception has its reason.
"""

from __future__ import annotations

import argparse
import copy
import itertools
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis import strategies as st
from hypothesis.errors import Unsatisfiable
from schemathesis import Case, GenerationMode
from schemathesis.core.failures import FailureGroup

from support.system import System, logs, running

EXCLUDED = {
    ("DELETE", "/auth/logout"): "it would end the session of the run",
    ("POST", "/auth/refresh"): "it would end the session of the run",
    ("PATCH", "/users/change_password"): "it would end the session of the run",
}
"""Operations that are left out. Their answers are held against the document by `tests/api` (`support.described`)."""
CONFIG = {
    "generation": {"with-security-parameters": False},
    "checks": {
        "not_a_server_error": {"expected-statuses": ["2xx", "4xx", "503"]},
        "positive_data_acceptance": {
            "expected-statuses": ["2xx", "400", "401", "403", "404", "409", "412", "422", "429", "503"]
        },
        "ignored_auth": {"enabled": False},
    },
}
"""503 is what the document promises for a host that is offline. A right form may name what is not there (400), or a
version of a row that never was (412); a name that was tried too often waits (429).
That nothing is answered without a token is shown, call by call, by the inherited suite."""
CALL_SECONDS = 120
ROUND = 40
"""Calls of an operation at a time, so that all operations meet all states of the system."""
READ_ANEW = 400
"""After so many calls the ids and names that exist are read again."""
TYPE = "application/json"
CALLED = {
    "pool_list": "pool_name", "media_servers": "hostname", "users": "username", "client_groups": "name",
    "backup_strategies": "name", "user_groups": "groupname",
}  # fmt: skip
"""By family: the column by which bodies name its rows."""
NAMED = {
    "pool": "pool_list", "pool_id": "pool_list", "substitution": "pool_list", "media_server": "media_servers",
    "administrator": "users", "maintainer": "users", "supervisor": "users", "auditor": "users",
    "client_group": "client_groups", "strategy": "backup_strategies", "owner_group": "user_groups",
}  # fmt: skip
"""By key of a body: the family that it names."""
NEW = {"name", "pool_name", "groupname", "username", "volume_tag"}
"""Keys that call a new row something."""
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**65), 2**65) | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(max_size=20) | st.sampled_from(("", "0", "-1", "*", "yes", "1 day", "/", "/a/../b", "\0", "é", "a" * 5000)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=5,
)  # fmt: skip
"""What a value of an example is exchanged for."""


@dataclass
class Summary:
    """What a run did and found."""

    seed: int
    seconds: float = 0
    sent: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    operations: set[str] = field(default_factory=set)
    accepted: set[str] = field(default_factory=set)
    failures: dict[tuple[str, str], str] = field(default_factory=dict)

    def __str__(self) -> str:
        by_status = ", ".join(f"{status}: {count}" for status, count in sorted(self.statuses.items()))
        lines = [
            f"{self.sent} requests in {self.seconds:.0f} s to {len(self.operations)} operations, seed {self.seed}",
            f"by status: {by_status}",
            f"operations that some call went well of: {len(self.accepted)}",
            *(f"left out: {method} {path}: {why}" for (method, path), why in EXCLUDED.items()),
            f"failures: {len(self.failures)}",
            *(f"\n--- {operation}: {kind}\n{told}" for (operation, kind), told in self.failures.items()),
        ]
        return "\n".join(lines)


@dataclass
class Guard:
    """Keeps calls from what would end the run, and paths from leaving its folder."""

    system: System
    folder: Path
    own: dict[str, int]
    """Ids of the rows that the running system itself consists of, by family."""

    def tame(self, case: Case) -> None:
        """Change a case so that it can be sent."""
        case.body = self._inside(case.body, free=case.operation.path.startswith("/list_client_"))
        family = case.operation.path.split("/")[1]
        own = self.own.get(family)
        if own is not None and case.method != "GET":
            if str((case.path_parameters or {}).get("id")) == str(own):
                case.path_parameters["id"] = own + 1_000_000
            if isinstance(case.body, dict) and isinstance(case.body.get("ids"), list):
                case.body["ids"] = [one for one in case.body["ids"] if one != own]
        if case.operation.path == "/events":
            case.query = {**(case.query or {}), "follow": "no"}
        if case.operation.path == "/auth/login" and isinstance(case.body, dict):
            case.body = {k: "nobody" if v == self.system.facts["superuser"] else v for k, v in case.body.items()}

    def _inside(self, value: Any, *, free: bool) -> Any:
        """Absolute paths, which live hosts would read, write or run, become paths in the run's folder."""
        if isinstance(value, dict):
            return {key: self._inside(one, free=free) for key, one in value.items()}
        if isinstance(value, list):
            return [self._inside(one, free=free) for one in value]
        if not free and isinstance(value, str) and value.strip().startswith("/"):
            return str(self.folder) + value.strip().replace("..", "__")
        return value

    def restore(self, case: Case) -> None:
        """Undo what would make all later calls alike: other configuration, service modes."""
        if case.method == "PATCH" and case.operation.path.startswith("/global_configuration"):
            self.system.call("PATCH", "/global_configuration", {"data": self.configuration})
            self.system.call("PATCH", "/global_configuration/service_mode", {"service_mode": False})
        if case.method == "PATCH" and case.operation.path == "/media_servers/{id}":
            media = self.own["media_servers"]
            self.system.call("PATCH", f"/media_servers/{media}", {"data": {"local_service_mode": "no"}})

    def __post_init__(self) -> None:
        found = self.system.call("GET", "/global_configuration")["data"]
        self.configuration = {key: value for key, value in found.items() if key != "service_mode"}


def without_lookaheads(schema: Any) -> Any:
    """A copy without patterns that forbid characters: hypothesis cannot build strings for them.

    A name with such a character is a documented 400 (`tests/api/test_names.py`).
    """
    if isinstance(schema, list):
        return [without_lookaheads(one) for one in schema]
    if not isinstance(schema, dict):
        return schema
    kept = {k: v for k, v in schema.items() if not (k == "pattern" and isinstance(v, str) and v.startswith("^(?!"))}
    return {key: without_lookaheads(value) for key, value in kept.items()}


class Fuzzer:
    """One run against one system."""

    def __init__(self, system: System, folder: Path, *, seed: int) -> None:
        self.system, self.summary = system, Summary(seed)
        folder.mkdir(exist_ok=True)
        (folder / "file").write_text("something to back up\n")
        own = {
            "clients": self._first("/clients"), "media_servers": self._first("/media_servers"),
            "pool_list": self._first("/pool_list"), "storage_local_catalogs": self._first("/storage_local_catalogs"),
            "users": self._first("/users"),
        }  # fmt: skip
        self.guard = Guard(system, folder, own)
        self.session = requests.Session()
        self.session.trust_env = False
        document = system.http.get("/openapi.json").json()
        config = schemathesis.Config.from_dict(CONFIG)
        self.schema = schemathesis.openapi.from_dict(without_lookaheads(document), config=config)
        self.ids: dict[str, list[int]] = {}
        self.names: dict[str, list[str]] = {}
        self._read_at = -READ_ANEW

    def _first(self, path: str) -> int:
        items = self.system.call("GET", path, sort_by="id", limit=1)["data"]["items"]
        return int(items[0]["id"])

    def run(self, total: int) -> Summary:
        """Send so many calls, a round of each operation after the other."""
        began = time.monotonic()
        operations = [one.ok() for one in self.schema.get_all_operations()]
        operations = [one for one in operations if (one.method.upper(), one.path) not in EXCLUDED]
        self._make_rows(operations)
        for share in shares(total - self.summary.sent, len(operations)):
            for number, operation in enumerate(operations):
                right, exchanged, wrong = split(share[number])
                self._ask(operation, operation.as_strategy(GenerationMode.POSITIVE), right)
                self._ask(operation, self._from_example(operation), exchanged)
                self._ask(operation, operation.as_strategy(GenerationMode.NEGATIVE), wrong, wrong=True)
        self.summary.seconds = time.monotonic() - began
        return self.summary

    def _from_example(self, operation: Any) -> st.SearchStrategy[Case]:
        """The document's example with one value exchanged, about rows that exist."""
        example = example_of(operation)
        if example is None:
            return operation.as_strategy(GenerationMode.POSITIVE)
        return operation.as_strategy(GenerationMode.POSITIVE, body=None).flatmap(
            lambda case: self._exchanged(example).map(lambda body: with_body(case, body))
        )

    @st.composite
    @staticmethod
    def _drawn(draw: st.DrawFn, self: Fuzzer, example: Any) -> Any:
        body = self._real(copy.deepcopy(example), lambda options: draw(st.sampled_from(options)))
        places = list(leaves(body))
        if places and draw(st.integers(0, 3)):
            holder, key = draw(st.sampled_from(places))
            holder[key] = draw(JSON)
        return body

    def _exchanged(self, example: Any) -> st.SearchStrategy[Any]:
        return Fuzzer._drawn(self, example)

    def _real(self, value: Any, choose: Callable[[Sequence[Any]], Any], key: str = "") -> Any:
        """The example with names and ids that exist in place of its own, and new names for new rows."""
        if isinstance(value, dict):
            return {name: self._real(one, choose, name) for name, one in value.items()}
        if isinstance(value, list):
            return [self._real(one, choose, key) for one in value]
        if isinstance(value, str) and re.fullmatch(r"[\w.-]+ \([0-9a-f]{16}\)", value):
            return self.system.facts["client"]
        if key in {"hwid", "client_hwid"}:
            return self.system.facts["client"][-17:-1]
        if key in NEW and isinstance(value, str):
            return f"{key}-{choose(range(10**6))}"
        if names := [one for one in self.names.get(NAMED.get(key, ""), ()) if one != self.system.facts["superuser"]]:
            return choose(names)
        if isinstance(value, int) and not isinstance(value, bool) and {"id", "ids"} & set(key.split("_")):
            return choose(sorted({one for ids in self.ids.values() for one in ids}) or [1])
        return value

    def _make_rows(self, operations: list[Any]) -> None:
        """Send every example of a creating call as it stands, so that there is something to ask about."""
        random = Random(self.summary.seed)
        for operation in operations:
            example = example_of(operation)
            if operation.method.upper() == "POST" and example is not None and "{" not in operation.path:
                self._read_at = -READ_ANEW
                self._look()
                self._send(operation.Case(body=self._real(copy.deepcopy(example), random.choice), media_type=TYPE))

    def _ask(self, operation: Any, cases: st.SearchStrategy[Case], count: int, *, wrong: bool = False) -> None:
        """So many calls of an operation, besides the first that hypothesis makes: it is always the simplest.

        Three of four right ones are about rows that exist.
        """
        if not count:
            return
        self._look()
        made = itertools.count()

        @seed(self.summary.seed + self.summary.sent)
        @settings(
            max_examples=count + 1, deadline=None, database=None, phases=(Phase.generate,),
            suppress_health_check=list(HealthCheck),
        )  # fmt: skip
        @given(cases, st.integers(0, 3), st.integers(0, 10**6))
        def send(case: Case, real: int, number: int) -> None:
            if not next(made):
                return
            ids = self.ids.get(operation.path.split("/")[1], [])
            if real and ids and not wrong and "id" in (case.path_parameters or {}):
                case.path_parameters["id"] = ids[number % len(ids)]
            word = str((case.path_parameters or {}).get("status", ""))
            if word.isdigit():  # digits are an id: that is the other row of the guide with this path
                case.path_parameters["status"] = f"no-{word}"
            self._send(case)

        try:
            send()
        except Unsatisfiable:  # a call without parameters cannot be asked wrongly
            if wrong:
                self._ask(operation, operation.as_strategy(GenerationMode.POSITIVE), count)
            else:
                raise

    def _send(self, case: Case) -> None:
        self.guard.tame(case)
        operation = f"{case.method} {case.operation.path}"
        headers = {name: self.system.http.headers[name] for name in ("Authorization", "X-CSRF-TOKEN")}
        try:
            answer = case.call(
                base_url=self.system.facts["api"] + "/api/v1",
                session=self.session,
                headers=headers,
                timeout=CALL_SECONDS,
                verify=self.system.facts["ca_file"],
            )
        except requests.RequestException as error:
            self.summary.failures.setdefault((operation, type(error).__name__), f"{error}\n{case.as_curl_command()}")
            return
        self.summary.sent += 1
        self.summary.operations.add(operation)
        self.summary.statuses[answer.status_code] += 1
        if answer.status_code < 300:
            self.summary.accepted.add(operation)
        if answer.status_code == 401 and case.operation.path != "/auth/login":
            self.system.login()
        try:
            case.validate_response(answer)
        except FailureGroup as found:
            for one in found.exceptions:
                self.summary.failures.setdefault((operation, type(one).__name__), str(found)[:3000])
        self.guard.restore(case)

    def _look(self) -> None:
        """Read what there is."""
        if self.summary.sent - self._read_at < READ_ANEW:
            return
        self._read_at = self.summary.sent
        for path, methods in self.schema.raw_schema["paths"].items():
            family = path.strip("/")
            if "{" not in path and f"{path}/{{id}}" in self.schema.raw_schema["paths"] and "get" in methods:
                answer = self.system.http.get(path, params={"limit": 100, "sort_by": "id", "sort_order": "desc"})
                if answer.status_code == 401:
                    self.system.login()
                    answer = self.system.http.get(path, params={"limit": 100})
                rows = answer.json()["data"]["items"]
                self.ids[family] = [row["id"] for row in rows]
                if family in CALLED:
                    self.names[family] = [row[CALLED[family]] for row in rows]


def example_of(operation: Any) -> Any:
    """The document's example of an operation's body; None without one."""
    return operation.definition.raw.get("requestBody", {}).get("content", {}).get(TYPE, {}).get("example")


def leaves(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every place in a tree that holds a value: what holds it, and under which key or number."""
    found = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, one in found:
        yield value, key
        yield from leaves(one)


def with_body(case: Case, body: Any) -> Case:
    """The case with another body."""
    case.body, case.media_type = body, TYPE
    return case


def shares(total: int, operations: int) -> Iterator[list[int]]:
    """How many calls each operation gets, round by round; together `total`."""
    left = [total // operations + (number < total % operations) for number in range(operations)]
    while any(left):
        taken = [min(ROUND, one) for one in left]
        yield taken
        left = [one - took for one, took in zip(left, taken, strict=True)]


def split(count: int) -> tuple[int, int, int]:
    """Right ones, exchanged examples, wrong ones."""
    right, wrong = -(-count // 3), count // 3
    return right, count - right - wrong, wrong


def main() -> int:
    """`scripts/fuzz-api`: a system of its own, so many calls, a summary; 1 when there was something to find."""
    parser = argparse.ArgumentParser(prog="scripts/fuzz-api", description=__doc__)
    parser.add_argument("--requests", type=int, default=20_000, help="how many calls are sent (20000)")
    parser.add_argument(
        "--seed", type=int, default=int(time.time()), help="the same seed asks the same; else another each time"
    )
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="rb-fuzz-") as name:
        folder = Path(name)
        with running(folder / "state") as system:
            found = Fuzzer(system, folder / "inside", seed=given.seed).run(given.requests)
            if any(status >= 500 and status != 503 for status in found.statuses):
                print(logs(folder / "state"))
    print(found)
    return 1 if found.failures else 0


if __name__ == "__main__":
    sys.exit(main())
