"""Rules of the global schedule: what is refused, what is kept, how they are changed, stopped and started."""

from __future__ import annotations

from typing import Any

import httpx
import pytest
from samples_schedule import new_rule, rule_change, short_rule

from rubackup.domain.units import parse_interval
from rubackup.services import rule_columns
from rubackup.services.fields import Problems
from support.api import Api
from support.fixtures import Stock

PREFIX = "data.global_schedule."


def created(api: Api, body: dict[str, Any]) -> dict[str, Any]:
    """The row of a new rule."""
    answer = api.post("/global_schedule", body)
    assert answer.status_code == 201, answer.text
    return read(api, int(answer.headers["location"].rpartition("/")[2]))


def read(api: Api, rule: int) -> dict[str, Any]:
    """The row of a rule."""
    data: dict[str, Any] = api.get(f"/global_schedule/{rule}").json()["data"]
    return data


def change(api: Api, rule: int, **fields: Any) -> httpx.Response:
    """A change of a rule's own keys."""
    return api.patch(f"/global_schedule/{rule}", {"data": {"global_schedule": fields}})


def refused(answer: httpx.Response) -> set[str]:
    """The keys that a refusal names, below `data.global_schedule`."""
    assert answer.status_code == 400, answer.text
    return {key.removeprefix(PREFIX) for key in answer.json()["errors"]}


def actions(api: Api, rule: int) -> list[str]:
    """What the log says was done to a rule, oldest first."""
    query = {"filter_data": f'rule_ref="{rule}"', "sort_by": "id"}
    return [line["action"] for line in api.get("/global_schedule_log", params=query).json()["data"]["items"]]


# --- making ---


def test_the_guides_body_reads_back_as_it_was_written(office: Api) -> None:
    """Every key has the same text, plus the ids of what the names stand for."""
    body = new_rule(office)["data"]
    wanted = body["global_schedule"]

    row = created(office, {"data": body})

    same = wanted.keys() - {"resource", "validity_start_period", "validity_end_period"}
    assert {key: row[key] for key in same} == {key: wanted[key] for key in same}
    assert row["resource"] == "/home"
    assert row["validity_end_period"].startswith("2025-09-02T")
    assert row["module_extensions"] == body["module_extensions"]
    assert row["common_modules_extensions"] == body["common_modules_extensions"]
    for key in ("client_id", "pool_id", "move_copy_pool"):
        assert isinstance(row[f"{key}_ref"], int), key


def test_a_rule_with_nothing_but_the_required_keys_waits(office: Api) -> None:
    """It tells nobody, has no limits, and would run at midnight."""
    row = created(office, short_rule(office))

    assert (row["status"], row["priority"], row["crypto"]) == ("wait", 100, "nocrypt")
    assert [row[key] for key in ("min", "hour", "dom", "mon", "dow", "periodic_launch")] == [
        0,
        0,
        None,
        None,
        None,
        None,
    ]
    assert (row["notify_normal"], row["notify_normal_ref"], row["notify_normal_cc"]) == ("Nobody", None, "")
    assert (row["storage_capacity"], row["validity_end_period"], row["move_copy_pool"]) == (None, None, None)
    assert row["module_extensions"] == {"parameters": {}}


@pytest.mark.parametrize(
    ("written", "shown"),
    [
        ("1 min", "1 min"),
        ("1 Years", "1 Years"),
        (" 30 days ", "30 days"),
        ("2weeks", "2weeks"),
        ("6 mons", "6 mons"),
        ("90 m", "90 minutes"),
        ("1 day 02:30:00", "1 days 2 hours 30 minutes 0 seconds"),
        ("1 year, 2 months", "1 years 2 months"),
    ],
)
def test_intervals_are_kept_in_words_that_the_catalogue_reads(office: Api, written: str, shown: str) -> None:
    """The same text comes back where it has one meaning; a read can be sent back."""
    row = created(office, short_rule(office, periodic_launch=written, storage_duration=written))

    assert (row["periodic_launch"], row["storage_duration"]) == (shown, shown)
    assert change(office, row["id"], periodic_launch=shown).status_code == 200
    task = office.post(f"/global_schedule/{row['id']}/execution")
    assert task.status_code == 200, task.text


