"""What a client's tools may see and do, over real connections: its own rows, within its flags, and nothing else."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from rubackup.catalog.database import Database
from rubackup.domain.errors import (
    CallerError,
    Conflict,
    Forbidden,
    Invalid,
    NotFound,
    Refused,
    TooManyAttempts,
    WireFault,
)
from rubackup.services.own import UNFINISHED_LIMIT
from rubackup.services.rule_requests import WAITING_LIMIT
from rubackup.wire.control import ControlPeer
from rubackup.wire.messages import (
    AskAgent,
    AskDeletion,
    AskOwnClient,
    AskOwnCopies,
    AskOwnRules,
    AskOwnTasks,
    Deleted,
    LocalUser,
    Message,
    OwnClient,
    OwnCopies,
    OwnRules,
    OwnTasks,
    Queued,
    Requested,
    RequestRuleDeletion,
)
from support.catalogue import CLIENT, OTHER_CLIENT
from support.tools import ANNA, Place, backup, restore, rule, serving_tools

pytestmark = pytest.mark.postgres
Scenario = Callable[[Place, ControlPeer], Awaitable[None]]


@pytest.fixture
def play(run: Any, tmp_path: Path) -> Callable[[Scenario], None]:
    """Runs `scenario(place, peer)`; peer is the first client's connection."""

    def played(scenario: Scenario) -> None:
        async def inner(database: Database) -> None:
            async with serving_tools(database, tmp_path) as place, place.client() as peer:
                await scenario(place, peer)

        run(inner)

    return played


async def refused(peer: ControlPeer, message: Message, kind: type[Exception], *words: str) -> None:
    """The server answers with this error, which says these words."""
    with pytest.raises(kind) as caught:
        await peer.call(message)
    for word in words:
        assert word in str(caught.value)


# --- its own rows ---


def test_a_client_sees_itself_as_its_administrator_set_it_up(play):
    """The answer is about the client of the certificate."""

    async def scenario(place: Place, peer: ControlPeer):
        await place.set(client_side_restore=False, storage_capacity=7)
        own = await peer.call(AskOwnClient())
        assert isinstance(own, OwnClient)
        assert (own.client, own.group) == (f"workstation ({CLIENT})", "office")
        assert (own.client_side_backup, own.client_side_restore, own.ls_pool) == (True, False, "Default")
        assert (own.storage_capacity, own.waiting_requests) == (7, 0)

    play(scenario)


def test_a_client_sees_its_own_rules_copies_and_tasks_only(play):
    """Rows of another client, though of the same group, do not exist."""

    async def scenario(place: Place, peer: ControlPeer):
        own, foreign = await place.rule(), await place.rule(place.other)
        copy, _ = await place.copy(rule_id=own), await place.copy(place.other, OTHER_CLIENT)
        task, other_task = await place.world.backup(), await place.world.backup(client_id=place.other)

        rules = await peer.call(AskOwnRules())
        copies = await peer.call(AskOwnCopies())
        tasks = await peer.call(AskOwnTasks())

        assert isinstance(rules, OwnRules)
        assert isinstance(copies, OwnCopies)
        assert isinstance(tasks, OwnTasks)
        assert [(r.id, r.schedule, r.status) for r in rules.rules] == [(own, "0 2 * * *", "wait")]
        assert [(c.id, c.rule, c.pool) for c in copies.copies] == [(copy, own, "Default")]
        assert [t.id for t in tasks.tasks] == [task]
        await refused(peer, AskOwnTasks(task=other_task), NotFound)
        await refused(peer, RequestRuleDeletion(rule=foreign), NotFound)

    play(scenario)


def test_an_earlier_host_with_the_same_hardware_id_is_another_client(play):
    """A hardware id is no proof: copies that are not this client's row's are neither seen, restored nor deleted."""

    async def scenario(place: Place, peer: ControlPeer):
        copy = await place.copy()
        async with place.world.database.connection() as db:
            await db.execute("UPDATE repository SET client_id = NULL WHERE id = $1", copy)
        answer = await peer.call(AskOwnCopies())
        assert isinstance(answer, OwnCopies)
        assert answer.copies == []
        await refused(peer, restore(copy), NotFound)
        await refused(peer, AskDeletion(record=copy), NotFound)

    play(scenario)


