"""Tape libraries: made of devices that were found, synchronised with what the robot says, shown as a tree."""

from __future__ import annotations

from typing import Any

import pytest
from samples_tape import new_library

from support import tape
from support.api import Api
from support.fixtures import Stock
from support.hosts import NO_ROBOT, SILENT_ROBOT, AnsweringHosts, tags_of


def made(api: Api, body: dict[str, Any]) -> dict[str, Any]:
    """The new library as it is read."""
    answer = api.post("/tape_libraries", body)
    assert answer.status_code == 201, answer.text
    row: dict[str, Any] = api.get(answer.headers["location"].removeprefix("/api/v1")).json()["data"]
    return row


def listed(api: Api, family: str, library: int) -> list[dict[str, Any]]:
    """Slots or drives of a library."""
    key = "library_id" if family == "library_slots" else "tape_library_id"
    answer = api.get(f"/{family}", params={"filter_data": f'{key}="{library}"', "limit": 1000})
    items: list[dict[str, Any]] = answer.json()["data"]["items"]
    return items


def registered(rows: Stock, library: int) -> list[str]:
    """Register the cartridges that the robot of the library's media server holds."""
    row = rows.row(
        "SELECT l.pool_id, m.hwid FROM tape_libraries l JOIN media_servers m ON m.id = l.media_server_id WHERE l.id = $1",
        library,
    )
    tags = tags_of(row["hwid"])
    for tag in tags:
        tape.cartridge(rows, pool=row["pool_id"], tag=tag)
    return tags


def at(rows: Stock, **fields: Any) -> dict[str, Any]:
    """A body for devices whose robot is at a node, with the drives that the robot knows."""
    pool = tape.tape_pool(rows)
    media = tape.media_of(rows, "pools", pool)
    robot = tape.candidate(rows, media, "medium_changer", **fields)
    drives = [tape.candidate(rows, media, serial=f"10WT00000{number}") for number in (2, 1)]
    return {
        "data": {
            "pool": pool, "media_server": media, "medium_changer_candidate_id": robot,
            "tape_drives_candidates_ids": drives,
        }
    }  # fmt: skip


def test_a_new_library_has_what_its_robot_says(office: Api, rows: Stock) -> None:
    """Slots are filled, drives know their element and what is in them; registration is not asked for yet."""
    body = at(rows)
    library = made(office, body)

    slots = {s["element_address"]: s for s in listed(office, "library_slots", library["id"])}
    one, two, three = tags_of(rows.named("media_servers", library["media_server_ref"], "hwid"))
    assert {a: (s["slot_type"], s["is_full"], s["volume_tag"]) for a, s in slots.items()} == {
        16: ("import_export", False, ""), 1024: ("slot", False, ""), 1025: ("slot", True, two),
        1026: ("slot", True, three), 1027: ("slot", True, "CLN001L1"),
    }  # fmt: skip
    drives = listed(office, "library_tape_drives", library["id"])
    shown = [
        (d["serial"], d["sys_transfer_element"], d["volume_tag"], d["source_element"], d["problem"]) for d in drives
    ]
    assert shown == [("10WT000002", 257, one, 1024, ""), ("10WT000001", 256, "", None, "")]
    assert (library["slots"], library["full_slots"], library["tape_drives"]) == (5, 3, 2)
    assert library["medium_changer_candidate_id"] == body["data"]["medium_changer_candidate_id"]
    assert library["tape_drives_candidates_ids"] == body["data"]["tape_drives_candidates_ids"]


def test_a_drive_that_the_robot_does_not_name_says_what_to_do(office: Api) -> None:
    """Its element stays unknown until it is set."""
    (drive,) = listed(office, "library_tape_drives", made(office, new_library(office))["id"])

    assert drive["sys_transfer_element"] is None
    assert "set sys_transfer_element" in drive["problem"]


@pytest.mark.parametrize("device", [NO_ROBOT, SILENT_ROBOT])
def test_a_robot_that_does_not_tell_makes_no_library(office: Api, rows: Stock, device: str) -> None:
    """503 with its reason, and nothing is stored."""
    answer = office.post("/tape_libraries", at(rows, device=device))

    assert answer.status_code == 503
    assert device in answer.json()["message"]
    for family in ("tape_libraries", "medium_changers", "library_tape_drives", "library_slots"):
        assert office.get(f"/{family}").json()["data"]["total"] == 0


