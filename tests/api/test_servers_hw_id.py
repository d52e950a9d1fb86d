"""Servers by hardware id: licence, whether they run, and the client on the same host."""

from __future__ import annotations

from typing import Any

from support.api import Api
from support.fixtures import Stock


def servers(caller: Api) -> dict[str, dict[str, Any]]:
    """Every row by its hardware id."""
    items = caller.get("/servers_hw_id_tmp").json()["data"]["items"]
    found = {row["hwid"]: row for row in items}
    assert len(found) == len(items)
    return found


def add_server(office: Api, number: int, seen: str) -> str:
    """A primary server that was seen so long ago."""
    hwid = f"{number:064x}"
    office.execute(
        """INSERT INTO servers (hwid, hostname, package_version, seen_at)
           VALUES ($1, 'primary', '1', now() - $2::text::interval)""",
        hwid, seen,
    )  # fmt: skip
    return hwid


def test_a_media_server_is_found_with_its_client(office: Api, rows: Stock) -> None:
    """The client of the same host name, the one that is online where there are several; with the free licence."""
    media = rows.media_server()
    name = rows.named("media_servers", media, "hostname")
    older, newer = rows.client(hostname=name.upper()), rows.client(hostname=name)
    office.execute("UPDATE client_presence SET online = false WHERE client_id = $1", newer)

    row = servers(office)[rows.named("media_servers", media, "hwid")]

    assert (row["client"], row["client_ref"]) == (rows.label(older), older)
    assert (row["server_type"], row["media_server_ref"], row["online"]) == ("media server", media, True)
    assert (row["license_type"], row["license_capacity"], row["license_valid_until"]) == ("Free", None, None)
    assert office.get(f"/servers_hw_id_tmp/{row['id']}").json()["data"] == row


def test_primary_servers_stand_there_too(office: Api) -> None:
    """They are online while they have been seen within a minute."""
    here, gone = add_server(office, 1, "5 s"), add_server(office, 2, "5 min")

    found = servers(office)

    assert {hwid: row["online"] for hwid, row in found.items()} == {here: True, gone: False}
    assert found[here]["server_type"] == "server"
    assert {row["client"] for row in found.values()} == {None}


def test_the_client_is_shown_to_those_who_may_see_it(office: Api, rows: Stock) -> None:
    """An administrator of another group and a maintainer see the server without its client."""
    media, group = rows.media_server(), rows.client_group()
    hwid = rows.named("media_servers", media, "hwid")
    client = rows.client(hostname=rows.named("media_servers", media, "hostname"), group=group)
    add_server(office, 1, "5 s")

    own, foreign = rows.administrator(group), rows.administrator(rows.client_group())
    keeper = rows.maintainer(media)

    assert servers(own)[hwid]["client_ref"] == client
    assert servers(foreign)[hwid]["client_ref"] is None
    assert {key: row["client"] for key, row in servers(keeper).items()} == {hwid: None}
    assert servers(rows.maintainer(rows.media_server())).keys() & {hwid} == set()