def test_copies_come_in_pages_the_newest_first(play):
    """`before` asks for older ones; `more` tells whether there are any."""

    async def scenario(place: Place, peer: ControlPeer):
        ids = [await place.copy() for _ in range(3)]
        await place.copy(resource="/etc")
        first = await peer.call(AskOwnCopies(resource="/home", limit=2))
        second = await peer.call(AskOwnCopies(resource="/home", limit=2, before=ids[1]))
        assert isinstance(first, OwnCopies)
        assert isinstance(second, OwnCopies)
        assert ([c.id for c in first.copies], first.more) == ([ids[2], ids[1]], True)
        assert ([c.id for c in second.copies], second.more) == ([ids[0]], False)

    play(scenario)


def test_tasks_come_in_pages_too(play):
    """The newest first; one may be asked for alone."""

    async def scenario(place: Place, peer: ControlPeer):
        ids = [await place.world.backup() for _ in range(3)]
        first = await peer.call(AskOwnTasks(limit=2))
        second = await peer.call(AskOwnTasks(limit=2, before=ids[1]))
        one = await peer.call(AskOwnTasks(task=ids[1]))
        assert isinstance(first, OwnTasks)
        assert isinstance(second, OwnTasks)
        assert isinstance(one, OwnTasks)
        assert ([t.id for t in first.tasks], first.more) == ([ids[2], ids[1]], True)
        assert ([t.id for t in second.tasks], second.more) == ([ids[0]], False)
        assert [t.id for t in one.tasks] == [ids[1]]

    play(scenario)


# --- flags ---


def test_client_side_backup_lets_tools_start_backups(play):
    """With it a task of this client is queued, by whom is told; without it none is, and the attempt is audited."""

    async def scenario(place: Place, peer: ControlPeer):
        answer = await peer.call(backup())
        assert isinstance(answer, Queued)
        row = await place.world.row("SELECT * FROM task_queue WHERE id = $1", answer.task)
        assert (row["client_id"], row["pool_id"], row["status"]) == (place.world.client, place.world.pool, "New")
        assert row["created_by"] == f"anna at workstation ({CLIENT})"
        audit = await place.world.row("SELECT * FROM audit ORDER BY id DESC LIMIT 1")
        assert (audit["method"], audit["path"], audit["row_ids"]) == ("TOOL", "backup", [answer.task])

        await place.set(client_side_backup=False)
        await refused(peer, backup(), Forbidden, "client_side_backup")
        assert await place.value("SELECT count(*) FROM task_queue") == 1
        assert "refused" in await place.value("SELECT outcome FROM audit ORDER BY id DESC LIMIT 1")

    play(scenario)


def test_client_side_restore_lets_tools_start_restores(play):
    """With it a restore to this client is queued; without it none is."""

    async def scenario(place: Place, peer: ControlPeer):
        copy = await place.copy()
        answer = await peer.call(restore(copy, paths=["/home/a"]))
        assert isinstance(answer, Queued)
        row = await place.world.row("SELECT * FROM task_queue WHERE id = $1", answer.task)
        assert (row["task_type"], row["client_id"], row["record_id"]) == ("Restore", place.world.client, copy)
        assert row["parameters"]["paths"] == ["/home/a"]

        await place.set(client_side_restore=False)
        await refused(peer, restore(copy), Forbidden, "client_side_restore")
        assert await place.value("SELECT count(*) FROM task_queue") == 1

    play(scenario)


def test_centralized_restore_does_not_bind_the_clients_own_tool(play):
    """The flag is about restores that are ordered through the API."""

    async def scenario(place: Place, peer: ControlPeer):
        await place.set(centralized_restore=False)
        assert isinstance(await peer.call(restore(await place.copy())), Queued)

    play(scenario)


def test_lrl_flag_lets_tools_see_rules_and_ask_about_them(play):
    """Without it neither."""

    async def scenario(place: Place, peer: ControlPeer):
        own = await place.rule()
        await place.set(lrl_flag=False)
        for message in (AskOwnRules(), rule(), RequestRuleDeletion(rule=own, user=ANNA)):
            await refused(peer, message, Forbidden, "lrl_flag")
        assert await place.value("SELECT count(*) FROM new_rule_requests") == 0
        assert await place.value("SELECT count(*) FROM delete_rule_requests") == 0

    play(scenario)


