"""Clients are told what bandwidth they may take: when limits change, and when windows of the day begin and end."""

from __future__ import annotations

import asyncio
import datetime as dt
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from rubackup.catalog.database import Database
from rubackup.domain.errors import Unavailable
from rubackup.server import bandwidth as bandwidth_sync
from rubackup.server.bandwidth import BandwidthSync
from rubackup.server.registry import Registry
from rubackup.services import client_bandwidth, rule_bandwidth
from rubackup.services.bandwidth import read
from rubackup.services.client_bandwidth import ClientBandwidthChange, NewClientBandwidth
from rubackup.services.rule_bandwidth import NewRuleBandwidth
from rubackup.wire.messages import Ack, RuleBandwidth, SetBandwidth
from support.catalogue import CLIENT, OTHER_CLIENT, World, change, insert

pytestmark = pytest.mark.postgres
THIRD_CLIENT = "cc" * 8
BERLIN = ZoneInfo("Europe/Berlin")
NOON = dt.datetime(2026, 6, 1, 10, tzinfo=dt.UTC)
"""Noon in Berlin."""
LABEL = f"workstation ({CLIENT})"


class Peer:
    """The server's end of a client's connection."""

    def __init__(self, hwid: str) -> None:
        self.identity = SimpleNamespace(role="client", hwid=hwid)
        self.told: list[SetBandwidth] = []
        self.away = self.is_closed = False

    async def call(self, message: SetBandwidth, _timeout: float) -> Ack:
        """The client takes the message."""
        if self.away:
            raise Unavailable
        self.told.append(message)
        return Ack()


class Office:
    """A leader that tells two clients, at an hour of our choice."""

    def __init__(self, world: World) -> None:
        self.world, self.registry, self.now = world, Registry(), NOON
        self.peers = {hwid: Peer(hwid) for hwid in (CLIENT, OTHER_CLIENT)}
        for peer in self.peers.values():
            self.registry.add(peer)  # type: ignore[arg-type]
        self.sync = BandwidthSync(world.database, self.registry, BERLIN, lambda: self.now)

    async def limit(self, *args: Any, **fields: Any) -> int:
        """A limit of the client."""
        async with self.world.database.transaction() as db:
            return await client_bandwidth.create(change(db), NewClientBandwidth(client=LABEL, **fields))

    async def until(self, reached: Callable[[], bool]) -> None:
        """Return once it holds."""
        self.sync.changed()
        async with asyncio.timeout(60):
            while not reached():  # noqa: ASYNC110 - the loop that tells has no event for tests
                await asyncio.sleep(0.01)

    async def rests(self) -> None:
        """Return once it has looked at everybody and waits for the next tick, as long as that is now."""
        sync, rests = self.sync, asyncio.Event()
        look = sync._due

        def looked(*arguments: Any) -> Any:
            if not sync._stale and not sync._wake.is_set():
                rests.set()
            return look(*arguments)

        sync._due = looked  # type: ignore[method-assign]
        sync.changed()
        async with asyncio.timeout(60):
            await rests.wait()
            while sync._telling:  # noqa: ASYNC110 - a set has no event
                await asyncio.sleep(0)
        sync._due = look  # type: ignore[method-assign]

    def told(self) -> SetBandwidth:
        """What the client was told last."""
        return self.peers[CLIENT].told[-1]


async def led(database: Database, scenario: Callable[[Office], Any]) -> None:
    """Run a scenario beside a leader that tells."""
    office = Office(await World.build(database))
    running = asyncio.create_task(office.sync.run(7))
    try:
        await scenario(office)
    finally:
        running.cancel()