def test_an_interval_that_is_kept_as_it_was_written_means_the_same_to_the_catalogue(office: Api) -> None:
    """For every unit, in whatever form: the text of the row is read by PostgreSQL as it was checked by us."""
    units = [form for unit in ("sec", "second", "min", "minute", "hour", "day", "week", "mon", "month", "yr", "year")
             for form in (unit, f"{unit}s", f"{unit}s".upper())]  # fmt: skip
    texts = [
        f"{number}{gap}{unit}"
        for unit in (*units, "s", "m", "h", "d", "w", "y", "ms")
        for number, gap in ((1, " "), (36, ""))
    ]
    problems = Problems()
    kept = {text: rule_columns.interval(problems, text, "data") for text in texts}
    checked = {text: parse_interval(text, "data") for text in texts}

    rows = office.fetch(
        "SELECT kept FROM unnest($1::text[], $2::text[]) AS t (kept, checked) WHERE kept::interval <> checked::interval",
        list(kept.values()), list(checked.values()),
    )  # fmt: skip

    assert problems.fields == {}
    assert rows == []
    assert all(kept[f"36{unit}"] == f"36{unit}" for unit in units)


def test_every_wrong_field_of_a_rule_is_told(office: Api) -> None:
    """One answer names them all."""
    answer = office.post(
        "/global_schedule",
        new_rule(
            office, client_id="no client (0123456789abcdef)", resource_type="Tape", resource="home",
            backup_type="half", pool_id="no pool", move_copy_pool="no pool", crypto="rot13", status="walk",
            periodic_launch="often", verify_interval="soon", storage_duration="long", move_copy_while="0 days",
            min=60, hour="25", dom="x", mon=13, dow=8, inform_when_obsoleted_copy="no group", notify_normal=4711,
            notify_normal_cc="nobody", notify_exception_cc="a@b, c", notify_rule_validity="no group",
            notify_normal_script="bin/x", notify_exception_script="/a/../b", restore_script="/folder/",
        ),
    )  # fmt: skip

    assert refused(answer) == {
        "client_id", "resource_type", "resource", "backup_type", "pool_id", "move_copy_pool", "crypto", "status",
        "periodic_launch", "verify_interval", "storage_duration", "move_copy_while", "min", "hour", "dom", "mon",
        "dow", "inform_when_obsoleted_copy", "notify_normal", "notify_normal_cc", "notify_exception_cc",
        "notify_rule_validity", "notify_normal_script", "notify_exception_script", "restore_script",
    }  # fmt: skip
    assert "wait, run" in answer.json()["errors"][f"{PREFIX}status"]
    assert office.get("/global_schedule").json()["data"]["total"] == 0


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("name", ""),
        ("priority", 0),
        ("priority", 1001),
        ("storage_capacity", -1),
        ("storage_duration", " "),
        ("validity_end_period", "tomorrow"),
        ("verify_flag", "yes"),
        ("restore_script", "/" + "x" * 4096),
        ("notify_normal", None),
    ],
)
def test_a_value_of_the_wrong_form_is_named(office: Api, key: str, value: Any) -> None:
    """Limits and types hold for new and for changed rules."""
    rule = created(office, short_rule(office))["id"]

    assert refused(office.post("/global_schedule", short_rule(office, **{key: value}))) == {key}
    assert refused(change(office, rule, **{key: value})) == {key}


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"verify_flag": True}, "verify_interval"),
        ({"move_copy_flag": True, "move_copy_while": "1 day"}, "move_copy_pool"),
        ({"second_copy_flag": True, "second_copy_duration": "1 day"}, "second_copy_pool"),
        ({"validity_start_period": "2025-01-02T00:00:00Z", "validity_end_period": "2025-01-01T00:00:00Z"},
         "validity_end_period"),
        ({"dom": 31, "mon": 2}, "dom"),
    ],
)  # fmt: skip
def test_what_does_not_fit_together_is_refused(office: Api, fields: dict[str, Any], named: str) -> None:
    """Also when a change brings only the second half of it."""
    first, *rest = fields.items()
    rule = created(office, short_rule(office))["id"]
    assert refused(office.post("/global_schedule", short_rule(office, **fields))) == {named}
    if rest:
        assert change(office, rule, **dict(rest)).status_code == 200

    assert refused(change(office, rule, **dict([first]))) == {named}


