"""`/metrics`: what this API counts, and figures of the catalogue, in Prometheus' text form.

Every replica counts its own calls, logins and streams, those of all its workers together (`api.board`); figures of the
catalogue are the same from each. When the catalogue does not answer, `rubackup_catalogue_up` is 0 and its figures are left out: what is unknown is not shown.
"""

from __future__ import annotations

import hmac
import ipaddress
import math
from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate

from prometheus_client import CollectorRegistry, Gauge, disable_created_metrics, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.process_collector import ProcessCollector
from prometheus_client.registry import Collector
from starlette.requests import Request

from rubackup import __version__
from rubackup.api.board import LATENCY_BOUNDS_SECONDS, Board, Slot
from rubackup.api.single import Single
from rubackup.domain.errors import RubackupError, Unauthenticated
from rubackup.domain.tasks import WAIT_BOUNDS_SECONDS
from rubackup.services.figures import FigureBook, Figures

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"
PROXY_HEADERS = ("x-forwarded-for", "forwarded", "via", "x-real-ip")
CATALOGUE_SECONDS = 3.0
"""How long figures of the catalogue are waited for."""


class _Catalogue(Collector):
    """The last figures as metrics."""

    def __init__(self) -> None:
        self.figures: Figures | None = None

    def describe(self) -> Iterable[Metric]:
        """Nothing is known yet when the collector is registered."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Every figure; only whether the catalogue answers when it does not."""
        up = GaugeMetricFamily("rubackup_catalogue_up", "Whether the service database answered.")
        up.add_metric([], 0.0 if self.figures is None else 1.0)
        yield up
        if self.figures is not None:
            yield from _tasks(self.figures)
            yield from _pools(self.figures)
            yield _hosts(self.figures)
            yield _waits(self.figures)


def _gauge(name: str, text: str, labels: list[str], rows: Iterable[tuple[list[str], float]]) -> GaugeMetricFamily:
    family = GaugeMetricFamily(name, text, labels=labels)
    for values, number in rows:
        family.add_metric(values, number)
    return family


def _tasks(figures: Figures) -> Iterator[Metric]:
    yield _gauge(
        "rubackup_tasks", "Tasks in the queue; exact to 10,000 for each state and type, an estimate beyond.",
        ["status", "task_type"], ((list(key), number) for key, number in figures.tasks.items()),
    )  # fmt: skip
    for name, column, text in (
        ("rubackup_tasks_running", "tasks", "Tasks that a worker holds."),
        ("rubackup_tasks_running_done_bytes", "bytes_done", "Bytes that running tasks have read or written."),
        ("rubackup_tasks_running_sent_bytes", "bytes_sent", "Bytes that running tasks have sent over the network."),
        ("rubackup_tasks_running_bytes_per_second", "speed", "Speed of the running tasks together."),
    ):
        yield _gauge(name, text, ["task_type"], (([row["task_type"]], row[column]) for row in figures.progress))


def _pools(figures: Figures) -> Iterator[Metric]:
    pools = figures.pools
    for name, column, text in (
        ("rubackup_pool_used_bytes", "used_bytes", "What a pool's data takes in its storages."),
        ("rubackup_pool_free_bytes", "free_bytes", "Free space of a pool's storages."),
        ("rubackup_pool_capacity_bytes", "total_bytes", "Size of a pool's storages."),
        ("rubackup_pool_usable", "usable", "Whether a pool can be used."),
    ):
        yield _gauge(name, text, ["pool"], (([row["pool_name"]], row[column]) for row in pools))
    known = [(row["pool_name"], row["used_bytes"], figures.sizes.get(row["id"], (0, 0, 0))) for row in pools]
    for index, (name, text) in enumerate(
        (
            ("rubackup_pool_copies", "Copies in a pool."),
            ("rubackup_pool_copies_size_bytes", "Size of a pool's copies as they would be restored."),
            ("rubackup_pool_copies_stored_bytes", "What a pool's copies added to it when they were made."),
        )
    ):
        yield _gauge(name, text, ["pool"], (([pool], size[index]) for pool, _, size in known))
    yield _gauge(
        "rubackup_pool_dedup_ratio", "Size of a pool's copies for each byte that the pool takes.",
        ["pool"], (([pool], size[1] / used) for pool, used, size in known if used),
    )  # fmt: skip


def _hosts(figures: Figures) -> Metric:
    family = GaugeMetricFamily("rubackup_hosts", "Authorised hosts.", labels=["role", "state"])
    for row in figures.hosts:
        family.add_metric([row["role"], "online"], row["online"])
        family.add_metric([row["role"], "offline"], row["known"] - row["online"])
    return family