def test_a_client_is_told_what_is_new_to_it(run):
    """At first everybody, as who led before may have told something else; then who is concerned, once."""

    async def scenario(office: Office):
        one, two = office.peers.values()
        await office.until(lambda: bool(one.told and two.told))
        assert office.told() == SetBandwidth(epoch=7, backup=0, restore=0)
        number = await office.limit(backup_bandwidth=100, restore_bandwidth=7)
        await office.until(lambda: len(one.told) == 2)
        assert (office.told().backup, office.told().restore) == (102_400, 7168)
        async with office.world.database.transaction() as db:
            await client_bandwidth.update(change(db), number, ClientBandwidthChange(backup_bandwidth=50))
        await office.until(lambda: len(one.told) == 3)
        async with office.world.database.transaction() as db:
            await client_bandwidth.delete(change(db), [number])
        await office.until(lambda: len(one.told) == 4)

        assert [message.backup for message in one.told] == [0, 102_400, 51_200, 0]
        assert len(two.told) == 1

    run(lambda database: led(database, scenario))


def test_windows_begin_and_end_by_themselves_in_the_zone(run):
    """22 to 6 o'clock in Berlin is 20 to 4 in UTC; nobody changes anything."""

    async def scenario(office: Office):
        await office.limit(backup_bandwidth=100, window_start="22:00:00", window_end="06:00:00")
        peer = office.peers[CLIENT]
        for hour, minute, rate in ((19, 59, 0), (20, 0, 102_400), (3, 59, 102_400), (4, 0, 0)):
            office.now = NOON.replace(hour=hour, minute=minute)
            await office.until(lambda rate=rate: bool(peer.told) and peer.told[-1].backup == rate)
        assert len(peer.told) == 3

    run(lambda database: led(database, scenario))


def test_who_cannot_be_told_is_told_later(run):
    """And a connection that is new is told anew."""

    async def scenario(office: Office):
        peer = office.peers[CLIENT]
        peer.away = True
        await office.limit(backup_bandwidth=1)
        await office.until(lambda: bool(office.peers[OTHER_CLIENT].told))
        peer.away = False
        await office.until(lambda: bool(peer.told))
        again = Peer(CLIENT)
        peer.close = lambda: None  # type: ignore[attr-defined]
        office.registry.add(again)  # type: ignore[arg-type]
        office.sync.came(again)  # type: ignore[arg-type]
        await office.until(lambda: bool(again.told))

        assert again.told[-1].backup == 1024

    run(lambda database: led(database, scenario))


def test_a_client_that_hangs_holds_up_nobody(run):
    """Others are told while it is waited for; it is told what holds then when it goes on."""

    async def scenario(office: Office):
        hung, other = office.peers.values()
        go_on = asyncio.Event()
        call = hung.call

        async def hanging(message: SetBandwidth, timeout: float) -> Ack:
            await go_on.wait()
            return await call(message, timeout)

        hung.call = hanging  # type: ignore[method-assign]
        await office.limit(backup_bandwidth=1)
        async with office.world.database.transaction() as db:
            second = await insert(
                db,
                "clients",
                hwid=OTHER_CLIENT,
                hostname="other",
                group_id=office.world.group,
                csr_pem=b"",
                fingerprint="f",
            )
            await insert(db, "client_bandwidth", client_id=second, backup_bandwidth=5)
        await office.until(lambda: bool(other.told) and other.told[-1].backup == 5 * 1024)
        assert hung.told == []
        await office.limit(backup_bandwidth=1, restore_bandwidth=3)
        go_on.set()
        await office.until(lambda: bool(hung.told) and hung.told[-1].restore == 3 * 1024)

    run(lambda database: led(database, scenario))


def test_who_has_just_come_is_told_alone(run, monkeypatch):
    """A client that comes is told at once; the others, of whom there may be thousands, are not gone through for it."""

    async def scenario(office: Office):
        other = office.peers[OTHER_CLIENT]
        other.away = True
        await office.until(lambda: bool(office.peers[CLIENT].told))
        monkeypatch.setattr(bandwidth_sync, "TICK_SECONDS", 3600.0)
        await office.rests()
        other.away = False
        came = Peer(THIRD_CLIENT)
        office.registry.add(came)  # type: ignore[arg-type]
        office.sync.came(came)  # type: ignore[arg-type]
        async with asyncio.timeout(60):
            while not came.told:  # noqa: ASYNC110 - the loop that tells has no event for tests
                await asyncio.sleep(0.01)

        assert not other.told
        await office.until(lambda: bool(other.told))

    run(lambda database: led(database, scenario))