def test_copies_are_moved_into_another_pool(office: Api, rows: Stock) -> None:
    """The rule's own pool is none, nor can the rule be changed into it; null takes the pool away."""
    own, other = rows.pool_with_storage(), rows.pool_with_storage()
    move = {"move_copy_flag": True, "move_copy_while": "1 day"}
    rule = created(office, short_rule(office, pool_id=own, move_copy_pool=other, **move))["id"]

    answer = office.post("/global_schedule", short_rule(office, pool_id=own, move_copy_pool=own, **move))

    assert refused(answer) == {"move_copy_pool"}
    assert refused(change(office, rule, pool_id=other)) == {"move_copy_pool"}
    assert refused(change(office, rule, move_copy_pool=None)) == {"move_copy_pool"}
    assert change(office, rule, move_copy_pool=None, move_copy_flag=False).status_code == 200
    assert read(office, rule)["move_copy_pool_ref"] is None


def test_the_pool_must_take_the_copies(office: Api, rows: Stock) -> None:
    """A pool without storage, of another type, or that keeps copies for less long is refused, now and later."""
    rule = created(office, short_rule(office))["id"]
    keeps_a_day = rows.pool_with_storage()
    office.patch(f"/pool_list/{keeps_a_day}", {"data": {"retention_period": "1 day"}})
    wrong = {
        "pool_id": ({"pool_id": rows.pool()}, {"pool_id": rows.pool(pool_type="Tape library")}),
        "storage_duration": ({"pool_id": keeps_a_day, "storage_duration": "2 days"},),
    }

    for named, bodies in wrong.items():
        for fields in bodies:
            assert refused(office.post("/global_schedule", short_rule(office, **fields))) == {named}
            assert refused(change(office, rule, **fields)) == {named}


def test_a_pool_that_changed_does_not_keep_the_rule_from_being_edited(office: Api, rows: Stock) -> None:
    """Only what changes is held against the pool."""
    pool = rows.pool_with_storage()
    rule = created(office, short_rule(office, pool_id=pool, storage_duration="2 days"))["id"]
    office.patch(f"/pool_list/{pool}", {"data": {"retention_period": "1 day"}})

    assert change(office, rule, priority=7, storage_duration="2 days").status_code == 200
    assert refused(change(office, rule, storage_duration="3 days")) == {"storage_duration"}


def test_a_client_must_serve_the_resource_type(office: Api, rows: Stock) -> None:
    """One that told what it serves is held to it."""
    client = rows.client(resource_types=["Docker"])

    assert refused(office.post("/global_schedule", short_rule(office, client_id=client))) == {"resource_type"}


def test_parameters_that_are_not_served_are_named(office: Api, rows: Stock) -> None:
    """Unknown ones and those that promise too much, in both objects, for new and changed rules."""
    parameters = {
        "module_extensions": {"parameters": {"snapshot_type": "zfs", "colour": "red"}},
        "common_modules_extensions": {"parameters": {"worker_parallelism": 0}},
    }

    for answer in (
        office.post("/global_schedule", {"data": short_rule(office)["data"] | parameters}),
        office.patch(f"/global_schedule/{rows.rule()}", {"data": parameters}),
    ):
        assert refused(answer) == {
            "data.module_extensions.parameters.snapshot_type", "data.module_extensions.parameters.colour",
            "data.common_modules_extensions.parameters.worker_parallelism",
        }  # fmt: skip