def test_every_wrong_field_of_a_library_is_told(office: Api, rows: Stock) -> None:
    """Unknown pool and candidates; a drive named twice; a robot where a drive is meant."""
    media = rows.media_server()
    robot, drive = tape.candidate(rows, media, "medium_changer"), tape.candidate(rows, media)
    body = {
        "pool": "nowhere", "media_server": media, "medium_changer_candidate_id": drive,
        "tape_drives_candidates_ids": [drive, robot, 2**40],
    }  # fmt: skip
    errors = office.post("/tape_libraries", {"data": body}).json()["errors"]

    assert errors == {
        "data.pool": "unknown pool.",
        "data.medium_changer_candidate_id": "must be a robot, this is a tape drive.",
        "data.tape_drives_candidates_ids.0": "is named twice.",
        "data.tape_drives_candidates_ids.1": "must be a tape drive, this is a robot.",
        "data.tape_drives_candidates_ids.2": "unknown candidate; GET /tape_libraries/candidates lists them.",
    }


def test_the_pool_must_be_a_tape_pool_of_the_media_server(office: Api, rows: Stock) -> None:
    """Another type and another media server's pool are told under data.pool."""
    for pool, word in ((rows.pool(), "type Tape library"), (tape.tape_pool(rows), "same media server")):
        body = at(rows)
        body["data"]["pool"] = pool if word != "type Tape library" else rows.pool(media=body["data"]["media_server"])
        answer = office.post("/tape_libraries", body)
        assert answer.status_code == 400
        assert word in answer.json()["errors"]["data.pool"]


def test_devices_of_another_media_server_are_unknown(office: Api, rows: Stock) -> None:
    """Candidates count for the media server that has them."""
    body = at(rows)
    other = tape.candidate(rows, rows.media_server(), "medium_changer")
    body["data"]["medium_changer_candidate_id"] = other

    assert "unknown candidate" in str(office.post("/tape_libraries", body).json()["errors"])


def test_a_device_belongs_to_one_library(office: Api, rows: Stock) -> None:
    """Using its candidate again is 409; so is one that the last scan did not find."""
    body = at(rows)
    library = made(office, body)["id"]
    again = office.post("/tape_libraries", body)
    gone = office.post("/tape_libraries", at(rows, present=False))

    assert (again.status_code, gone.status_code) == (409, 409)
    assert f"belongs to the tape library {library} already" in again.json()["message"]
    assert "not found at the last scan" in gone.json()["message"]


def test_synchronising_names_cartridges_that_are_not_registered(office: Api, rows: Stock) -> None:
    """422 in the envelope; nothing is stored, and a cleaning cartridge needs no registration."""
    library = made(office, at(rows))["id"]
    tags = registered(rows, library)
    office.execute("DELETE FROM tape_cartridges WHERE volume_tag = ANY ($1)", tags[1:])
    office.execute("UPDATE library_slots SET is_full = false, volume_tag = '' WHERE tape_library_id = $1", library)
    answer = office.post(f"/tape_libraries/{library}/sync")

    assert answer.status_code == 422
    assert f"{tags[1]} in element 1025, {tags[2]} in element 1026." in answer.json()["message"]
    assert "CLN" not in answer.json()["message"]
    assert not any(slot["is_full"] for slot in listed(office, "library_slots", library))


def test_synchronising_stores_what_the_robot_says_now(office: Api, rows: Stock) -> None:
    """Slots that are gone go, new ones come, others keep their ids; cartridges know where they lie."""
    library = made(office, at(rows))["id"]
    tags = registered(rows, library)
    before = {s["element_address"]: s["id"] for s in listed(office, "library_slots", library)}
    office.execute("DELETE FROM library_slots WHERE id = $1", before[1024])
    tape.slot(rows, library, tag="GONE", element_address=9)

    answer = office.post(f"/tape_libraries/{library}/sync")

    assert answer.json()["message"] == f"Tape library {library} was synchronised: 3 of 5 slots are full."
    after = {s["element_address"]: s for s in listed(office, "library_slots", library)}
    assert after.keys() == before.keys()
    assert after[1025]["id"] == before[1025]
    found = {c["volume_tag"]: c for c in office.get("/tape_cartridges").json()["data"]["items"]}
    assert after[1025]["tape_cartridge"] == found[tags[1]]["id"]
    assert (found[tags[1]]["tape_library"], found[tags[1]]["slot"]) == (library, before[1025])
    (loaded,) = [d for d in listed(office, "library_tape_drives", library) if d["is_full"]]
    assert (found[tags[0]]["tape_drive"], found[tags[0]]["slot"], found[tags[0]]["element_address"]) == (
        loaded["id"], None, 257,
    )  # fmt: skip


