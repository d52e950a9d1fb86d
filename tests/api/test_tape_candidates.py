"""Robots and drives of live media servers, and the numbers by which they are named."""

from __future__ import annotations

from typing import Any

import pytest
from samples_tape import some_media

from rubackup.services.ports import TapeDevice
from support import hosts, tape
from support.api import Api
from support.fixtures import Stock
from support.hosts import DRIVES, NO_ROBOT, ROBOT, SILENT_ROBOT, AnsweringHosts


def found(api: Api, media: str | int, **query: str) -> dict[str, Any]:
    """Candidates of a library."""
    answer = api.get("/tape_libraries/candidates", params={"media_server": media} | query)
    assert answer.status_code == 200, answer.text
    data: dict[str, Any] = answer.json()["data"]
    return data


def serials(devices: list[dict[str, Any]]) -> list[str]:
    """What devices are known by."""
    return [device["serial"] for device in devices]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> list[TapeDevice]:
    """The devices that every media server has; a test may change them."""
    devices = [*DRIVES, ROBOT]

    async def scan(_self: AnsweringHosts, _hwid: str) -> list[TapeDevice]:
        return list(devices)

    monkeypatch.setattr(AnsweringHosts, "scan_tape", scan)
    return devices


def test_automatic_offers_a_robot_with_its_own_drives(office: Api) -> None:
    """The robot is asked which drives are its own; a drive that no robot names is not offered."""
    data = found(office, some_media(office), mode="automatic")

    (robot,) = data["medium_changers"]
    assert (robot["serial"], robot["device"], robot["scsi_path"]) == ("VTL0001", "/dev/sg4", "[8:0:0:3]")
    assert serials(data["tape_drives"]) == ["10WT000001", "10WT000002"]
    assert robot["tape_drives_candidates_ids"] == [drive["id"] for drive in data["tape_drives"]]
    assert data["tape_drives"][0]["tape_device"] == "/dev/nst1"


def test_manual_offers_every_device_and_asks_no_robot(office: Api) -> None:
    """Then the administrator says which drive belongs to which robot."""
    data = found(office, some_media(office), mode="manual")

    assert serials(data["tape_drives"]) == ["10WT000001", "10WT000002", "10WT000003"]
    assert data["medium_changers"][0]["tape_drives_candidates_ids"] == []


def test_what_was_found_makes_a_library(office: Api, rows: Stock) -> None:
    """The numbers that candidates have are those that POST takes; used ones are offered no more."""
    pool = tape.tape_pool(rows)
    media = tape.media_of(rows, "pools", pool)
    data = found(office, media)
    body = {
        "pool": pool, "media_server": media, "medium_changer_candidate_id": data["medium_changers"][0]["id"],
        "tape_drives_candidates_ids": [data["tape_drives"][0]["id"]],
    }  # fmt: skip
    assert office.post("/tape_libraries", {"data": body}).status_code == 201

    left = found(office, media, mode="manual")
    assert (left["medium_changers"], serials(left["tape_drives"])) == ([], ["10WT000002", "10WT000003"])
    query = {"media_server": media, "mode": "automatic", "sg_device_path": "/dev/sg4"}
    more = office.get("/library_tape_drives/candidates", params=query).json()["data"]["items"]
    assert serials(more) == ["10WT000002"]


def test_a_host_without_tape_devices_has_no_candidates(office: Api, machine: list[TapeDevice]) -> None:
    """An empty list, not an error."""
    machine.clear()

    assert found(office, some_media(office)) == {"medium_changers": [], "tape_drives": []}


def test_a_device_keeps_its_number_when_its_node_changes(office: Api, machine: list[TapeDevice]) -> None:
    """Known by its serial number, it is the same behind another node, and after it was away."""
    media = some_media(office)
    before = found(office, media, mode="manual")["medium_changers"][0]
    machine.remove(ROBOT)
    away = found(office, media, mode="manual")["medium_changers"]
    machine.append(
        TapeDevice(
            kind="medium_changer",
            scsi_path="[1:0:0:0]",
            device="/dev/sg7",
            vendor="STK",
            product="L700",
            serial="VTL0001",
        )
    )
    after = found(office, media, mode="manual")["medium_changers"][0]

    assert away == []
    assert (after["id"], after["device"], after["scsi_path"]) == (before["id"], "/dev/sg7", "[1:0:0:0]")


def test_two_paths_to_one_device_are_one_candidate(office: Api, machine: list[TapeDevice]) -> None:
    """The path that was found first is taken."""
    machine[:] = [
        ROBOT,
        TapeDevice(
            kind="medium_changer",
            scsi_path="[9:0:0:3]",
            device="/dev/sg9",
            vendor="STK",
            product="L700",
            serial="VTL0001",
        ),
    ]

    assert [r["device"] for r in found(office, some_media(office), mode="manual")["medium_changers"]] == ["/dev/sg4"]


def test_without_a_serial_number_the_address_counts(office: Api, rows: Stock, machine: list[TapeDevice]) -> None:
    """Such a robot is offered once, and not while a library has it, wherever it was put by hand."""
    machine[:] = [TapeDevice(kind="medium_changer", scsi_path="[1:0:0:0]", device="/dev/sg1")]
    pool = tape.tape_pool(rows)
    media = tape.media_of(rows, "pools", pool)
    assert len(found(office, media, mode="manual")["medium_changers"]) == 1
    library = tape.library(rows, pool=pool)
    changer = rows.row("SELECT id FROM medium_changers WHERE tape_library_id = $1", library)["id"]
    assert office.patch(f"/medium_changers/{changer}", {"data": {"scsi_path": "[1:0:0:0]"}}).status_code == 200

    assert found(office, media, mode="manual")["medium_changers"] == []


