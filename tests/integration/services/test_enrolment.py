"""How hosts become known, and how they cease to be."""

from __future__ import annotations

import asyncio

import pytest

from rubackup.catalog.database import Database
from rubackup.domain.errors import Conflict, Forbidden, Invalid, NotFound, Refused, TooManyAttempts
from rubackup.domain.permissions import Principal, Role
from rubackup.services import admission, dispatch, enrolment
from rubackup.services.enrolment import Granted, Pending
from rubackup.wire.certificates import Identity
from support.catalogue import CLIENT, MEDIA, SERVER, SUPERUSER, NumberingSigner, World, change, waiting_for_locks

pytestmark = pytest.mark.postgres


async def ask(database: Database, signer: NumberingSigner, role: str = "client", **fields) -> Pending | Granted:
    facts = {
        "hwid": CLIENT if role == "client" else MEDIA, "hostname": "host", "address": "10.0.0.7", "csr_pem": b"csr",
        "fingerprint": "f0", "package_version": "1", "os_type": "Linux", "os_version": "12",
        "data_endpoint": "10.0.0.7:9993" if role == "media" else "",
    }  # fmt: skip
    return await enrolment.ask(database, signer, role=role, **(facts | fields))


async def authorise(database: Database, *ids: int, principal: Principal = SUPERUSER) -> list[int]:
    async with database.transaction() as db:
        return await enrolment.authorise_clients(change(db, principal), ids)


async def waiting(database: Database) -> dict[str, int]:
    async with database.connection() as db:
        return {r["fingerprint"]: r["id"] for r in await db.fetch("SELECT id, fingerprint FROM unauthorised_clients")}


@pytest.mark.parametrize("role", ["client", "media"])
def test_a_new_host_waits_and_is_granted_once_authorised(run, role):
    """A host waits for an administrator; after that its key gets a certificate, and again for a renewal."""

    async def scenario(database: Database):
        signer = NumberingSigner()
        for _ in range(2):
            assert await ask(database, signer, role) == Pending("f0")
        async with database.transaction() as db:
            if role == "client":
                await enrolment.authorise_clients(change(db), [1])
            else:
                await enrolment.authorise_media_server(change(db), "host")
        granted = [await ask(database, signer, role) for _ in range(2)]

        assert granted == [Granted(b"chain 1"), Granted(b"chain 2")]
        hwid = CLIENT if role == "client" else MEDIA
        assert signer.asked[0] == (b"csr", role, hwid)
        for serial in ("1", "2"):
            await admission.admit(database, Identity(role, hwid, serial, "f0"))
            with pytest.raises(Refused, match="authorised with another key"):
                await admission.admit(database, Identity(role, hwid, serial, "another"))

    run(scenario)


def test_a_second_key_never_replaces_the_first(run):
    """Another key for a known hardware id waits in a row of its own and cannot be authorised beside the first."""

    async def scenario(database: Database):
        signer = NumberingSigner()
        await ask(database, signer, fingerprint="mine")
        await ask(database, signer, fingerprint="thief")
        rows = await waiting(database)
        await authorise(database, rows["mine"])

        assert await ask(database, signer, fingerprint="thief", csr_pem=b"thief's") == Pending("thief")
        with pytest.raises(Conflict, match=CLIENT):
            await authorise(database, rows["thief"])
        assert isinstance(await ask(database, signer, fingerprint="mine"), Granted)
        assert list(await waiting(database)) == ["thief"]

    run(scenario)


@pytest.mark.parametrize(
    ("role", "fields"),
    [
        ("client", {"hwid": "xyz"}), ("client", {"hwid": "A" * 16}), ("client", {"hwid": MEDIA}),
        ("media", {"hwid": CLIENT}), ("client", {"hostname": "a b"}), ("client", {"hostname": ""}), ("api", {}),
    ],
)  # fmt: skip
def test_names_that_are_none_are_refused(run, role, fields):
    """Hardware ids and host names have their form, and only clients and media servers enrol."""

    async def scenario(database: Database):
        with pytest.raises(Invalid):
            await ask(database, NumberingSigner(), role, **fields)

    run(scenario)