def test_registered_for_another_media_server_is_not_registered(office: Api, rows: Stock) -> None:
    """A cartridge belongs to a pool, and so to a media server."""
    library = made(office, at(rows))["id"]
    tags = registered(rows, library)
    office.execute("UPDATE tape_cartridges SET pool_id = $1 WHERE volume_tag = $2", tape.tape_pool(rows), tags[2])

    assert tags[2] in office.post(f"/tape_libraries/{library}/sync").json()["message"]
    slot = next(s for s in listed(office, "library_slots", library) if s["volume_tag"] == tags[2])
    assert slot["tape_cartridge"] is None


def test_an_element_that_the_robot_does_not_have_is_told(office: Api, rows: Stock) -> None:
    """A sys_transfer_element that was set wrongly shows as the drive's problem after synchronising."""
    library = made(office, at(rows))["id"]
    registered(rows, library)
    drive = listed(office, "library_tape_drives", library)[0]["id"]
    office.patch(f"/library_tape_drives/{drive}", {"data": {"sys_transfer_element": 3}})
    office.post(f"/tape_libraries/{library}/sync")

    assert (
        office.get(f"/library_tape_drives/{drive}").json()["data"]["problem"] == "The robot has no drive at element 3."
    )


def test_the_robot_is_looked_for_where_it_was_put(office: Api, rows: Stock) -> None:
    """A changed device is the one that is asked: the answer of that device is the refusal."""
    library = made(office, at(rows))
    registered(rows, library["id"])
    changer = library["medium_changer"]
    for device, status in ((SILENT_ROBOT, 503), (NO_ROBOT, 503), ("/dev/sg4", 200)):
        assert office.patch(f"/medium_changers/{changer}", {"data": {"device": device}}).status_code == 200
        assert office.post(f"/tape_libraries/{library['id']}/sync").status_code == status


