"""Limits of a client's bandwidth: the guide's bodies, windows, what must fit together, whose they are."""

from __future__ import annotations

import pytest
from samples_hosts import new_bandwidth

from support.api import Api
from support.fixtures import Stock


def made(office: Api, **fields: object) -> int:
    """A new limit."""
    answer = office.post("/client_bandwidth", new_bandwidth(office, **fields))
    assert answer.status_code == 201, answer.text
    return int(answer.headers["location"].rpartition("/")[2])


def test_the_guides_bodies_succeed(office: Api, rows: Stock) -> None:
    """POST, then PATCH with the id and the hardware id that only PATCH has."""
    client = rows.client(hostname="rubackup-client", hwid="525a99154f3505a2")
    body = new_bandwidth(office, client="rubackup-client (525a99154f3505a2)")
    answer = office.post("/client_bandwidth", body)
    path = answer.headers["location"].removeprefix("/api/v1")
    row = office.get(path).json()["data"]

    changed = office.patch(path, {"data": body["data"] | {"id": row["id"], "client_hwid": "525a99154f3505a2"}})

    assert (answer.status_code, changed.status_code) == (201, 200)
    assert row == {
        "id": row["id"], "client": "rubackup-client (525a99154f3505a2)", "client_ref": client,
        "client_hwid": "525a99154f3505a2", "backup_bandwidth": 0, "restore_bandwidth": 0,
        "window_start": "14:33:31", "window_end": "14:33:31",
    }  # fmt: skip


def test_what_is_left_out_limits_nothing_all_day(office: Api, rows: Stock) -> None:
    """Only the client is needed; bandwidths are in KiB per second and 0 is no limit."""
    client = rows.client()
    answer = office.post("/client_bandwidth", {"data": {"client": client}})
    row = office.get(answer.headers["location"].removeprefix("/api/v1")).json()["data"]

    assert (row["backup_bandwidth"], row["restore_bandwidth"]) == (0, 0)
    assert (row["window_start"], row["window_end"]) == ("00:00:00", "00:00:00")


def test_windows_may_overlap_and_span_midnight(office: Api, rows: Stock) -> None:
    """Several limits of one client are all kept: which holds is the global configuration's matter."""
    client = rows.label(rows.client())
    for start, end in (("22:00:00", "06:00:00"), ("23:00:00", "01:00:00"), ("23:00:00", "01:00:00")):
        made(office, client=client, window_start=start, window_end=end, backup_bandwidth=1)

    items = office.get("/client_bandwidth", params={"filter_data": f'client="{client}"'}).json()["data"]["items"]
    assert [row["window_start"] for row in items] == ["22:00:00", "23:00:00", "23:00:00"]


@pytest.mark.parametrize(
    ("wrong", "fields"),
    [
        ({"client": "nobody (0000000000000000)"}, {"data.client"}), ({"client": "no label"}, {"data.client"}),
        ({"backup_bandwidth": -1, "restore_bandwidth": 2**41}, {"data.backup_bandwidth", "data.restore_bandwidth"}),
        ({"window_start": "24:00:00", "window_end": "noon"}, {"data.window_start", "data.window_end"}),
        ({"window_start": "14:33"}, {"data.window_start"}), ({"backup_bandwidth": "1"}, {"data.backup_bandwidth"}),
    ],
)  # fmt: skip
def test_wrong_fields_are_named_together(office: Api, wrong: dict[str, object], fields: set[str]) -> None:
    """And nothing is made."""
    answer = office.post("/client_bandwidth", new_bandwidth(office, **wrong))

    assert answer.status_code == 400
    assert answer.json()["errors"].keys() == fields
    assert office.get("/client_bandwidth").json()["data"]["total"] == 0


def test_a_change_repeats_its_id_and_client_or_is_refused(office: Api, rows: Stock) -> None:
    """`id` is that of the path, `client_hwid` that of the client after the change."""
    limit, client = made(office), rows.client()
    row = office.get(f"/client_bandwidth/{limit}").json()["data"]
    label, hwid = rows.label(client), rows.named("clients", client, "hwid")

    def patch(**fields: object) -> dict[str, str]:
        answer = office.patch(f"/client_bandwidth/{limit}", {"data": fields})
        found: dict[str, str] = answer.json()["errors"]
        return found

    assert patch(id=limit + 1).keys() == {"data.id"}
    assert patch(client_hwid=hwid).keys() == {"data.client_hwid"}
    assert patch(client_hwid="x").keys() == {"data.client_hwid"}
    assert patch(client=label, client_hwid=row["client_hwid"]).keys() == {"data.client_hwid"}
    assert patch(id=limit, client_hwid=row["client_hwid"].upper(), backup_bandwidth=7) == {}
    assert patch(client=label, client_hwid=hwid) == {}
    assert office.get(f"/client_bandwidth/{limit}").json()["data"]["client"] == label


def test_clients_of_other_groups_are_unknown(office: Api, rows: Stock) -> None:
    """An administrator limits the own clients, and cannot move a limit to another group's."""
    group = rows.client_group()
    own, other = rows.label(rows.client(group=group)), rows.label(rows.client())
    boss = rows.administrator(group)

    assert boss.post("/client_bandwidth", new_bandwidth(office, client=own)).status_code == 201
    refused = boss.post("/client_bandwidth", new_bandwidth(office, client=other))
    limit = boss.get("/client_bandwidth").json()["data"]["items"][0]["id"]
    moved = boss.patch(f"/client_bandwidth/{limit}", {"data": {"client": other}})

    assert refused.json()["errors"] == moved.json()["errors"] == {"data.client": "unknown client."}


def test_limits_go_with_their_client(office: Api, rows: Stock) -> None:
    """Deleting a client deletes them."""
    client = rows.client()
    made(office, client=client)

    assert office.delete(f"/clients/{client}").status_code == 200
    assert office.get("/client_bandwidth").json()["data"]["total"] == 0