def test_lsf_flag_sends_own_backups_to_ls_pool_and_to_no_other(play):
    """The client need not name the pool, and cannot name another; when it is gone there is none."""

    async def scenario(place: Place, peer: ControlPeer):
        other = await place.add("pools", pool_name="Other", pool_type="File system", media_server_id=place.world.media)
        await place.add("storage_local_catalogs", path="/o", pool_id=other, media_server_id=place.world.media)
        await place.set(ls_pool_id=other)
        answer = await peer.call(backup())
        assert isinstance(answer, Queued)
        assert await place.value("SELECT pool_id FROM task_queue WHERE id = $1", answer.task) == other
        await refused(peer, backup(pool="Default"), Forbidden, "Other", "ls_pool")
        await place.set(ls_pool_id=None)
        await refused(peer, backup(), Conflict, "ls_pool")

    play(scenario)


def test_without_lsf_flag_only_a_pool_in_use_for_this_client_may_be_named(play):
    """One that holds a copy of it or that a rule of it names; strangers' pools look the same whether there or not."""

    async def scenario(place: Place, peer: ControlPeer):
        await place.set(lsf_flag=False, ls_pool_id=None)
        await place.copy(place.other, OTHER_CLIENT)
        await refused(peer, backup(), Invalid, "pool")
        with pytest.raises(Forbidden) as known:
            await peer.call(backup(pool="Default"))
        with pytest.raises(Forbidden) as unknown:
            await peer.call(backup(pool="No such pool"))
        assert str(known.value) == str(unknown.value)

        await place.copy()
        assert isinstance(await peer.call(backup(pool="Default")), Queued)

        async with place.world.database.connection() as db:
            await db.execute("DELETE FROM repository WHERE client_id = $1", place.world.client)
        await place.rule()
        assert isinstance(await peer.call(backup(pool="Default", resource="/etc")), Queued)

    play(scenario)


def test_client_delete_flag_of_the_rule_lets_the_client_delete_a_copy(play):
    """The copy gets a tombstone; without the flag, without a rule or with a lock it stays."""

    async def scenario(place: Place, peer: ControlPeer):
        lets, keeps = await place.rule(client_delete_flag=True), await place.rule()
        gone, kept = await place.copy(rule_id=lets), await place.copy(rule_id=keeps)
        ruleless = await place.copy()
        async with place.world.database.connection() as db:
            locked = await place.copy(rule_id=lets)
            await db.execute("UPDATE repository SET locked_until = now() + interval '1 day' WHERE id = $1", locked)

        assert await peer.call(AskDeletion(record=gone, user=ANNA)) == Deleted(record=gone)
        for record in (kept, ruleless):
            await refused(peer, AskDeletion(record=record), Forbidden, "client_delete_flag")
        await refused(peer, AskDeletion(record=locked), Conflict, "locked")

        rows = await place.world.column("SELECT id FROM repository ORDER BY id")
        assert rows == sorted([kept, ruleless, locked])
        assert await place.value("SELECT count(*) FROM record_tombstones") == 1
        assert await place.value("SELECT user_name FROM repository_log WHERE action = 'deleted'") == (
            f"anna at workstation ({CLIENT})"
        )

    play(scenario)


def test_a_client_cannot_delete_by_a_rule_of_another_client(play):
    """The number of a rule on a copy counts only when the rule is this client's."""

    async def scenario(place: Place, peer: ControlPeer):
        foreign = await place.rule(place.other, client_delete_flag=True)
        await refused(peer, AskDeletion(record=await place.copy(rule_id=foreign)), Forbidden)

    play(scenario)


# --- requests ---


def test_a_request_for_a_rule_waits_with_who_asked_and_what_for(play):
    """Every field is stored; the client sees it wait; an event tells administrators."""

    async def scenario(place: Place, peer: ControlPeer):
        answer = await peer.call(rule(dow="1-5", mon="*"))
        assert isinstance(answer, Requested)
        row = await place.world.row("SELECT * FROM new_rule_requests WHERE id = $1", answer.id)
        assert (row["client_id"], row["requested_by"], row["requested_uid"]) == (place.world.client, "anna", 1000)
        assert (row["name"], row["resource"], row["pool_id"]) == ("nightly", "/home", place.world.pool)
        assert (row["min"], row["hour"], row["mon"], row["dow"]) == ("0", "2", None, "1-5")
        assert (row["storage_duration"], row["periodic_launch"], row["comment"]) == ("1 months", "", "please")
        event = await place.world.row("SELECT * FROM events WHERE family = 'new_rule_requests'")
        assert (event["kind"], event["row_id"], event["client_group_id"]) == ("created", answer.id, place.world.group)

        rules = await peer.call(AskOwnRules())
        assert isinstance(rules, OwnRules)
        assert [(r.id, r.kind, r.requested_by) for r in rules.requests] == [(answer.id, "new", "anna")]
        own = await peer.call(AskOwnClient())
        assert isinstance(own, OwnClient)
        assert own.waiting_requests == 1

    play(scenario)


