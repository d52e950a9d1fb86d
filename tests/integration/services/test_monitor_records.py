"""Records of the monitoring: stored together, bounded for each host, from hosts that are known."""

from __future__ import annotations

import datetime as dt
import math

import pytest

from rubackup.catalog.database import Database
from rubackup.domain.errors import Unavailable, WireFault
from rubackup.server.monitoring import Monitor
from rubackup.services import enrolment, monitoring
from rubackup.services.monitoring import FIGURES, Limits, Sample
from rubackup.wire.messages import MonitoringSample
from support.catalogue import MEDIA, OTHER_MEDIA, SERVER, World, change

pytestmark = pytest.mark.postgres
START = dt.datetime(2026, 1, 1, tzinfo=dt.UTC)
COUNTS = "SELECT count(*) FROM system_monitoring WHERE hwid = $1"


def sample(number: int, hwid: str = SERVER, server_type: str = "server") -> Sample:
    """The record of a host's second `number`."""
    at = START + dt.timedelta(seconds=number)
    figures = tuple(float(number) for _ in FIGURES)
    return Sample(hwid, "host", server_type, at, at + dt.timedelta(seconds=1), figures)


def told(**more: float) -> MonitoringSample:
    """What a media server says."""
    names = [name for name in MonitoringSample.__struct_fields__ if not name.endswith("_ns")]
    return MonitoringSample(**(dict.fromkeys(names, 1.0) | {"before_ns": 0, "after_ns": 10**9} | more))


async def configure(world: World, **keys: int) -> None:
    """Store keys of the global configuration."""
    for key, value in keys.items():
        await world.row("INSERT INTO global_configuration (key, value) VALUES ($1, $2) RETURNING key", key, value)


def test_the_newest_records_of_each_host_are_kept(run):
    """However many come at once, and whatever another host reports; a smaller limit acts with the next batch."""

    async def scenario(database: Database):
        world = await World.build(database)
        await configure(world, max_system_monitoring_records=5)
        await monitoring.store(database, SERVER, [sample(1, MEDIA, "media server")])
        for first in (0, 3, 6, 9):
            await monitoring.store(database, SERVER, [sample(n) for n in range(first, first + 3)])

        kept = "SELECT load_average FROM system_monitoring WHERE hwid = $1 ORDER BY id"
        assert await world.column(kept, SERVER) == [7, 8, 9, 10, 11]
        await monitoring.store(database, SERVER, [sample(n) for n in range(20, 40)])
        assert await world.column(kept, SERVER) == [35, 36, 37, 38, 39]
        await world.row("UPDATE global_configuration SET value = '2' RETURNING key")
        await monitoring.store(database, SERVER, [sample(40)])
        assert await world.column(kept, SERVER) == [39, 40]
        assert await world.value(COUNTS, MEDIA) == 1

    run(scenario)


def test_media_servers_go_by_their_name_in_the_catalogue(run):
    """Those that are not there any more leave nothing; a deleted one takes its records along."""

    async def scenario(database: Database):
        world = await World.build(database)
        samples = [sample(1, MEDIA, "media server"), sample(1, OTHER_MEDIA, "media server")]
        await monitoring.store(database, SERVER, samples)

        assert await world.column("SELECT hostname FROM system_monitoring") == ["vault"]
        await world.row("DELETE FROM pools RETURNING id")
        async with database.transaction() as db:
            await enrolment.withdraw_media_servers(change(db), [world.media])
        assert await world.value(COUNTS, MEDIA) == 0

    run(scenario)


def test_storing_says_that_the_server_lives(run):
    """servers_hw_id_tmp tells by it whether a server is online."""

    async def scenario(database: Database):
        world = await World.build(database)
        await world.row(
            """INSERT INTO servers (hwid, hostname, package_version, seen_at)
               VALUES ($1, 's', '1', now() - interval '1 day') RETURNING hwid""",
            SERVER,
        )
        await monitoring.store(database, SERVER, [])

        assert await world.value("SELECT seen_at > now() - interval '1 minute' FROM servers")

    run(scenario)


def test_the_monitor_stores_what_it_and_media_servers_measure(run):
    """One batch for all; the period of the configuration is what media servers are told next."""

    async def scenario(database: Database):
        world = await World.build(database)
        monitor = Monitor(database, (SERVER, "primary"))
        assert monitor.report(MEDIA, [told(load=3.5)]).period_seconds == 1
        monitor._take(told())
        await configure(world, monitoring_period=60)
        await monitor.store()

        assert monitor.report(MEDIA, []).period_seconds == 60
        rows = "SELECT hostname || ' ' || server_type || ' ' || load_average FROM system_monitoring ORDER BY id"
        assert await world.column(rows) == ["vault media server 3.5", "primary server 1"]
        assert await monitoring.limits(database) == Limits(60, 3600)

    run(scenario)


def test_what_is_no_figure_is_refused(run):
    """A media server cannot store what no reader could show."""

    async def scenario(database: Database):
        monitor = Monitor(database, (SERVER, "primary"))
        for wrong in ({"load": math.nan}, {"own_cpu_percent": math.inf}, {"after_ns": 2**70}):
            with pytest.raises(WireFault):
                monitor.report(MEDIA, [told(**wrong)])

    run(scenario)


def test_what_could_not_be_stored_waits(run):
    """A catalogue that is away for a while costs nothing."""

    async def scenario(database: Database):
        world = await World.build(database)
        monitor = Monitor(database, (SERVER, "primary"))
        monitor._take(told())
        await database.close()
        with pytest.raises(Unavailable):
            await monitor.store()
        await database.open()
        await monitor.store()

        assert await world.value(COUNTS, SERVER) == 1

    run(scenario)
