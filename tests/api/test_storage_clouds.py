"""Buckets of pools: places that do not overlap, and a secret that only the media server can read."""

from __future__ import annotations

import json
import logging

import pytest
from samples_storage import keyed_media, new_cloud, pool_of, posted

from rubackup.domain.errors import Invalid
from rubackup.domain.sealing import CLOUD_SECRET, unseal
from rubackup.wire import pki
from support.api import Api
from support.fixtures import Stock

SECRET = "wJalrXUtnFEMI-the-secret"


def opened(rows: Stock, cloud: int, key: bytes) -> str:
    """The secret as the holder of the key reads it."""
    row = rows.row(
        "SELECT s.secret_sealed, p.uuid FROM storage_clouds s JOIN pools p ON p.id = s.pool_id WHERE s.id = $1", cloud
    )
    return unseal(key, row["secret_sealed"], CLOUD_SECRET + row["uuid"].hex.encode()).decode()


def cloud_of(rows: Stock, key: bytes) -> tuple[int, int]:
    """A cloud storage of a media server with this key, and that media server."""
    media = keyed_media(rows, key)
    body = new_cloud(rows.api, pool=pool_of(rows, "Cloud", media=media), secret_key=SECRET)
    return posted(rows.api, "storage_clouds", body), media


def test_the_secret_is_for_the_owning_media_server_alone(rows: Stock) -> None:
    """Its private key opens it, that of another one does not."""
    key = pki.new_key_pem()
    cloud, _ = cloud_of(rows, key)

    assert opened(rows, cloud, key) == SECRET
    with pytest.raises(Invalid):
        opened(rows, cloud, pki.new_key_pem())


def test_a_changed_secret_replaces_the_old_one_and_nothing_else_does(office: Api, rows: Stock) -> None:
    """Other changes leave it."""
    key = pki.new_key_pem()
    cloud, _ = cloud_of(rows, key)

    assert office.patch(f"/storage_clouds/{cloud}", {"data": {"access_key": "AK2"}}).status_code == 200
    assert opened(rows, cloud, key) == SECRET
    assert office.patch(f"/storage_clouds/{cloud}", {"data": {"secret_key": "new"}}).status_code == 200
    assert opened(rows, cloud, key) == "new"


def test_the_secret_is_written_nowhere(office: Api, rows: Stock, caplog: pytest.LogCaptureFixture) -> None:
    """Not in an answer, the audit, the events, a stored answer, the catalogue's row or a log, right calls and wrong."""
    caplog.set_level(logging.DEBUG)
    cloud, _ = cloud_of(rows, pki.new_key_pem())
    answers = [
        office.get(f"/storage_clouds/{cloud}"),
        office.get("/storage_clouds"),
        office.patch(f"/storage_clouds/{cloud}", {"data": {"secret_key": SECRET}}, headers={"Idempotency-Key": "k"}),
        office.patch(f"/storage_clouds/{cloud}", {"data": {"secret_key": SECRET, "bucket": "NO"}}),
        office.post("/storage_clouds", new_cloud(office, secret_key=SECRET, pool="no such")),
        office.post("/storage_clouds", new_cloud(office, secret_key=SECRET), headers={"Idempotency-Key": "l"}),
        office.get("/media_servers/tree"),
    ]
    tables = ("audit", "events", "idempotency_keys", "storage_clouds")
    stored = [str(dict(row)) for table in tables for row in office.fetch(f"SELECT * FROM {table}")]

    assert "secret" not in json.loads(answers[0].content)["data"]
    assert not any(SECRET in text for text in [*(a.text for a in answers), *stored, caplog.text])