async def rule_of(world: World) -> int:
    """A rule of the client."""
    async with world.database.transaction() as db:
        return await insert(
            db, "global_schedule", name="nightly", client_id=world.client, resource_type="File system",
            resource="/home", backup_type="full", pool_id=world.pool, storage_duration="1 day",
        )  # fmt: skip


def test_a_client_is_told_the_limits_of_its_rules(run):
    """With the word of the configuration about which of both goes first; other clients hear nothing of them."""

    async def scenario(office: Office):
        rule = await rule_of(office.world)
        async with office.world.database.transaction() as db:
            new = NewRuleBandwidth(rule=rule, backup_bandwidth=20, restore_bandwidth=10)
            await rule_bandwidth.create(change(db), new)
        peer = office.peers[CLIENT]
        await office.until(lambda: bool(peer.told) and peer.told[-1].rules != [])
        assert office.told().rules == [RuleBandwidth(rule=rule, backup=20_480, restore=10_240)]
        assert not office.told().rule_first
        await office.world.configure(bandwidth_limit_advantage="rule")
        await office.until(lambda: office.told().rule_first)
        async with office.world.database.transaction() as db:
            (limit,) = [row["id"] for row in await db.fetch("SELECT id FROM rule_bandwidth")]
            await rule_bandwidth.delete(change(db), [limit])
        await office.until(lambda: office.told().rules == [])

        assert all(message.rules == [] for message in office.peers[OTHER_CLIENT].told)

    run(lambda database: led(database, scenario))


def test_the_limit_of_a_groups_rule_is_told_to_each_of_its_clients(run):
    """Whoever is in the group now."""

    async def scenario(office: Office):
        rule = await rule_of(office.world)
        async with office.world.database.transaction() as db:
            await db.execute(
                "UPDATE global_schedule SET client_id = NULL, client_group_id = $2 WHERE id = $1",
                rule,
                office.world.group,
            )
            await insert(
                db,
                "clients",
                hwid=OTHER_CLIENT,
                hostname="o",
                group_id=office.world.group,
                csr_pem=b"",
                fingerprint="f",
            )
            await rule_bandwidth.create(change(db), NewRuleBandwidth(rule=rule, backup_bandwidth=20))
        peers = office.peers.values()
        await office.until(lambda: all(peer.told and peer.told[-1].rules for peer in peers))

        assert [peer.told[-1].rules[0].rule for peer in peers] == [rule, rule]

    run(lambda database: led(database, scenario))


def test_of_several_limits_the_configured_one_counts(run):
    """The least or the greatest, for clients and for rules by a key each."""

    async def scenario(database: Database):
        world = await World.build(database)
        office, rule = Office(world), await rule_of(world)
        for rate in (10, 30):
            await office.limit(backup_bandwidth=rate)
            async with database.transaction() as db:
                await rule_bandwidth.create(change(db), NewRuleBandwidth(rule=rule, backup_bandwidth=rate * 2))
        found = []
        for client, of_rule in (("minimum", "maximum"), ("maximum", "minimum")):
            await world.row("DELETE FROM global_configuration RETURNING 1")
            await world.configure(bandwidth_client_limit=client, bandwidth_rule_limit=of_rule)
            allowance = (await read(database)).at(NOON, BERLIN)[CLIENT]
            found.append((allowance.client.backup // 1024, allowance.rules[0][1].backup // 1024))

        assert found == [(10, 60), (30, 20)]

    run(scenario)