def test_a_thousand_hosts_may_wait(run):
    """Beyond the limit new hosts are sent away; those that wait already may go on asking, and so may known ones."""

    async def scenario(database: Database):
        signer = NumberingSigner()
        async with database.connection() as db:
            await db.execute(
                """INSERT INTO unauthorised_clients (hwid, hostname, csr_pem, fingerprint, address)
                   SELECT lpad(n::text, 16, '0'), 'h', '', 'f0', '10.0.0.7' FROM generate_series(1, 999) n"""
            )
        async with database.transaction() as db:
            await db.execute("LOCK TABLE events IN EXCLUSIVE MODE")  # nobody commits before all five have asked
            asking = [asyncio.create_task(ask(database, signer, fingerprint=f"new {n}")) for n in range(5)]
            await waiting_for_locks(db, 5)
        answers = await asyncio.gather(*asking, return_exceptions=True)

        assert sum(isinstance(answer, TooManyAttempts) for answer in answers) == 4
        assert sum(isinstance(answer, Pending) for answer in answers) == 1
        assert await ask(database, signer, hwid="1".rjust(16, "0")) == Pending("f0")
        assert await ask(database, signer, "media") == Pending("f0")

    run(scenario)


def test_a_flood_from_one_address_leaves_room_for_another(run):
    """A thousand made up hardware ids from one address: its next is sent away, a host from elsewhere has its place."""

    async def scenario(database: Database):
        signer = NumberingSigner()
        async with database.connection() as db:
            await db.execute(
                """INSERT INTO unauthorised_clients (hwid, hostname, csr_pem, fingerprint, address)
                   SELECT lpad(n::text, 16, '0'), 'h', '', 'f0', '10.6.6.6' FROM generate_series(1, 1000) n"""
            )
        with pytest.raises(TooManyAttempts, match="Too many hosts wait"):
            await ask(database, signer, address="10.6.6.6")
        assert await ask(database, signer, address="10.0.0.7") == Pending("f0")
        async with database.connection() as db:
            assert await db.fetchval("SELECT count(*) FROM unauthorised_clients") == 1000
            assert await db.fetchval("SELECT count(*) FROM unauthorised_clients WHERE address = '10.0.0.7'") == 1

    run(scenario)


def test_missing_ids_are_named_and_nobody_is_authorised(run):
    """Authorising is all or nothing."""

    async def scenario(database: Database):
        await ask(database, NumberingSigner())
        (row_id,) = (await waiting(database)).values()

        with pytest.raises(NotFound, match="4711"):
            await authorise(database, row_id, 4711)
        assert await waiting(database) == {"f0": row_id}

    run(scenario)


@pytest.mark.parametrize(
    ("roles", "group"),
    [
        ({Role.SUPERUSER}, "No group"), ({Role.SUPERVISOR}, "No group"), ({Role.ADMINISTRATOR}, "office"),
        ({Role.ADMINISTRATOR, Role.SUPERVISOR}, "No group"),
    ],
)  # fmt: skip
def test_an_administrators_clients_land_in_his_group(run, roles, group):
    """An administrator takes clients into his first group, others leave them in 'No group'."""

    async def scenario(database: Database):
        await ask(database, NumberingSigner())
        async with database.connection() as db:
            office = await db.fetchval("INSERT INTO client_groups (name) VALUES ('office') RETURNING id")
        mine = (office,) if Role.ADMINISTRATOR in roles else ()
        await authorise(database, 1, principal=Principal(7, "anna", frozenset(roles), client_group_ids=mine))

        async with database.connection() as db:
            found = await db.fetchval("SELECT g.name FROM clients c JOIN client_groups g ON g.id = c.group_id")
        assert found == group

    run(scenario)


