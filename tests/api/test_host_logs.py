"""Logs of clients and media servers: a line for each thing that happens, for those whom it concerns, not for ever."""

from __future__ import annotations

from typing import Any

from rubackup.services import enrolment, host_log, housekeeping, presence
from support.api import Api
from support.catalogue import SERVER, NumberingSigner
from support.fixtures import Stock

CLIENT, MEDIA = "00000000000000aa", "aa" * 32


def lines(caller: Api, log: str = "clients_log", **where: object) -> list[dict[str, Any]]:
    """The lines of a log, oldest first."""
    text = ",".join(f'{key}="{value}"' for key, value in where.items())
    query = {"sort_by": "id", "limit": 1000} | ({"filter_data": text} if text else {})
    items: list[dict[str, Any]] = caller.get(f"/{log}", params=query).json()["data"]["items"]
    return items


def ask(office: Api, role: str, signer: NumberingSigner | None = None) -> None:
    """A host asks for a certificate."""
    work = enrolment.ask(
        office.database, signer or NumberingSigner(), role=role, hwid=CLIENT if role == "client" else MEDIA, hostname="host",
        address="10.0.0.7", csr_pem=b"csr", fingerprint="f0" * 32, package_version="1", os_type="Linux", os_version="",
    )  # fmt: skip
    office.run(work)


def test_the_life_of_a_client_is_told(office: Api, rows: Stock) -> None:
    """Waiting, authorised, certificates, online, edited, offline, deleted: with the user where there was one."""
    for _ in range(2):
        ask(office, "client")
    waiting = office.get("/unauthorised_clients").json()["data"]["items"][0]["id"]
    office.post("/clients/authorize", {"data": {"clients_ids": [waiting]}})
    signer = NumberingSigner()
    for _ in range(2):
        ask(office, "client", signer)
    office.run(presence.client_online(office.database, CLIENT, SERVER, hostname="renamed", package_version="2.0"))
    client = office.get("/clients").json()["data"]["items"][0]["id"]
    office.patch(f"/clients/{client}", {"data": {"storage_capacity": 10, "description": "", "lrl_flag": True}})
    office.patch(f"/clients/{client}", {"data": {"storage_capacity": 10}})
    office.run(presence.client_offline(office.database, CLIENT, SERVER))
    office.delete(f"/clients/{client}")
    forgotten = office.get("/unauthorised_clients").json()["data"]["items"][0]["id"]
    office.delete(f"/unauthorised_clients/{forgotten}")

    found = lines(office)

    assert [(line["action"], line["user_name"]) for line in found] == [
        ("waiting", ""), ("authorised", "rubackup"), ("certificate", ""), ("certificate", ""), ("online", ""),
        ("edited", "rubackup"), ("offline", ""), ("deleted", "rubackup"), ("forgotten", "rubackup"),
    ]  # fmt: skip
    texts = [line["text"] for line in found]
    assert texts[0] == f"From 10.0.0.7, with the key {'f0' * 32}."
    assert texts[2].startswith("The first one: number 1,")
    assert texts[3].startswith("Renewed: number 2,")
    assert (texts[4], texts[5]) == ("With version 2.0.", "Changed: lrl_flag, storage_capacity.")
    assert {line["hwid"] for line in found} == {CLIENT}
    assert found[5]["client"] == f"renamed ({CLIENT})"
    assert {line["client_ref"] for line in found[1:-1]} == {client}


def test_the_life_of_a_media_server_is_told(office: Api, rows: Stock) -> None:
    """As that of a client; the lines outlive it."""
    ask(office, "media")
    office.post("/media_servers/authorize", {"data": {"hostname": "host"}})
    ask(office, "media")
    office.run(presence.media_online(office.database, MEDIA, SERVER, hostname="host", package_version="2.0"))
    media = office.get("/media_servers").json()["data"]["items"][0]["id"]
    office.patch(f"/media_servers/{media}", {"data": {"local_service_mode": "yes", "description": ""}})
    office.run(presence.reset(office.database, SERVER, hostname="primary", package_version="1"))
    office.delete(f"/media_servers/{media}")

    found = lines(office, "media_servers_log")

    assert [(line["action"], line["text"].partition(":")[0]) for line in found if line["action"] != "waiting"] == [
        ("authorised", f"With the key {'f0' * 32}."), ("certificate", "The first one"),
        ("online", "With version 2.0."), ("edited", "Changed"),
        ("offline", "Server primary starts"), ("deleted", "Its certificates are revoked; it waits for authorisation again."),
    ]  # fmt: skip
    assert office.get(f"/media_servers_log/{found[1]['id']}").json()["data"] == found[1]
    assert found[1]["media_server"] == "host"


def refuse(office: Api, hwid: str, reason: str) -> None:
    """A host is turned away."""
    office.run(host_log.note_refused(office.database, "client", hwid, "host", reason))


def test_a_refused_connection_is_told_once_an_hour(office: Api, rows: Stock) -> None:
    """The line goes to whom the hardware id belonged last, also after its deletion; another reason is another line."""
    group = rows.client_group()
    client = rows.client(group=group)
    hwid = rows.named("clients", client, "hwid")
    office.delete(f"/clients/{client}")
    for reason in ("revoked", "revoked", "unknown", "revoked"):
        refuse(office, hwid, reason)
    office.execute("UPDATE clients_log SET at = at - interval '2 hours'")
    refuse(office, hwid, "revoked")

    found = lines(rows.administrator(group), action="refused")

    assert [line["text"] for line in found] == ["revoked", "unknown", "revoked"]
    assert {line["client_ref"] for line in found} == {client}


def test_administrators_see_the_lines_of_their_groups(office: Api, rows: Stock) -> None:
    """They follow a client to another group, stay with the group when it is deleted, and show nobody who waits."""
    first, second = rows.client_group(), rows.client_group()
    client = rows.client(group=first)
    ask(office, "client")
    office.patch(f"/clients/{client}", {"data": {"description": "x"}})
    old, new = rows.administrator(first), rows.administrator(second)
    before = [len(lines(old)), len(lines(new))]

    office.patch(f"/clients/{client}", {"data": {"group_id": second}})
    office.delete(f"/clients/{client}")

    assert before == [1, 0]
    assert lines(old) == []
    assert [line["action"] for line in lines(new)] == ["edited", "edited", "deleted"]
    assert "waiting" in {line["action"] for line in lines(office)}


def test_maintainers_see_the_lines_of_their_servers(office: Api, rows: Stock) -> None:
    """Administrators see all of them, as they see all storage."""
    own, other = rows.media_server(), rows.media_server()
    for media in (own, other):
        office.patch(f"/media_servers/{media}", {"data": {"description": "y"}})

    assert [line["media_server_ref"] for line in lines(rows.maintainer(own), "media_servers_log")] == [own]
    assert len(lines(rows.administrator(rows.client_group()), "media_servers_log")) == 2
    assert rows.maintainer(own).get("/clients_log").status_code == 403


def test_lines_leave_after_their_time(office: Api, rows: Stock) -> None:
    """Housekeeping removes what is older than the period that the manual tells."""
    client = rows.client()
    for description in ("a", "b"):
        office.patch(f"/clients/{client}", {"data": {"description": description}})
        office.execute(
            "UPDATE clients_log SET at = at - make_interval(days => $1) WHERE text <> '' AND at > now() - interval '1 h'",
            host_log.KEPT_DAYS - 1 if description == "b" else host_log.KEPT_DAYS + 1,
        )
    office.run(housekeeping.run(office.database))

    assert len(lines(office)) == 1