def test_a_robot_that_does_not_answer_is_listed_with_the_reason(office: Api, machine: list[TapeDevice]) -> None:
    """The others are offered all the same."""
    machine.append(TapeDevice(kind="medium_changer", scsi_path="[9:0:0:0]", device=SILENT_ROBOT, serial="DEAD"))
    robots = {r["serial"]: r for r in found(office, some_media(office))["medium_changers"]}

    assert robots["VTL0001"]["problem"] == ""
    assert SILENT_ROBOT in robots["DEAD"]["problem"]


def test_a_robot_that_names_no_drive_says_so(office: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """Automatic cannot work then; for the drives of one robot that is a 503 with the way out."""
    plain = [e for e in hosts.elements_of("0" * 64) if not e.identifier]
    plain.append(type(plain[0])(address=256, kind="drive", full=False, accessible=True))
    monkeypatch.setattr(hosts, "elements_of", lambda _hwid: plain)
    media = some_media(office)
    query = {"media_server": media, "sg_device_path": "/dev/sg4"}

    assert "mode=manual" in found(office, media)["medium_changers"][0]["problem"]
    answer = office.get("/library_tape_drives/candidates", params=query)
    assert answer.status_code == 503
    assert "mode=manual" in answer.json()["message"]
    manual = office.get("/library_tape_drives/candidates", params=query | {"mode": "manual"})
    assert len(manual.json()["data"]["items"]) == 3


def test_a_robot_that_is_not_there_names_the_parameter(office: Api) -> None:
    """Its drives cannot be asked for."""
    query = {"media_server": some_media(office), "sg_device_path": "/dev/sg99"}
    answer = office.get("/library_tape_drives/candidates", params=query)

    assert answer.json()["errors"] == {"sg_device_path": "the media server has no robot there."}


@pytest.mark.parametrize(
    ("collection", "query", "named"),
    [
        ("tape_libraries", {}, "media_server"),
        ("tape_libraries", {"media_server": "nowhere"}, "media_server"),
        ("tape_libraries", {"media_server": "nowhere", "mode": "guess"}, "mode"),
        ("tape_libraries", {"media_server": "nowhere", "sg_device_path": "/dev/sg4"}, "sg_device_path"),
        ("library_tape_drives", {"media_server": "nowhere"}, "sg_device_path"),
        ("library_tape_drives", {"media_server": "nowhere", "sg_device_path": "/etc/passwd"}, "sg_device_path"),
    ],
)
def test_wrong_queries_name_the_parameter(office: Api, collection: str, query: dict[str, str], named: str) -> None:
    """What is missing, unknown or not allowed."""
    answer = office.get(f"/{collection}/candidates", params=query)

    assert answer.status_code == 400
    assert named in answer.json()["errors"]


def test_a_media_server_that_is_silent_is_503(office: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """The message names it, and what is known of its devices stays."""
    from rubackup.services.no_hosts import NoHosts

    monkeypatch.setattr(AnsweringHosts, "scan_tape", NoHosts.scan_tape)
    answer = office.get("/tape_libraries/candidates", params={"media_server": some_media(office)})

    assert answer.status_code == 503
    assert "does not answer" in answer.json()["message"]


def test_foreign_media_servers_are_unknown(office: Api, rows: Stock) -> None:
    """A maintainer asks own media servers only."""
    own, foreign = rows.media_server(), rows.media_server()
    maintainer = rows.maintainer(own)

    assert maintainer.get("/tape_libraries/candidates", params={"media_server": own}).status_code == 200
    answer = maintainer.get("/tape_libraries/candidates", params={"media_server": foreign})
    assert answer.json()["errors"] == {"media_server": "unknown media server."}
    body = {"data": {"media_server": foreign, "medium_changer_sg_path": "/dev/sg4"}}
    assert maintainer.post("/tape_libraries/candidates/info", body).status_code == 400


def info(api: Api, media: Any, device: str) -> Any:
    """What a robot says now."""
    body = {"data": {"media_server": media, "medium_changer_sg_path": device}}
    return api.post("/tape_libraries/candidates/info", body)


def test_a_robot_tells_its_elements(office: Api, rows: Stock) -> None:
    """Slots, import/export, drives and pickers, each with its cartridge."""
    media = rows.media_server()
    data = info(office, rows.named("media_servers", media, "hostname"), "/dev/sg4").json()["data"]
    one, two, _ = hosts.tags_of(rows.named("media_servers", media, "hwid"))

    assert data["medium_changer"]["serial"] == "VTL0001"
    assert [len(data[key]) for key in ("slots", "import_export", "tape_drives", "pickers")] == [4, 1, 2, 1]
    assert (data["slots"][1]["element_address"], data["slots"][1]["volume_tag"]) == (1025, two)
    loaded = data["tape_drives"][1]
    assert (loaded["volume_tag"], loaded["source_element"], loaded["is_full"]) == (one, 1024, True)


def test_a_robot_that_is_not_there_is_404_and_a_silent_one_503(office: Api) -> None:
    """With the reason of the media server."""
    for device, status in ((NO_ROBOT, 404), (SILENT_ROBOT, 503)):
        answer = info(office, some_media(office), device)
        assert answer.status_code == status
        assert device in answer.json()["message"]


@pytest.mark.parametrize("device", ["", "/dev/sda", "/dev/sg4/../sda", "sg4", "/dev/sg" + "1" * 300])
def test_only_generic_nodes_can_be_asked(office: Api, device: str) -> None:
    """The field is named."""
    answer = info(office, some_media(office), device)

    assert answer.status_code == 400
    assert answer.json()["errors"].keys() == {"data.medium_changer_sg_path"}