def test_a_deletion_is_requested_once(play):
    """The rule stays; asking again says that it was asked already."""

    async def scenario(place: Place, peer: ControlPeer):
        own = await place.rule()
        assert isinstance(await peer.call(RequestRuleDeletion(rule=own, comment="old", user=ANNA)), Requested)
        await refused(peer, RequestRuleDeletion(rule=own, user=ANNA), Conflict, "already")
        assert await place.value("SELECT count(*) FROM global_schedule") == 1
        assert await place.value("SELECT comment FROM delete_rule_requests") == "old"

    play(scenario)


@pytest.mark.parametrize(
    ("fields", "word"),
    [
        ({"name": ""}, "name"), ({"name": "x" * 129}, "name"), ({"resource": "relative"}, "resource"),
        ({"resource_type": "Nothing"}, "resource_type"), ({"backup_type": "half"}, "backup_type"),
        ({"pool": "No such pool"}, "pool"), ({"storage_duration": "soon"}, "storage_duration"),
        ({"priority": 0}, "priority"), ({"priority": 2**80 // 2**20}, "priority"), ({"crypto": "rot13"}, "crypto"),
        ({"min": "61"}, "min"), ({"dom": "31", "mon": "2"}, "dom"), ({"periodic_launch": "-1 day"}, "periodic_launch"),
        ({"min": "", "hour": ""}, "periodic_launch"), ({"comment": "x" * 1025}, "comment"),
        ({"resource": "/\udcff"}, "UTF-8"), ({"comment": "a\0b"}, "NUL"), ({"hour": "1;drop"}, "hour"),
    ],
)  # fmt: skip
def test_a_wrong_request_is_told_by_its_field(play, fields, word):
    """Nothing is stored, and the sentence names the field."""

    async def scenario(place: Place, peer: ControlPeer):
        await refused(peer, rule(**fields), Invalid, word)
        assert await place.value("SELECT count(*) FROM new_rule_requests") == 0

    play(scenario)


# --- hostile clients ---


def test_no_message_names_another_client_or_reaches_its_rows(play):
    """Restores, deletions and requests about another client's rows find nothing, whatever number is tried."""

    async def scenario(place: Place, peer: ControlPeer):
        foreign_rule = await place.rule(place.other, client_delete_flag=True)
        foreign = await place.copy(place.other, OTHER_CLIENT, rule_id=foreign_rule)
        for number in (foreign, 0, -1, 2**63, 2**64 - 1):
            await refused(peer, restore(number), NotFound)
            await refused(peer, AskDeletion(record=number), NotFound)
        for number in (foreign_rule, 2**62):
            await refused(peer, RequestRuleDeletion(rule=number), NotFound)
        assert await place.value("SELECT count(*) FROM repository") == 1

        async with place.client(OTHER_CLIENT) as other:
            await refused(other, AskOwnRules(), Forbidden)
            answer = await other.call(AskOwnCopies())
            assert isinstance(answer, OwnCopies)
            assert [c.id for c in answer.copies] == [foreign]

    play(scenario)


def test_requests_of_a_client_that_wait_are_bounded(play):
    """Beyond the bound further ones are refused until some are decided."""

    async def scenario(place: Place, peer: ControlPeer):
        for number in range(WAITING_LIMIT):
            await place.add(
                "new_rule_requests", client_id=place.world.client, requested_by="x", requested_uid=0, name=f"{number}",
                resource_type="File system", resource="/", backup_type="full", storage_duration="1 days", priority=1,
                crypto="nocrypt",
            )  # fmt: skip
        await refused(peer, rule(), Conflict, str(WAITING_LIMIT))
        await refused(peer, RequestRuleDeletion(rule=await place.rule()), Conflict, str(WAITING_LIMIT))
        assert await place.value("SELECT count(*) FROM new_rule_requests") == WAITING_LIMIT

    play(scenario)


def test_requests_at_the_same_time_do_not_pass_the_bound_together(play):
    """The client's row is locked while its requests are counted."""

    async def scenario(place: Place, peer: ControlPeer):
        for number in range(WAITING_LIMIT - 1):
            await place.add(
                "new_rule_requests", client_id=place.world.client, requested_by="x", requested_uid=0, name=f"{number}",
                resource_type="File system", resource="/", backup_type="full", storage_duration="1 days", priority=1,
                crypto="nocrypt",
            )  # fmt: skip
        answers = await asyncio.gather(*[peer.call(rule()) for _ in range(8)], return_exceptions=True)
        assert sum(isinstance(answer, Requested) for answer in answers) == 1
        assert await place.value("SELECT count(*) FROM new_rule_requests") == WAITING_LIMIT

    play(scenario)


def test_tasks_that_a_client_starts_are_bounded(play):
    """With as many unfinished ones its tools start no more."""

    async def scenario(place: Place, peer: ControlPeer):
        for _ in range(UNFINISHED_LIMIT):
            await place.world.backup()
        await refused(peer, backup(), Conflict, str(UNFINISHED_LIMIT))
        await refused(peer, restore(await place.copy()), Conflict, str(UNFINISHED_LIMIT))

    play(scenario)


def test_a_flood_is_held_up_before_it_costs_anything(play):
    """A client that asks too often is told so; another client is served meanwhile."""

    async def scenario(place: Place, peer: ControlPeer):
        answers = await asyncio.gather(*[peer.call(AskOwnClient()) for _ in range(120)], return_exceptions=True)
        assert sum(isinstance(answer, TooManyAttempts) for answer in answers) > 30
        async with place.client(OTHER_CLIENT) as other:
            assert isinstance(await other.call(AskOwnClient()), OwnClient)

    play(scenario)


@pytest.mark.parametrize(
    "message",
    [
        backup(resource="/" + "x" * 1_000_000), backup(pool="x" * 1_000_000), backup(storage_duration="9" * 100_000),
        backup(backup_type="x" * 100_000), restore(1, paths=["/a"] * 2000), restore(1, paths=["/" + "x" * 40_000]),
        restore(1, destination="/" + "x" * 40_000), rule(name="x" * 3_000_000), backup(resource="/\udcff"),
    ],
    ids=lambda message: type(message).__name__,
)  # fmt: skip
def test_huge_and_broken_fields_are_refused(play, message):
    """The answer is short, nothing is stored, the connection lives on."""

    async def scenario(place: Place, peer: ControlPeer):
        await place.copy()
        with pytest.raises(CallerError) as caught:
            await peer.call(message)
        assert len(str(caught.value)) < 1000
        assert await place.value("SELECT count(*) FROM task_queue") == 0
        assert isinstance(await peer.call(AskOwnClient()), OwnClient)

    play(scenario)


def test_an_odd_user_name_is_told_as_a_number(play):
    """What a client's process says of its user cannot pass for a name of this system or steer a screen."""

    async def scenario(place: Place, peer: ControlPeer):
        for name in ("rubackup at server (x)", "\x1b[2J", "x" * 1000, ""):
            answer = await peer.call(backup(resource=f"/home/{len(name)}", user=LocalUser(name=name, uid=7)))
            assert isinstance(answer, Queued)
            created_by = await place.value("SELECT created_by FROM task_queue WHERE id = $1", answer.task)
            assert created_by == f"uid 7 at workstation ({CLIENT})"

    play(scenario)


def test_a_client_that_was_deleted_is_answered_no_more(play):
    """Also on the connection that it still has, and also when its hardware id came back with another key."""

    async def scenario(place: Place, peer: ControlPeer):
        async with place.world.database.connection() as db:
            serial = await _serial(place, peer)
            await db.execute(
                "INSERT INTO revoked_certificates (serial, role, hwid, reason) VALUES ($1, 'client', $2, 'deleted')",
                serial, CLIENT,
            )  # fmt: skip
        await refused(peer, AskOwnClient(), Refused)
        await refused(peer, backup(), Refused)

    play(scenario)


async def _serial(place: Place, _peer: ControlPeer) -> str:
    """The serial of the first client's certificate: the one that was issued for this connection."""
    (file,) = place.installation.folder.glob("client-*.pem")
    return file.stem.removeprefix("client-")


def test_what_stays_on_the_host_is_refused_by_the_server(play):
    """AskAgent is a matter between a tool and its client's process."""

    async def scenario(place: Place, peer: ControlPeer):
        await refused(peer, AskAgent(), WireFault)

    play(scenario)