def test_a_media_server_with_another_key_asks_for_the_secret_again(office: Api, rows: Stock) -> None:
    """The row says so until the secret is given."""
    key = pki.new_key_pem()
    cloud, media = cloud_of(rows, pki.new_key_pem())
    assert "not reported yet" in office.get(f"/storage_clouds/{cloud}").json()["data"]["problem"]
    csr = pki.make_csr(key, "media")
    office.execute(
        "UPDATE media_servers SET csr_pem = $2, fingerprint = $3 WHERE id = $1", media, csr, pki.csr_fingerprint(csr)
    )

    assert "give secret_key again" in office.get(f"/storage_clouds/{cloud}").json()["data"]["problem"]
    assert office.patch(f"/storage_clouds/{cloud}", {"data": {"secret_key": SECRET}}).status_code == 200
    assert "not reported yet" in office.get(f"/storage_clouds/{cloud}").json()["data"]["problem"]
    assert opened(rows, cloud, key) == SECRET


def test_a_media_server_without_a_usable_key_gets_no_secret(office: Api, rows: Stock) -> None:
    """409 that names it; nothing is stored."""
    pool = pool_of(rows, "Cloud", media=rows.media_server())

    answer = office.post("/storage_clouds", new_cloud(office, pool=pool))

    assert answer.status_code == 409
    assert "has no usable key" in answer.json()["message"]
    assert office.get("/storage_clouds").json()["data"]["total"] == 0


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("endpoint", ["", "s3.example.org", "ftp://s3", "https://user:secret@s3", "https://s3/path", "https://s3?x=1",
                      "https://S3.example.org", "https://s3:99999", "https://"]),
        ("bucket", ["", "ab", "Backups", "-backups", "back_ups", "a" * 64]),
        ("prefix", ["/a", "a/", "a//b", "../a", "a/../b", "a\nb", "a b", "é"]),
        ("ca_file", ["ca.pem", "/etc/../ca.pem", "/etc/ca.pem/"]),
        ("object_lock", ["yes", "", None]),
        ("secret_key", ["", None]),
        ("access_key", [""]),
        ("name", [""]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(office: Api, field: str, wrong: list[object]) -> None:
    """In a new row and in a change."""
    cloud = posted(office, "storage_clouds", new_cloud(office))
    for value in wrong:
        answers = (
            office.post("/storage_clouds", new_cloud(office, **{field: value})),
            office.patch(f"/storage_clouds/{cloud}", {"data": {field: value}}),
        )
        for answer in answers:
            assert (answer.status_code, answer.json()["errors"].keys()) == (400, {f"data.{field}"}), value


def test_the_media_server_tries_a_bucket_and_what_it_found_is_shown(office: Api) -> None:
    """Facts and notes; a change of the way there makes it look again, one of the name does not."""
    cloud = posted(office, "storage_clouds", new_cloud(office))
    shown = office.get(f"/storage_clouds/{cloud}").json()["data"]

    assert (shown["notes"], shown["conditional_writes"], shown["conditional_parts"]) == (
        "It keeps old versions.",
        True,
        False,
    )
    assert (shown["versioning"], shown["lockable"], shown["clock_ahead_seconds"]) == (True, True, 0.5)
    office.patch(f"/storage_clouds/{cloud}", {"data": {"name": "other name"}})
    assert office.get(f"/storage_clouds/{cloud}").json()["data"]["probed_at"] == shown["probed_at"]
    office.patch(f"/storage_clouds/{cloud}", {"data": {"region": "other"}})
    assert office.get(f"/storage_clouds/{cloud}").json()["data"]["probed_at"] != shown["probed_at"]


def test_what_the_probe_refuses_is_told_under_the_field_and_nothing_is_kept(office: Api) -> None:
    """In a new row and in a change; what another pool has there is a conflict."""
    cloud = posted(office, "storage_clouds", new_cloud(office))
    for fields, field in (
        ({"bucket": "missing"}, "bucket"),
        ({"bucket": "plain", "object_lock": "governance"}, "object_lock"),
    ):
        new = office.post("/storage_clouds", new_cloud(office, **fields))
        changed = office.patch(f"/storage_clouds/{cloud}", {"data": fields})
        for answer in (new, changed):
            assert (answer.status_code, answer.json()["errors"].keys()) == (400, {f"data.{field}"})
    foreign = office.post("/storage_clouds", new_cloud(office, bucket="foreign"))
    silent = office.post("/storage_clouds", new_cloud(office, bucket="silent"))

    assert (silent.status_code, "did not answer" in silent.json()["message"]) == (503, True)
    assert (foreign.status_code, "Another pool" in foreign.json()["message"]) == (409, True)
    assert office.get("/storage_clouds").json()["data"]["total"] == 1
    assert office.get(f"/storage_clouds/{cloud}").json()["data"]["bucket"] == "backups"


def test_a_bucket_with_data_leaves_its_pool_no_more(office: Api, rows: Stock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither deleted nor moved, but to a place where the pool's data lie, too; an empty one goes."""
    pool = pool_of(rows, "Cloud")
    cloud = posted(office, "storage_clouds", new_cloud(office, pool=pool))
    rows.record(pool=pool)

    for answer in (
        office.delete(f"/storage_clouds/{cloud}"),
        office.patch(f"/storage_clouds/{cloud}", {"data": {"bucket": "new"}}),
    ):
        assert (answer.status_code, "holds data" in answer.json()["message"]) == (409, True)
    assert office.patch(f"/storage_clouds/{cloud}", {"data": {"bucket": "replica"}}).status_code == 200
    monkeypatch.setattr("support.hosts.EMPTY", frozenset({cloud}))
    assert office.delete(f"/storage_clouds/{cloud}").status_code == 200


@pytest.mark.parametrize("endpoint", ["https://s3", "http://10.0.0.1:9000", "https://[fd00::1]:9000"])
def test_endpoints_are_scheme_host_and_port(office: Api, endpoint: str) -> None:
    """Names and addresses, with or without a port."""
    posted(office, "storage_clouds", new_cloud(office, endpoint=endpoint))


def test_two_cloud_storages_never_share_a_place(office: Api) -> None:
    """The same prefix, one within and one around are 409, for new ones and moved ones; beside it is free."""
    posted(office, "storage_clouds", new_cloud(office, bucket="one", prefix="a/b"))
    for prefix in ("a/b", "a/b/c", "a", ""):
        assert office.post("/storage_clouds", new_cloud(office, bucket="one", prefix=prefix)).status_code == 409, prefix
    for fields in ({"prefix": "a/bc"}, {"prefix": "b"}, {"bucket": "two", "prefix": ""}, {"endpoint": "https://other"}):
        posted(office, "storage_clouds", new_cloud(office, **({"bucket": "one", "prefix": "a/b"} | fields)))
    moved = posted(office, "storage_clouds", new_cloud(office, bucket="three", prefix="a/b"))
    assert office.patch(f"/storage_clouds/{moved}", {"data": {"bucket": "one"}}).status_code == 409
    assert office.patch(f"/storage_clouds/{moved}", {"data": {"prefix": "a"}}).status_code == 200


def test_a_name_is_unique_within_its_pool(office: Api, rows: Stock) -> None:
    """Another pool may have it."""
    pool = pool_of(rows, "Cloud")
    for _ in range(2):
        posted(office, "storage_clouds", new_cloud(office, name="same"))
    posted(office, "storage_clouds", new_cloud(office, name="same", pool=pool))
    other = posted(office, "storage_clouds", new_cloud(office, name="other", pool=pool))

    assert office.post("/storage_clouds", new_cloud(office, name="same", pool=pool)).status_code == 409
    assert office.patch(f"/storage_clouds/{other}", {"data": {"name": "same"}}).status_code == 409


def test_a_bucket_needs_a_pool_of_the_type_cloud(office: Api, rows: Stock) -> None:
    """Of the caller's own media server."""
    answer = office.post("/storage_clouds", new_cloud(office, pool=rows.pool()))
    foreign = rows.maintainer(rows.media_server()).post("/storage_clouds", new_cloud(office))

    assert answer.json()["errors"].keys() == {"data.pool"}
    assert foreign.json()["errors"] == {"data.pool": "unknown pool."}