# --- changing ---


def test_the_guides_change_is_done(office: Api, rows: Stock) -> None:
    """Every key of the guide's PATCH is shown as it was written."""
    rule, body = rows.rule(), rule_change(office)

    assert office.patch(f"/global_schedule/{rule}", body).status_code == 200

    row, wanted = read(office, rule), body["data"]["global_schedule"]
    assert {key: row[key] for key in wanted} == wanted


@pytest.mark.parametrize("key", ["client_id", "resource_type", "resource", "backup_type", "crypto"])
def test_what_is_backed_up_cannot_be_changed(office: Api, rows: Stock, key: str) -> None:
    """As in the guide's PATCH, these keys are unknown there: another resource is another rule."""
    rule = created(office, short_rule(office))

    assert refused(change(office, rule["id"], **{key: rule[key]})) == {key}


def test_of_the_parameters_those_that_are_given_change(office: Api, rows: Stock) -> None:
    """The others stay as they are."""
    rule = rows.rule(module_parameters={"numeric_owner": True}, common_parameters={"worker_parallelism": 4})

    office.patch(f"/global_schedule/{rule}", {"data": {"module_extensions": {"parameters": {"file_list": True}}}})

    row = read(office, rule)
    assert row["module_extensions"] == {"parameters": {"numeric_owner": True, "file_list": True}}
    assert row["common_modules_extensions"] == {"parameters": {"worker_parallelism": 4}}


def test_an_edit_is_logged_and_begins_the_ticks_anew(office: Api, rows: Stock) -> None:
    """A change that says nothing new does neither."""
    rule = rows.rule()
    before = read(office, rule)

    change(office, rule, priority=before["priority"], hour=before["hour"])
    assert read(office, rule) == before
    change(office, rule, priority=7, notify_verify=rows.user_group())

    after = read(office, rule)
    assert after["schedule_since"] > before["schedule_since"]
    assert after["changed_at"] == after["schedule_since"]
    assert actions(office, rule) == ["changed"]
    line = office.get("/global_schedule_log").json()["data"]["items"][0]
    assert (line["user_name"], line["text"]) == ("rubackup", "Changed: priority, notify_verify.")


def test_a_group_named_by_the_id_of_nobody_is_nobody(office: Api, rows: Stock) -> None:
    """There is one way to tell no one."""
    nobody = rows.row("SELECT id FROM user_groups WHERE name = 'Nobody'")["id"]
    group = rows.user_group()
    rule = rows.rule(notify_normal_group_id=group)

    change(office, rule, notify_normal=nobody, notify_exception=group)

    row = read(office, rule)
    assert (row["notify_normal"], row["notify_normal_ref"]) == ("Nobody", None)
    assert (row["notify_exception"], row["notify_exception_ref"]) == (rows.named("user_groups", group, "name"), group)


# --- stopping and starting ---


def statuses(api: Api, *wanted: tuple[int, str]) -> httpx.Response:
    """The guide's call that sets the status of rules."""
    return api.patch("/global_schedule", {"data": [{"id": rule, "status": status} for rule, status in wanted]})


