"""Storages that clients bring: their two pools and their names."""

from __future__ import annotations

from samples_storage import new_client_storage, pool_of, posted

from support.api import Api
from support.fixtures import Stock

PATH = "/client_defined_storages"


def test_the_guides_body_is_taken_and_read_back(office: Api) -> None:
    """Its empty name, too."""
    body = new_client_storage(office)

    shown = office.get(f"{PATH}/{posted(office, PATH.strip('/'), body)}").json()["data"]

    assert {key: shown[key] for key in body["data"]} == body["data"]
    assert body["data"]["name"] == ""


def test_both_pools_must_be_of_their_type_and_on_one_media_server(office: Api, rows: Stock) -> None:
    """Each wrong one is told under its field."""
    media = rows.media_server()
    own, files, blocks = pool_of(rows, "Client defined", media=media), rows.pool(media=media), pool_of(rows, "Cloud")
    for fields, wrong in (
        ({"pool": files, "metadata_fs_pool": files}, {"data.pool"}),
        ({"pool": own, "metadata_fs_pool": own}, {"data.metadata_fs_pool"}),
        ({"pool": own, "metadata_fs_pool": rows.pool()}, {"data.metadata_fs_pool"}),
        ({"pool": blocks, "metadata_fs_pool": "no such"}, {"data.pool", "data.metadata_fs_pool"}),
    ):
        answer = office.post(PATH, new_client_storage(office, **fields))
        assert (answer.status_code, answer.json()["errors"].keys()) == (400, wrong)
    storage = posted(office, PATH.strip("/"), new_client_storage(office, pool=own, metadata_fs_pool=files))
    answer = office.patch(f"{PATH}/{storage}", {"data": {"metadata_fs_pool": rows.pool(), "name": "x"}})
    assert answer.json()["errors"].keys() == {"data.metadata_fs_pool"}
    assert office.get(f"{PATH}/{storage}").json()["data"]["name"] == ""


def test_a_name_is_unique_within_its_pool(office: Api, rows: Stock) -> None:
    """The empty one as well; another pool may have it, and one's own name can be written again."""
    media = rows.media_server()
    pool, files = pool_of(rows, "Client defined", media=media), rows.pool(media=media)
    names = ("", "one")
    made = [
        posted(office, PATH.strip("/"), new_client_storage(office, pool=pool, metadata_fs_pool=files, name=name))
        for name in names
    ]

    for name in names:
        body = new_client_storage(office, pool=pool, metadata_fs_pool=files, name=name)
        assert office.post(PATH, body).status_code == 409
    assert office.patch(f"{PATH}/{made[0]}", {"data": {"name": "one"}}).status_code == 409
    assert office.patch(f"{PATH}/{made[1]}", {"data": {"name": "one"}}).status_code == 200
    assert office.post(PATH, new_client_storage(office, name="one")).status_code == 201


def test_maintainers_need_both_pools(rows: Stock) -> None:
    """What is on another media server is unknown."""
    caller = rows.maintainer(rows.media_server())

    answer = caller.post(PATH, new_client_storage(rows.api))

    assert answer.json()["errors"] == {"data.pool": "unknown pool.", "data.metadata_fs_pool": "unknown pool."}