def test_who_may_not_authorise_is_refused(run):
    """The services check the right too, not only the API."""

    async def scenario(database: Database):
        await ask(database, NumberingSigner())
        auditor = Principal(7, "otto", frozenset({Role.AUDITOR}))

        with pytest.raises(Forbidden):
            await authorise(database, 1, principal=auditor)

    run(scenario)


def test_a_host_name_names_one_media_server(run):
    """Unknown, ambiguous and taken host names are told apart."""

    async def scenario(database: Database):
        signer = NumberingSigner()
        await World.build(database, online=False)
        await ask(database, signer, "media", hwid="11" * 32, hostname="vault")
        for fingerprint in ("x", "y"):
            await ask(database, signer, "media", hwid="22" * 32, hostname="twice", fingerprint=fingerprint)

        for hostname, expected in (("nowhere", NotFound), ("vault", Conflict), ("twice", Conflict)):
            async with database.transaction() as db:
                with pytest.raises(expected):
                    await enrolment.authorise_media_server(change(db), hostname)

    run(scenario)


@pytest.mark.parametrize("case", ["unknown", "key", "role", "server", "revoked"])
def test_who_is_not_admitted(run, case):
    """Unknown hosts, other keys, other roles and revoked certificates are refused."""

    async def scenario(database: Database):
        await World.build(database, online=False)
        async with database.connection() as db:
            await db.execute("INSERT INTO revoked_certificates VALUES ('9', 'client', $1, 'lost')", CLIENT)
        await admission.admit(database, Identity("client", CLIENT, "8", "f0"))
        who, why = {
            "unknown": (Identity("client", "0" * 16, "8", "f0"), "hardware id 0{16} is not authorised"),
            "key": (Identity("client", CLIENT, "8", "f1"), f"hardware id {CLIENT} is authorised with another key"),
            "role": (Identity("api", CLIENT, "8", "f0"), "rb_init --enroll-api NAME on"),
            "server": (Identity("server", CLIENT, "8", "f0"), "role does not connect"),
            "revoked": (Identity("client", CLIENT, "9", "f0"), "certificate was revoked"),
        }[case]

        with pytest.raises(Refused, match=why):
            await admission.admit(database, who)

    run(scenario)


def test_a_deleted_client_is_revoked_and_waits_again(run):
    """Deleting revokes every certificate that was signed, kills the tasks, keeps the copies, and moves the row back."""

    async def scenario(database: Database):
        signer = NumberingSigner()
        world = await World.build(database)
        for _ in range(2):
            assert isinstance(await ask(database, signer), Granted)
        task = await world.backup()
        await dispatch.claim(database, 0, SERVER, 60, 1)
        await record(world)
        async with database.transaction() as db:
            await enrolment.withdraw_clients(change(db), [world.client])

        for serial in ("1", "2"):
            with pytest.raises(Refused, match="revoked"):
                await admission.admit(database, Identity("client", CLIENT, serial, "f0"))
        assert await world.value("SELECT status FROM task_queue WHERE id = $1", task) == "Killed"
        assert tuple(await world.row("SELECT client_id, client_hwid FROM repository")) == (None, CLIENT)
        assert await ask(database, signer) == Pending("f0")
        assert list(await waiting(database)) == ["f0"]

    run(scenario)


def test_a_client_that_comes_back_finds_its_copies(run):
    """Authorising a hardware id again gives it the copies that were made under it; old certificates stay revoked."""

    async def scenario(database: Database):
        signer = NumberingSigner()
        world = await World.build(database)
        await ask(database, signer)
        await record(world)
        async with database.transaction() as db:
            await enrolment.withdraw_clients(change(db), [world.client])
        (client,) = await authorise(database, *(await waiting(database)).values())

        assert await world.value("SELECT client_id FROM repository") == client
        with pytest.raises(Refused):
            await admission.admit(database, Identity("client", CLIENT, "1", "f0"))
        await ask(database, signer)
        await admission.admit(database, Identity("client", CLIENT, "2", "f0"))

    run(scenario)