def test_rules_are_started_and_stopped_together(office: Api, rows: Stock) -> None:
    """Each gets its own status; one that has it already stays as it is; the audit has before and after."""
    first, second, third = rows.rule(), rows.rule(status="run"), rows.rule(status="run")
    before = {rule: read(office, rule) for rule in (first, second, third)}

    assert statuses(office, (first, "run"), (second, "wait"), (third, "RUN")).status_code == 200

    after = {rule: read(office, rule) for rule in before}
    assert [row["status"] for row in after.values()] == ["run", "wait", "run"]
    assert after[first]["schedule_since"] > before[first]["schedule_since"]
    assert after[second]["schedule_since"] == before[second]["schedule_since"]
    assert after[third] == before[third]
    assert [actions(office, rule) for rule in after] == [["status"], ["status"], []]
    audit = office.fetch("SELECT * FROM audit WHERE resource = 'global_schedule' ORDER BY id DESC LIMIT 1")[0]
    assert [row["status"] for row in audit["before"]] == ["wait", "run", "run"]
    assert audit["row_ids"] == [first, second, third]


def test_a_missing_rule_keeps_every_status(office: Api, rows: Stock) -> None:
    """All or none; the missing one is named."""
    rule = rows.rule()

    answer = statuses(office, (rule, "run"), (4711, "run"))

    assert answer.status_code == 404
    assert "4711" in answer.json()["message"]
    assert read(office, rule)["status"] == "wait"


def test_wrong_statuses_are_named_by_their_place(office: Api, rows: Stock) -> None:
    """Unknown names and rules that are named twice."""
    rule = rows.rule()

    assert refused(statuses(office, (rule, "run"), (rule, "walk"))) == {"data.1.status", "data.1.id"}
    assert refused(office.patch("/global_schedule", {"data": []})) == {"data"}
    assert refused(statuses(office, *((number, "run") for number in range(1, 1002)))) == {"data"}


# --- deleting ---


def test_a_deleted_rule_keeps_its_copies_and_its_log(office: Api, rows: Stock) -> None:
    """They still say which rule made them."""
    rule = created(office, short_rule(office))
    record, task = rows.record(rule_id=rule["id"]), rows.task(rule_id=rule["id"])
    shown = [office.get(f"/repository/{record}").json()["data"], office.get(f"/task_queue/{task}").json()["data"]]
    assert [(row["rule"], row["rule_ref"]) for row in shown] == [(rule["name"], rule["id"])] * 2

    assert office.delete(f"/global_schedule/{rule['id']}").status_code == 200

    shown = [office.get(f"/repository/{record}").json()["data"], office.get(f"/task_queue/{task}").json()["data"]]
    assert [(row["rule"], row["rule_ref"]) for row in shown] == [(None, rule["id"])] * 2
    assert actions(office, rule["id"]) == ["created", "deleted"]


def test_rules_go_with_their_client_and_the_log_says_so(office: Api, rows: Stock) -> None:
    """The administrator of its group still reads what happened."""
    group = rows.client_group()
    client, other = rows.client(group=group), rows.rule()
    rule = rows.rule(client=client)

    assert office.delete(f"/clients/{client}").status_code == 200

    assert [row["id"] for row in office.get("/global_schedule").json()["data"]["items"]] == [other]
    (line,) = rows.administrator(group).get("/global_schedule_log").json()["data"]["items"]
    assert (line["rule_ref"], line["action"], line["text"]) == (rule, "deleted", "The client was deleted.")


def test_a_second_copy_is_kept_in_another_pool(office: Api, rows: Stock) -> None:
    """The keys are read as they were written, by name and id; the rule's own pool is none."""
    own, other = rows.pool_with_storage(), rows.pool_with_storage()
    second = {
        "second_copy_flag": True, "second_copy_pool": rows.named("pools", other, "pool_name"),
        "second_copy_while": "2 days", "second_copy_duration": "1 Years",
    }  # fmt: skip
    row = created(office, short_rule(office, pool_id=own, **second))
    bare = created(office, short_rule(office))

    assert {key: row[key] for key in second} == second
    assert row["second_copy_pool_ref"] == other
    assert [bare[key] for key in second] == [False, None, None, None]
    assert refused(change(office, row["id"], second_copy_pool=own)) == {"second_copy_pool"}
    assert refused(change(office, row["id"], second_copy_duration=None)) == {"second_copy_duration"}
    assert change(office, row["id"], second_copy_while="").status_code == 200
    assert read(office, row["id"])["second_copy_while"] is None


