"""Storages of a running system: the media server looks at devices and tells how full its folders are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from support.system import System, eventually, running


def pool(system: System, name: str, pool_type: str, **fields: Any) -> None:
    """A new pool of the system's media server."""
    server = system.media_server()
    body = {"pool_name": name, "pool_type": pool_type, "media_server": server}
    system.call("POST", "/pool_list", {"data": body | fields}, status=201)


def test_a_device_is_looked_at_by_its_media_server(system: System, tmp_path: Path) -> None:
    """A file stands for a disk: what it carries is named and left alone without consent, and a missing one is a 400."""
    pool(system, "Blocks", "Block device", meta_data_pool="Default")
    image = tmp_path / "image"
    image.write_bytes(b"XFSB" + bytes(4 * 1024 * 1024))

    def add(device: Path, status: int, **fields: Any) -> dict[str, Any]:
        body = {"device": str(device), "pool": "Blocks", "overwrite_file_system": False, "description": ""}
        answer: dict[str, Any] = system.call("POST", "/storage_block_devices", {"data": body | fields}, status=status)
        return answer

    assert "No such file" in add(tmp_path / "missing", 400)["errors"]["data.device"]
    assert "neither" in add(tmp_path, 400)["errors"]["data.device"]
    assert "an XFS file system" in add(image, 409)["message"]
    assert image.read_bytes()[:4] == b"XFSB"
    add(image, 201, overwrite_file_system=True)

    (leaf,) = system.pool_node("Blocks")["storages"]
    assert (leaf["path"], image.read_bytes()[:7]) == (str(image), b"RBBLOCK")
    leaf = eventually(lambda: [one for one in system.pool_node("Blocks")["storages"] if not one["problem"]], 60)[0]
    assert 0 < leaf["free_bytes"] <= leaf["total_bytes"] < 4 * 1024 * 1024


def test_folders_show_how_full_they_are(system: System) -> None:
    """As the media server reports it, for each folder."""
    leaf = eventually(lambda: [one for one in system.pool_node("Default")["storages"] if one["total_bytes"]], 60)[0]

    assert (leaf["family"], leaf["problem"]) == ("storage_local_catalogs", "")
    assert 0 < leaf["free_bytes"] <= leaf["total_bytes"]


def test_a_cloud_that_does_not_answer_is_no_storage(system: System) -> None:
    """Its media server says so within the time of a call, under the field; no row is left, and the secret is not told."""
    pool(system, "Bucket", "Cloud")
    cloud = {
        "pool": "Bucket", "name": "archive", "endpoint": "http://127.0.0.1:9", "bucket": "backups",
        "access_key": "AKEXAMPLE", "secret_key": "the secret of the cloud",
    }  # fmt: skip
    answer = system.call("POST", "/storage_clouds", {"data": cloud}, status=400)

    assert "did not answer" in answer["errors"]["data.endpoint"]
    assert "the secret of the cloud" not in str(answer)
    assert system.call("GET", "/storage_clouds", filter_data='pool="Bucket"')["data"]["items"] == []


def test_a_pool_that_is_not_written_takes_no_backup(system: System, tmp_path: Path) -> None:
    """Its media server goes on serving the others."""
    pool(system, "Tapes", "Tape library")
    task = {
        "resource_type": "File system", "resource": str(tmp_path), "client": system.facts["client"],
        "backup_type": "full", "pool": "Tapes", "crypto": "nocrypt", "priority": 100, "storage_duration": "1 Years",
        "archiving": False,
    }  # fmt: skip
    system.call("POST", "/task_queue", {"data": {"task": task}}, status=400)

    (tmp_path / "file").write_text("x")
    system.done(system.backup(tmp_path))


def test_folders_are_refused_before_they_harm_a_pool(system: System, tmp_path: Path) -> None:
    """A link to a storage, a folder of another pool, of the system and of the media server; none of them is touched."""
    pool(system, "Folders", "File system")

    def add(folder: Path, status: int) -> str:
        body = {"path": str(folder), "pool": "Folders", "description": ""}
        answer = system.call("POST", "/storage_local_catalogs", {"data": body}, status=status)
        return str(answer["errors"]["data.path"] if status == 400 else answer["message"])

    add(tmp_path / "first", 201)
    (tmp_path / "link").symlink_to(tmp_path / "first")
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "pool").write_text(f"rubackup pool 0 {'f' * 32} {'e' * 32}\n")

    assert str(tmp_path / "first") in add(tmp_path / "link", 400)
    assert "another pool" in add(tmp_path / "foreign", 409)
    assert "system" in add(Path("/etc/pool"), 400)
    assert "own state" in add(system.state / "media" / "new", 400)
    assert not Path("/etc/pool").exists()
    assert not (system.state / "media" / "new").exists()
    assert len(system.pool_node("Folders")["storages"]) == 1


def test_a_folder_without_data_leaves_a_pool_with_copies(system: System, tmp_path: Path) -> None:
    """The media server says what lies in it; the other folder stays, and its copies restore."""
    pool(system, "Spare", "File system", ignore_free_space_check=True)
    for name in ("first", "second"):
        body = {"path": str(tmp_path / name), "pool": "Spare", "description": ""}
        system.call("POST", "/storage_local_catalogs", {"data": body}, status=201)
    eventually((tmp_path / "second" / "pool").exists, 60)
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_text("x")
    system.done(system.backup(source, pool="Spare"))
    first, second = (leaf["id"] for leaf in system.pool_node("Spare")["storages"])

    refusal = system.call("DELETE", f"/storage_local_catalogs/{first}", status=409)
    system.call("DELETE", f"/storage_local_catalogs/{second}")

    assert "holds data" in refusal["message"]
    (record,) = system.records(source)
    system.done(system.restore(record["id"], tmp_path / "target"))
    system.done(system.backup(source, pool="Spare"))


def test_a_state_that_is_given_by_a_link_has_its_storage(tmp_path: Path) -> None:
    """`up` tells the media server the real path of its first storage."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")

    with running(tmp_path / "link" / "state") as found:
        (leaf,) = found.pool_node("Default")["storages"]

    assert leaf["path"] == str(tmp_path / "real" / "state" / "pools" / "Default")