@pytest.mark.parametrize(
    ("roles", "of_group", "found"),
    [
        ({Role.ADMINISTRATOR}, False, False), ({Role.ADMINISTRATOR, Role.AUDITOR}, False, False),
        ({Role.ADMINISTRATOR}, True, True), ({Role.SUPERVISOR}, False, True),
    ],
)  # fmt: skip
def test_copies_of_another_group_stay_with_it(run, roles, of_group, found):
    """An administrator who authorises a hardware id again gets its copies of his own groups only."""

    async def scenario(database: Database):
        signer = NumberingSigner()
        world = await World.build(database)
        await ask(database, signer)
        await record(world)
        async with database.transaction() as db:
            await enrolment.withdraw_clients(change(db), [world.client])
            own = await db.fetchval("INSERT INTO client_groups (name) VALUES ('own') RETURNING id")
        groups = ((own, world.group) if of_group else (own,)) if Role.ADMINISTRATOR in roles else ()
        boss = Principal(7, "anna", frozenset(roles), client_group_ids=groups)
        (client,) = await authorise(database, *(await waiting(database)).values(), principal=boss)

        assert await world.value("SELECT client_id FROM repository") == (client if found else None)

    run(scenario)


def test_a_media_server_with_pools_stays(run):
    """A media server is deleted only when nothing depends on it, then it waits again."""

    async def scenario(database: Database):
        world = await World.build(database)

        async def withdraw(*ids: int) -> None:
            async with database.transaction() as db:
                await enrolment.withdraw_media_servers(change(db), ids)

        with pytest.raises(Conflict, match="vault"):
            await withdraw(world.media)
        with pytest.raises(NotFound, match="4711"):
            await withdraw(4711)
        await world.row("DELETE FROM pools RETURNING id")
        await withdraw(world.media)

        assert await world.column("SELECT hostname FROM unauthorised_media_servers") == ["vault"]
        assert await ask(database, NumberingSigner(), "media") == Pending("f0")

    run(scenario)


async def record(world: World) -> None:
    await world.row(
        """INSERT INTO repository (uuid, task_id, client_id, client_hostname, client_hwid, client_group_id, pool_id,
               resource_type, resource, backup_type, crypto, size_bytes, stored_bytes, files, files_failed, created_at)
           VALUES (gen_random_uuid(), 0, $1, 'workstation', $2, $3, $4, 'File system', '/', 'full', 'nocrypt', 1, 1, 1,
               0, now()) RETURNING id""",
        world.client, CLIENT, world.group, world.pool,
    )  # fmt: skip


def test_many_hosts_are_looked_at_in_one_question(run):
    """Those that `admit` would refuse are found, of every kind at once: unknown, revoked, with another key."""

    async def scenario(database: Database):
        world = await World.build(database)
        revoke = (
            "INSERT INTO revoked_certificates (serial, role, hwid, reason) VALUES ('7', 'client', $1, '') RETURNING 1"
        )
        await world.row(revoke, CLIENT)
        hosts = [
            Identity("client", CLIENT, "5", "f0"), Identity("client", "ee" * 8, "6", "f0"), Identity("client", CLIENT, "7", "f0"),
            Identity("media", MEDIA, "1", "f0"), Identity("media", CLIENT, "1", "f0"), Identity("media", MEDIA, "2", "f1"),
            Identity("client", MEDIA, "1", "f0"), Identity("api", MEDIA, "1", "f0"), Identity("server", SERVER, "1", "f0"),
        ]  # fmt: skip

        async def refused(host: Identity) -> bool:
            try:
                await admission.admit(database, host)
            except Refused:
                return True
            return False

        found = await admission.turned_away(database, hosts)
        assert found == [host for host in hosts if await refused(host)]
        assert [host for host in hosts if host not in found] == [hosts[0], hosts[3]]
        assert await admission.turned_away(database, []) == []

    run(scenario)