def test_a_rule_says_how_many_copies_stay(office: Api) -> None:
    """Whole numbers from 0; a rule that does not say so keeps none beyond their time."""
    keeps = {f"keep_{one}": number for number, one in enumerate(("last", "daily", "weekly", "monthly", "yearly"), 3)}
    row, bare = created(office, short_rule(office, **keeps)), created(office, short_rule(office))

    assert {key: row[key] for key in keeps} == keeps
    assert [bare[key] for key in keeps] == [0] * 5
    for key in keeps:
        assert refused(change(office, row["id"], **{key: -1})) == {key}
        assert refused(change(office, row["id"], **{key: "1"})) == {key}


@pytest.mark.parametrize("column", ["pool_id", "move_copy_pool_id", "second_copy_pool_id"])
def test_a_pool_that_a_rule_names_stays(office: Api, rows: Stock, column: str) -> None:
    """Deleting it is a 409 that says why."""
    pool = rows.pool()
    rule = rows.rule(**{column: pool})

    answer = office.delete(f"/pool_list/{pool}")

    assert answer.status_code == 409
    assert f"rule {rule}" in answer.json()["message"]
    office.delete(f"/global_schedule/{rule}")
    assert office.delete(f"/pool_list/{pool}").status_code == 200


def test_a_user_group_that_a_rule_tells_stays(office: Api, rows: Stock) -> None:
    """Deleting it is a 409 that names it."""
    group = rows.user_group()
    rows.rule(notify_end_storage_capacity_group_id=group)

    answer = office.delete(f"/user_groups/{group}")

    assert answer.status_code == 409
    assert rows.named("user_groups", group, "name") in answer.json()["message"]


def test_every_change_of_a_rule_is_an_event_for_its_group(office: Api, rows: Stock) -> None:
    """Making, changing, starting and deleting; a change that says nothing new is none."""
    group = rows.client_group()
    rule = created(office, short_rule(office, client_id=rows.client(group=group)))["id"]
    change(office, rule, priority=7)
    change(office, rule, priority=7)
    statuses(office, (rule, "run"))
    office.delete(f"/global_schedule/{rule}")

    found = office.fetch(
        "SELECT kind, row_id, client_group_id FROM events WHERE family = 'global_schedule' ORDER BY id"
    )

    assert [tuple(row) for row in found] == [
        (kind, rule, group) for kind in ("created", "changed", "changed", "deleted")
    ]


@pytest.mark.parametrize(
    "key",
    [
        "storage_duration",
        "periodic_launch",
        "verify_interval",
        "move_copy_while",
        "second_copy_while",
        "second_copy_duration",
    ],
)
def test_intervals_are_taken_as_the_catalogue_reads_them(office: Api, key: str) -> None:
    """Units that come twice are added up; digits that are not ASCII are refused under the key's own name."""
    refused = office.post("/global_schedule", new_rule(office, **{key: "\u0661 day"}))
    assert refused.status_code == 400
    assert refused.json()["errors"].keys() == {f"data.global_schedule.{key}"}

    made = office.post("/global_schedule", new_rule(office, **{key: "1 days 2 days"}))
    assert made.status_code == 201, made.text
    row = office.get(made.headers["location"].removeprefix("/api/v1")).json()["data"]
    assert row[key] == "3 days"


@pytest.mark.parametrize("path", ["/opt/a\nb", "/opt/\u202egpj.sh"])
def test_paths_of_scripts_hold_nothing_unseen(office: Api, path: str) -> None:
    """What is run on a client's host is what an administrator reads."""
    refused = office.post("/global_schedule", new_rule(office, restore_script=path))

    assert refused.json()["errors"].keys() == {"data.global_schedule.restore_script"}
