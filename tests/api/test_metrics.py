"""`/metrics`, `/healthz` and what a slow database does to callers."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from time import monotonic
from typing import Any

import msgspec
import pytest
from prometheus_client.parser import text_string_to_metric_families

from rubackup.api import app as application
from rubackup.api import board, metrics
from rubackup.api.kernel import BASE
from rubackup.api.resource import Source
from rubackup.catalog import database as catalogue
from rubackup.catalog.database import Database, DatabaseAddress
from rubackup.queue.ports import NewTask
from rubackup.queue.postgres import PostgresQueue
from rubackup.resources import RESOURCES
from rubackup.resources.auth import AUTH
from rubackup.services import figures
from support.api import Api, running_api
from support.fixtures import Stock
from support.widgets import TABLE, WIDGETS, fill

DASHBOARD = Path(__file__).parents[2] / "docs" / "grafana" / "rubackup.json"
TOKEN = "a token of tests"


@pytest.fixture
def local(office: Api, monkeypatch: pytest.MonkeyPatch) -> Api:
    """A caller without a login, on the API's own host; figures are read for each call."""
    monkeypatch.setattr(figures, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(figures, "SIZES_FRESH_SECONDS", 0.0)
    caller = office.another()
    caller.address = "127.0.0.1"
    return caller


def samples(caller: Api) -> dict[str, dict[tuple[tuple[str, str], ...], float]]:
    """What is told: by name and labels."""
    answer = caller.get("//metrics")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == metrics.CONTENT_TYPE
    found: dict[str, dict[tuple[tuple[str, str], ...], float]] = {}
    for family in text_string_to_metric_families(answer.text):
        assert family.documentation, family.name
        for one in family.samples:
            found.setdefault(one.name, {})[tuple(sorted(one.labels.items()))] = one.value
    return found


def value(caller: Api, name: str, **labels: str) -> float | None:
    """One figure."""
    return samples(caller).get(name, {}).get(tuple(sorted(labels.items())))


# --- who may read them ---


@pytest.mark.parametrize("address", ["127.0.0.1", "127.9.9.9", "::1", "::ffff:127.0.0.1"])
def test_the_own_host_may_read_them(office: Api, address: str) -> None:
    """Without a login, by any of its loopback addresses."""
    caller = office.another()
    caller.address = address

    assert caller.get("//metrics").status_code == 200
    assert caller.get("//metrics/").status_code == 200


def test_others_may_not(office: Api) -> None:
    """Nor with a session, nor through a proxy on the own host, nor with a token while none is set."""
    stranger = office.another()

    assert stranger.get("//metrics").status_code == 401
    assert office.get("//metrics").status_code == 401
    assert stranger.get("//metrics", headers={"Authorization": f"Bearer {TOKEN}"}).status_code == 401
    stranger.address = "127.0.0.1"
    for header in metrics.PROXY_HEADERS:
        assert stranger.get("//metrics", headers={header: "192.0.2.9"}).status_code == 401
    assert stranger.post("//metrics").status_code == 405


def test_the_token_opens_them_to_other_hosts(database: DatabaseAddress) -> None:
    """The one of the settings, and no other, which is refused to the own host too."""
    with running_api(database, RESOURCES, metrics_token=TOKEN) as caller:
        statuses = [
            caller.get("//metrics", headers={"Authorization": text}).status_code
            for text in (f"Bearer {TOKEN}", f"bearer {TOKEN}", f"Bearer {TOKEN}x", "Bearer ", f"Basic {TOKEN}", "")
        ]
        caller.address = "127.0.0.1"
        assert caller.get("//metrics", headers={"Authorization": "Bearer wrong"}).status_code == 401

    assert statuses == [200, 200, 401, 401, 401, 401]


# --- what they say ---


def test_tasks_are_counted_by_state_and_type(local: Api, rows: Stock) -> None:
    """Each that is there, and none that is not."""
    for status, task_type in (("New", "Backup"), ("New", "Backup"), ("New", "Verify"), ("Done", "Backup")):
        rows.task(status=status, task_type=task_type)

    assert samples(local)["rubackup_tasks"] == {
        (("status", "Done"), ("task_type", "Backup")): 1,
        (("status", "New"), ("task_type", "Backup")): 2,
        (("status", "New"), ("task_type", "Verify")): 1,
    }


def test_progress_is_that_of_running_tasks(local: Api, rows: Stock) -> None:
    """Bytes done, sent and the speed of what workers hold; what has ended does not count."""
    for status in ("Execution", "Transmission", "Done"):
        rows.api.execute(
            """INSERT INTO task_progress (task_id, fence, lease_until, bytes_done, bytes_sent, speed_bytes_per_second)
               VALUES ($1, 1, now(), 100, 10, 5)""",
            rows.task(status=status),
        )  # fmt: skip

    for name, wanted in (("", 2), ("_done_bytes", 200), ("_sent_bytes", 20), ("_bytes_per_second", 10)):
        assert value(local, f"rubackup_tasks_running{name}", task_type="Backup") == wanted, name


def test_pools_tell_their_room_and_what_deduplication_saves(local: Api, rows: Stock) -> None:
    """Used, free, capacity, and the size of its copies for each byte that it takes."""
    pool = rows.pool(pool_name="Main")
    rows.pool(pool_name="Empty")
    rows.api.execute(
        """INSERT INTO pool_state (pool_id, problem, free_bytes, used_bytes, total_bytes)
           VALUES ($1, '', 600, 400, 1000)""",
        pool,
    )
    for _ in range(3):
        rows.record(pool=pool, size_bytes=1000, stored_bytes=120)

    wanted = {
        "used_bytes": 400, "free_bytes": 600, "capacity_bytes": 1000, "usable": 1, "copies": 3,
        "copies_size_bytes": 3000, "copies_stored_bytes": 360, "dedup_ratio": 7.5,
    }  # fmt: skip
    assert {name: value(local, f"rubackup_pool_{name}", pool="Main") for name in wanted} == wanted
    assert value(local, "rubackup_pool_dedup_ratio", pool="Empty") is None


def test_hosts_are_counted_online_and_offline(local: Api, rows: Stock) -> None:
    """Clients and media servers that are authorised."""
    rows.client()
    offline = rows.client()
    rows.media_server()
    rows.api.execute("UPDATE client_presence SET online = false WHERE client_id = $1", offline)

    assert samples(local)["rubackup_hosts"] == {
        (("role", "client"), ("state", "online")): 1,
        (("role", "client"), ("state", "offline")): 1,
        (("role", "media server"), ("state", "online")): 1,
        (("role", "media server"), ("state", "offline")): 0,
    }


def test_the_wait_in_the_queue_is_a_histogram_that_only_grows(local: Api, rows: Stock) -> None:
    """A task counts once, when it is handed out first, and stays counted when it is gone."""

    async def scenario() -> None:
        async with local.database.transaction() as db:
            for seconds in (0, 3, 100):
                task = await PostgresQueue(db).add(NewTask(task_type="Backup", executor="client"))
                await db.execute(
                    "UPDATE task_queue SET created_at = now() - make_interval(secs => $2) WHERE id = $1", task, seconds
                )
            # In the same transaction, whose now() is one instant: so these waits are exact.
            held = await PostgresQueue(db).claim("worker", 20.0, 10)
        assert len(held) == 3
        async with local.database.transaction() as db:
            await db.execute("UPDATE task_queue SET status = 'New' WHERE id = $1", held[0].task_id)
        async with local.database.transaction() as db:
            assert len(await PostgresQueue(db).claim("worker", 20.0, 10)) == 1
        async with local.database.transaction() as db:
            await db.execute("DELETE FROM task_queue")

    local.run(scenario())
    found = samples(local)

    buckets = {dict(labels)["le"]: number for labels, number in found["rubackup_queue_wait_seconds_bucket"].items()}
    assert (buckets["1.0"], buckets["5.0"], buckets["60.0"], buckets["300.0"], buckets["+Inf"]) == (1, 2, 2, 3, 3)
    assert found["rubackup_queue_wait_seconds_count"] == {(): 3}
    assert found["rubackup_queue_wait_seconds_sum"] == {(): 103}


def test_calls_are_measured_by_declared_route(local: Api, office: Api) -> None:
    """Whatever ids and made-up paths callers use, there are no more series than routes."""
    for path in ("/client_groups/1", "/client_groups/2", "/no/such/path", "/client_groups"):
        office.get(path)
    office.request("MADEUP", "/no/such/path")
    counts = samples(local)["rubackup_http_request_duration_seconds_count"]

    def count(route: str, method: str, status: str) -> float | None:
        return counts.get((("method", method), ("route", route), ("status", status)))

    assert count("/api/v1/client_groups/{id}", "GET", "2xx") == 1
    assert count("/api/v1/client_groups/{id}", "GET", "4xx") == 1
    assert count("/api/v1/client_groups", "GET", "2xx") == 1
    assert count("none", "none", "4xx") == 2


def test_series_are_bounded_by_the_declared_routes(local: Api, office: Api) -> None:
    """Methods that nobody knows are one, on declared paths and on pages; nothing else that a caller sends is a label."""
    for number in range(20):
        for path in ("//metrics", "//healthz", "/client_groups", f"/made/up/{number}"):
            local.request(f"MADEUP{number}", path)
    for route in office.app.routes:
        for status in range(100, 600):
            office.app.kernel.metrics.called(BASE + route.path, route.method, status, 0.1)

    found = samples(local)
    name = "rubackup_http_request_duration_seconds"
    labels = [dict(key) for key in found[f"{name}_count"]]
    assert {one["method"] for one in labels} == {*board.METHODS, board.NO_ROUTE} - {"HEAD"}
    assert all(one.keys() == {"route", "method", "status"} for one in labels)
    most = 5 * len(office.app.routes) + 10
    assert 5 * len(office.app.routes) <= len(labels) <= most
    series = sum(len(rows) for family, rows in found.items() if family.startswith(name))
    assert series <= most * (len(metrics.LATENCY_BOUNDS_SECONDS) + 3)


def test_refused_logins_are_counted_by_reason(local: Api) -> None:
    """Wrong passwords, bodies that are none; each reason is there from the start."""
    wrong = {"rubackup_database": local.database.address.database, "rubackup_user": "x", "password": "y"}
    assert value(local, "rubackup_login_failures_total", reason="blocked") == 0

    local.post("/auth/login", wrong)
    local.post("/auth/login", {"x": 1})

    assert value(local, "rubackup_login_failures_total", reason="credentials") == 1
    assert value(local, "rubackup_login_failures_total", reason="invalid") == 1


def test_the_dashboard_asks_only_for_what_there_is(local: Api, rows: Stock) -> None:
    """Every query of docs/grafana/rubackup.json names metrics and labels that exist, and every metric is shown."""
    pool = rows.pool()
    rows.record(pool=pool)
    rows.api.execute("INSERT INTO pool_state (pool_id, used_bytes) VALUES ($1, 1)", pool)
    rows.task(status="Execution")
    found = samples(local)
    labels = {name: {key for series in each for key, _ in series} | {"job", "instance"} for name, each in found.items()}
    shown: set[str] = set()

    dashboard = json.loads(DASHBOARD.read_text())
    queries = [one["expr"] for panel in dashboard["panels"] for one in panel.get("targets", ())]
    queries += [one["query"] for one in dashboard["templating"]["list"] if one["type"] == "query"]
    for query in queries:
        names = re.findall(r"\b(?:rubackup|process)_\w+", query)
        assert names, query
        assert [name for name in names if name not in found] == [], query
        shown |= set(names)
        for name, selector in re.findall(r"((?:rubackup|process)_\w+)\{([^}]*)\}", query):
            asked = re.findall(r'(\w+)\s*=~?"', selector)
            assert set(asked) <= labels[name], query
        for grouped in re.findall(r"by \(([^)]*)\)", query):
            assert {part.strip() for part in grouped.split(",")} <= set.union(*(labels[name] for name in names)), query
    told = {name for name in found if name.startswith("rubackup_") and not name.endswith(("_created", "_sum"))}
    assert told - shown == set()


def test_without_the_catalogue_the_rest_is_still_told(local: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is unknown is left out; what this process counts is there, and soon."""
    assert value(local, "rubackup_catalogue_up") == 1
    monkeypatch.setattr(metrics, "CATALOGUE_SECONDS", 0.2)

    async def hang(_self: Any) -> None:
        await asyncio.Event().wait()

    monkeypatch.setattr(figures.FigureBook, "_read", hang)
    monkeypatch.setattr(local.app.kernel.metrics._figures, "_run", None)
    monkeypatch.setattr(local.app.kernel.metrics._figures, "_work", lambda: hang(None))
    found = samples(local)

    assert found["rubackup_catalogue_up"] == {(): 0}
    assert "rubackup_tasks" not in found
    assert "rubackup_http_request_duration_seconds_count" in found


def test_figures_are_read_once_for_all_who_ask(office: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """A hundred scrapes within a few seconds are one reading."""
    monkeypatch.setattr(figures, "FRESH_SECONDS", 3600.0)
    monkeypatch.setattr(figures, "SIZES_FRESH_SECONDS", 3600.0)
    caller = office.another()
    caller.address = "127.0.0.1"
    reads = 0
    book = caller.app.kernel.metrics._figures
    work = book._work

    async def counted() -> Any:
        nonlocal reads
        reads += 1
        return await work()

    async def scenario() -> None:
        await asyncio.gather(*(caller.send("GET", "//metrics") for _ in range(100)))

    book._work = counted  # type: ignore[method-assign]
    caller.run(scenario())

    assert reads <= 2


def test_counting_many_tasks_reads_few(office: Api, rows: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each state and type is counted by the index up to a limit; beyond it the planner's estimate stands."""
    monkeypatch.setattr(figures, "COUNTED", 500)
    pool = rows.pool()
    rows.api.execute(
        """INSERT INTO task_queue (task_type, status, executor, pool_id)
           SELECT CASE WHEN n % 10 = 0 THEN 'Verify' ELSE 'Backup' END, CASE WHEN n % 4 = 0 THEN 'New' ELSE 'Done' END,
                  'client', $1 FROM generate_series(1, 20000) n""",
        pool,
    )
    for _ in range(3):
        rows.task(status="Error")

    async def scenario() -> tuple[dict[tuple[str, str], int], list[dict[str, Any]]]:
        database = Database(office.database.address, size=1)
        await database.open()
        try:
            async with database.connection() as db:
                await db.execute("VACUUM ANALYZE task_queue")
                found = await figures.count_tasks(db)
                plan = await db.fetchval(f"EXPLAIN (ANALYZE, FORMAT JSON) {figures._PAIRS}", 501)
        finally:
            await database.close()
        return found, msgspec.json.decode(plan)

    found, plan = office.run(scenario())

    assert found["Error", "Backup"] == 3
    assert found["New", "Verify"] == pytest.approx(1000, rel=0.3)
    assert found["Done", "Backup"] == pytest.approx(14_000, rel=0.2)
    scans = [node for node in _nodes(plan[0]["Plan"]) if node.get("Relation Name") == "task_queue"]
    assert {node["Node Type"] for node in scans} == {"Index Only Scan"}
    assert sum(node["Actual Rows"] * node["Actual Loops"] for node in scans) < 501 * 5 + 20


def _nodes(plan: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield plan
    for inner in plan.get("Plans", ()):
        yield from _nodes(inner)


# --- a database that hangs, a query that is slow ---


@asynccontextmanager
async def _between(address: DatabaseAddress) -> AsyncIterator[tuple[DatabaseAddress, asyncio.Event]]:
    """A way to the database that passes nothing on while the event is cleared, like a network that swallows all."""
    passing = asyncio.Event()
    passing.set()

    async def pump(source: asyncio.StreamReader, target: asyncio.StreamWriter) -> None:
        while data := await source.read(65536):
            await passing.wait()
            target.write(data)
        target.close()

    async def met(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if address.host.startswith("/"):
            there = await asyncio.open_unix_connection(f"{address.host}/.s.PGSQL.{address.port}")
        else:
            there = await asyncio.open_connection(address.host, address.port)
        await asyncio.gather(pump(reader, there[1]), pump(there[0], writer), return_exceptions=True)

    server = await asyncio.start_server(met, "127.0.0.1", 0)
    try:
        yield replace(address, host="127.0.0.1", port=server.sockets[0].getsockname()[1]), passing
    finally:
        passing.set()
        server.close()


def test_a_database_that_hangs_is_told_soon(office: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """/healthz answers 503 in the envelope within its own time, however many ask, and is well again afterwards."""
    monkeypatch.setattr(application, "HEALTH_SECONDS", 1.0)
    stranger = office.another()

    async def scenario() -> None:
        async with _between(office.database.address) as (address, passing):
            through = Database(address, size=2)
            await through.open()
            monkeypatch.setattr(office.app, "kernel", replace(office.app.kernel, database=through))
            try:
                assert (await stranger.send("GET", "//healthz")).status_code == 200
                passing.clear()
                began = monotonic()
                answers = await asyncio.gather(*(stranger.send("GET", "//healthz") for _ in range(20)))
                again = await stranger.send("GET", "//healthz")
                assert monotonic() - began < 20  # all but one wait together; one after another they would take 21 s
                assert {answer.status_code for answer in (*answers, again)} == {503}
                assert again.json()["message"] == "The service database did not answer in 1 s."
                passing.set()
                assert (await stranger.send("GET", "//healthz")).status_code == 200
            finally:
                passing.set()
                await through.close()

    office.run(scenario())


SLOW = replace(
    WIDGETS,
    source=Source(
        "widgets w CROSS JOIN LATERAL (SELECT pg_sleep(10), w.id AS same) s", "w.id",
        {f: f"w.{f}" for f in ("id", "name", "size", "active", "tags", "made_at", "owner")},
        frozenset({"id", "name"}), lock="w",
    ),
)  # fmt: skip


def test_a_list_that_takes_too_long_asks_for_a_narrower_filter(
    database: DatabaseAddress, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A statement time-out in a list is a 400 that says what is quick; anywhere else it is a 503."""
    monkeypatch.setattr(catalogue, "STATEMENT_TIMEOUT_MS", 1500)
    with running_api(database, (AUTH, SLOW)) as api:
        api.execute(TABLE)
        api.login("rubackup")
        (row,) = fill(api, 1)
        listed, one = api.get("/widgets"), api.get(f"/widgets/{row}")

    assert (listed.status_code, list(listed.json()["errors"])) == (400, ["filter_data"])
    assert "narrow it, or sort and filter by one of: id, name" in listed.json()["message"]
    assert one.status_code == 503
    assert "took too long" in one.json()["message"]