def test_the_robot_must_be_the_one_that_was_added(office: Api, rows: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is asked under its address and serial number; at a new place it is learned anew, and is then known."""
    asked: list[tuple[str, ...]] = []
    answer = AnsweringHosts.tape_elements

    async def noting(self: AnsweringHosts, hwid: str, device: str, scsi_path: str = "", serial: str = "") -> Any:
        asked.append((device, scsi_path, serial))
        return await answer(self, hwid, device, scsi_path, serial)

    monkeypatch.setattr(AnsweringHosts, "tape_elements", noting)
    library = made(office, at(rows, device="/dev/sg4", scsi_path="[8:0:0:3]", serial="OLD"))
    registered(rows, library["id"])
    where = f"/medium_changers/{library['medium_changer']}"
    office.patch(where, {"data": {"device": "/dev/sg4"}})  # no change
    assert office.get(where).json()["data"]["serial"] == "OLD"
    office.patch(where, {"data": {"device": "/dev/sg7"}})
    for _ in range(2):
        assert office.post(f"/tape_libraries/{library['id']}/sync").status_code == 200

    assert asked == [
        ("/dev/sg4", "[8:0:0:3]", "OLD"), ("/dev/sg7", "[8:0:0:3]", ""), ("/dev/sg7", "[8:0:0:3]", "VTL0001"),
    ]  # fmt: skip
    row = office.get(where).json()["data"]
    assert (row["serial"], row["product"]) == ("VTL0001", "L700")
    query = {"media_server": library["media_server"], "mode": "manual"}
    assert office.get("/tape_libraries/candidates", params=query).json()["data"]["medium_changers"] == []


def test_deleting_a_library_frees_its_devices(office: Api, rows: Stock) -> None:
    """Robot, drives and slots go with it, cartridges stay; the same devices make another one."""
    body = at(rows)
    library = made(office, body)["id"]
    tags = registered(rows, library)

    assert office.delete(f"/tape_libraries/{library}").status_code == 200
    for family in ("medium_changers", "library_tape_drives", "library_slots"):
        assert office.get(f"/{family}").json()["data"]["total"] == 0
    assert office.get("/tape_cartridges").json()["data"]["total"] == len(tags)
    assert made(office, body)["id"] != library


def test_a_library_whose_pool_holds_copies_stays(office: Api, rows: Stock) -> None:
    """409 names it; in bulk the others stay too."""
    pool = tape.tape_pool(rows)
    kept, other = tape.library(rows, pool=pool), tape.library(rows)
    rows.record(pool=pool)

    assert office.delete(f"/tape_libraries/{kept}").status_code == 409
    answer = office.delete("/tape_libraries", {"ids": [other, kept]})
    assert answer.status_code == 409
    assert str(kept) in answer.json()["message"]
    assert office.get(f"/tape_libraries/{other}").status_code == 200


def test_a_maintainer_makes_libraries_on_own_media_servers_only(office: Api, rows: Stock) -> None:
    """Another media server is unknown, its library is not there to be synchronised."""
    own, foreign = at(rows), at(rows)
    maintainer = rows.maintainer(own["data"]["media_server"])
    other = made(office, foreign)["id"]

    assert maintainer.post("/tape_libraries", own).status_code == 201
    refused = maintainer.post("/tape_libraries", at(rows))
    assert refused.status_code == 400
    assert refused.json()["errors"]["data.media_server"] == "unknown media server."
    assert maintainer.post(f"/tape_libraries/{other}/sync").status_code == 404
    assert maintainer.delete("/tape_libraries", {"ids": [other]}).status_code == 404


def test_an_administrator_of_clients_sees_and_does_not_change(office: Api, rows: Stock) -> None:
    """Administrators choose pools for their copies, so they see all storage."""
    library = tape.library(rows)
    administrator = rows.administrator(rows.client_group())

    assert administrator.get(f"/tape_libraries/{library}").status_code == 200
    assert administrator.post(f"/tape_libraries/{library}/sync").status_code == 403


def tree(api: Api, **page: int) -> dict[str, Any]:
    """The tree."""
    answer = api.post("/tape_libraries/tree", {"data": {"pools": page}})
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def test_the_tree_shows_tape_pools_with_and_without_library(office: Api, rows: Stock) -> None:
    """Libraries with robot and drives, never with slots; pools of other types are not there."""
    empty, full = tape.tape_pool(rows), tape.tape_pool(rows)
    rows.pool()
    library = tape.library(rows, pool=full)
    drives = [tape.drive(rows, library) for _ in range(2)]
    tape.slot(rows, library, tag="RB10001L9")
    data = tree(office)

    nodes = {pool["id"]: pool["tape_libraries"] for pool in data["pools"]}
    assert nodes.keys() == {empty, full}
    assert nodes[empty] == []
    (node,) = nodes[full]
    assert (node["id"], node["slots"], [d["id"] for d in node["tape_drives"]]) == (library, [], drives)
    changer = office.get("/medium_changers").json()["data"]["items"][0]
    assert node["medium_changer"] == {key: changer[key] for key in node["medium_changer"]}


def test_the_tree_is_paged_by_pools(office: Api, rows: Stock) -> None:
    """Each pool is on one page, by name; limit and page are checked."""
    pools = [tape.tape_pool(rows) for _ in range(3)]
    pages = [tree(office, limit=2, page=page) for page in (1, 2)]

    assert sorted(p["id"] for page in pages for p in page["pools"]) == sorted(pools)
    assert [(len(p["pools"]), p["pools_total"], p["pools_page"], p["pools_limit"]) for p in pages] == [
        (2, 3, 1, 2), (1, 3, 2, 2),
    ]  # fmt: skip
    wrong = office.post("/tape_libraries/tree", {"data": {"pools": {"limit": 0, "page": 0}}})
    assert wrong.json()["errors"].keys() == {"data.pools.limit", "data.pools.page"}


def test_a_maintainers_tree_has_own_pools(office: Api, rows: Stock) -> None:
    """Pools of other media servers are not there."""
    own = tape.tape_pool(rows)
    tape.library(rows)

    assert [p["id"] for p in tree(rows.maintainer(tape.media_of(rows, "pools", own)))["pools"]] == [own]


def test_the_tree_costs_two_queries(office: Api, rows: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    """However many libraries and drives there are."""
    from rubackup.services import tape_tree
    from rubackup.services.change import Change

    for _ in range(3):
        tape.drive(rows, tape.library(rows))
    asked: list[str] = []

    class Counting:
        def __init__(self, db: Any) -> None:
            self.db = db

        async def fetch(self, query: str, *values: Any) -> Any:
            asked.append(query)
            return await self.db.fetch(query, *values)

    whole = tape_tree.tree

    async def counted(change: Change, wanted: tape_tree.TapeTreeQuery) -> tape_tree.TapeTree:
        return await whole(Change(Counting(change.db), change.principal, change.hosts), wanted)

    monkeypatch.setattr(tape_tree, "tree", counted)
    assert len(tree(office)["pools"]) == 3
    assert len(asked) == 2