def _waits(figures: Figures) -> Metric:
    counts = {row["bucket"]: row["tasks"] for row in figures.waits}
    buckets: list[tuple[str, float]] = []
    total = 0
    for number, bound in enumerate((*(str(bound) for bound in WAIT_BOUNDS_SECONDS), "+Inf")):
        total += counts.get(number, 0)
        buckets.append((bound, total))
    family = HistogramMetricFamily(
        "rubackup_queue_wait_seconds", "How long tasks waited from being made to being handed out first."
    )
    family.add_metric([], buckets, sum(row["seconds"] for row in figures.waits))
    return family


class _Own(Collector):
    """What the workers of this API have counted."""

    def __init__(self, board: Board, days_left: Callable[[], float]) -> None:
        self._board = board
        self._days_left = days_left

    def describe(self) -> Iterable[Metric]:
        """Nothing is counted yet when the collector is registered."""
        return ()

    def collect(self) -> Iterator[Metric]:
        """Calls, logins, streams; of several workers how many there are, and what each process takes."""
        yield self._calls()
        logins = CounterMetricFamily(
            "rubackup_login_failures", "Logins that were refused, by reason.", labels=["reason"]
        )
        for reason, number in self._board.logins():
            logins.add_metric([reason], number)
        yield logins
        yield GaugeMetricFamily("rubackup_event_streams", "Event streams that are open.", value=self._board.streams())
        days = "Days until the certificate of this API ends."
        yield GaugeMetricFamily("rubackup_certificate_days_left", days, value=self._days_left())
        pids = [pid for pid in self._board.pids() if pid]
        yield GaugeMetricFamily("rubackup_api_workers", "Processes that answer calls.", value=len(pids) or 1)
        starts = max(self._board.starts(), 1)
        yield CounterMetricFamily(
            "rubackup_api_worker_starts", "Processes that were started to answer calls.", value=starts
        )
        yield from _processes(self._board.pids()) if pids else ProcessCollector(registry=None).collect()

    def _calls(self) -> Metric:
        family = HistogramMetricFamily(
            "rubackup_http_request_duration_seconds", "Time until a call was answered, by route.",
            labels=["route", "method", "status"],
        )  # fmt: skip
        bounds = (*(str(bound) for bound in LATENCY_BOUNDS_SECONDS), "+Inf")
        for labels, counts, seconds in self._board.calls():
            family.add_metric(list(labels), list(zip(bounds, accumulate(counts), strict=True)), seconds)
        return family


def _processes(pids: list[int]) -> Iterator[Metric]:
    """The usual figures of a process for each worker; its place tells them apart."""
    families: dict[str, Metric] = {}
    for place, pid in enumerate(pids):
        found = ProcessCollector(pid=lambda pid=pid: pid, registry=None).collect() if pid else ()  # type: ignore[misc]
        for metric in found:
            family = families.setdefault(metric.name, Metric(metric.name, metric.documentation, metric.type))
            for sample in metric.samples:
                family.add_sample(sample.name, {**sample.labels, "worker": str(place)}, sample.value)
    yield from families.values()


class Metrics:
    """What one process counts, and what it knows of the catalogue."""

    def __init__(
        self, book: FigureBook, slot: Slot, token: str = "", days_left: Callable[[], float] = lambda: math.nan
    ) -> None:
        disable_created_metrics()  # type: ignore[no-untyped-call]  # when a series began is one more of each, and nobody asks
        self._figures = Single(book.now)
        self._token = token
        self._catalogue = _Catalogue()
        self.called = slot.called
        self.login_failed = slot.login_failed
        self.registry = CollectorRegistry()
        self.registry.register(self._catalogue)
        self.registry.register(_Own(slot.board, days_left))
        build = Gauge("rubackup_build_info", "Version of the API.", ["version"], registry=self.registry)
        build.labels(__version__).set(1)

    def admit(self, request: Request) -> None:
        """Unauthenticated unless the call comes from this host itself, or with the token of the settings."""
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if self._token and scheme.lower() == "bearer":
            if hmac.compare_digest(given.strip().encode(), self._token.encode()):
                return
            raise Unauthenticated
        if not _is_local(request):
            raise Unauthenticated

    async def text(self) -> bytes:
        """Everything, in Prometheus' form."""
        try:
            self._catalogue.figures = await self._figures.within(CATALOGUE_SECONDS)
        except RubackupError:
            self._catalogue.figures = None
        return generate_latest(self.registry)

    def close(self) -> None:
        """Stop reading figures."""
        self._figures.close()


def _is_local(request: Request) -> bool:
    """Whether a call comes from this host and is nobody else's that a proxy of this host passes on."""
    if request.client is None or any(name in request.headers for name in PROXY_HEADERS):
        return False
    try:
        address = ipaddress.ip_address(request.client.host.partition("%")[0])
    except ValueError:
        return False
    return (getattr(address, "ipv4_mapped", None) or address).is_loopback
