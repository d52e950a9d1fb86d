"""Records of the monitoring as the API shows them, and the keys that steer it."""

from __future__ import annotations

import asyncio
import datetime as dt

import pytest

from rubackup.domain.permissions import Role
from rubackup.services import monitoring
from rubackup.services.monitoring import FIGURES, Limits, Sample
from support.api import Api


def store(office: Api, *numbers: int) -> Limits:
    """Records of one server, each with its number in every figure."""
    at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
    samples = [Sample("a" * 64, "primary", "server", at, at, tuple(float(n) for _ in FIGURES)) for n in numbers]
    return office.run(monitoring.store(office.database, "a" * 64, samples))


def test_records_show_every_figure_newest_first(office: Api) -> None:
    """With host, instants and figures; auditors see them, administrators of clients do not."""
    store(office, 1, 2)

    items = office.get("/rubackup_server_system_monitoring").json()["data"]["items"]

    assert [item["general_cpu_usage"] for item in items] == [2, 1]
    assert all(items[0][figure] == 2 for figure in FIGURES)
    assert items[0]["hostname"] == "primary"
    assert office.user("eye", Role.AUDITOR).get("/rubackup_server_system_monitoring").status_code == 200
    assert office.user("boss", Role.ADMINISTRATOR).get("/rubackup_server_system_monitoring").status_code == 403


def test_the_configuration_steers_period_and_number(office: Api) -> None:
    """max_system_monitoring_records and monitoring_period act with the next batch."""
    store(office, 1, 2, 3)
    keys = {"max_system_monitoring_records": 2, "monitoring_period": 30}
    assert office.patch("/global_configuration", {"data": keys}).status_code == 200

    found = store(office, 4)

    items = office.get("/rubackup_server_system_monitoring").json()["data"]["items"]
    assert [item["load_average"] for item in items] == [4, 3]
    assert found == Limits(30, 2)


@pytest.mark.parametrize(
    ("key", "value"),
    [("monitoring_period", 0), ("monitoring_period", 3601), ("max_system_monitoring_records", 0),
     ("max_system_monitoring_records", 100_001)],
)  # fmt: skip
def test_values_out_of_range_are_named(office: Api, key: str, value: int) -> None:
    """The period is 1 s to 1 h, the number 1 to 100,000."""
    answer = office.patch("/global_configuration", {"data": {key: value}})

    assert answer.json()["errors"].keys() == {f"data.{key}"}


def test_batches_of_several_servers_do_not_wait_for_each_other(office: Api) -> None:
    """Servers store at the same time; each keeps its own number."""

    async def crowd() -> None:
        at = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
        figures = tuple(1.0 for _ in FIGURES)
        await asyncio.gather(
            *(
                monitoring.store(
                    office.database, f"{n:064x}", [Sample(f"{n:064x}", "h", "server", at, at, figures)] * 3
                )
                for n in range(3)
            )
        )

    office.execute("INSERT INTO global_configuration VALUES ('max_system_monitoring_records', '2')")
    office.run(crowd())

    assert office.get("/rubackup_server_system_monitoring").json()["data"]["total"] == 6
