"""A catalogue that is set back under pools that know better: nothing of theirs goes before they were reconciled. RECOVERY=1 runs it."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from support.s3server import ACCESS, SECRET, S3Server
from support.system import RUBACKUP, System, down, eventually, up

pytestmark = pytest.mark.skipif(not os.environ.get("RECOVERY"), reason="RECOVERY is not set: scripts/nightly recovery")


def rubackup(*arguments: str) -> str:
    """What a command says; it must end well."""
    return subprocess.run([*RUBACKUP, *arguments], check=True, capture_output=True, text=True, timeout=300).stdout


def test_a_catalogue_of_a_moment_ago_deletes_nothing_before_it_was_reconciled(tmp_path: Path) -> None:
    """Neither by hand nor by a cleaning; backups and restores go on meanwhile, and numbers do not come again."""
    state, source, safe = tmp_path / "state", tmp_path / "source", tmp_path / "one.rbcat"
    source.mkdir()
    (source / "file").write_bytes(os.urandom(100_000))
    system = up(state)
    try:
        system.done(system.backup(source))
        rubackup("backup-catalogue", "--state", str(state), "--to", str(safe))
        later = system.backup(source)  # a moment later: far less than the number of contacts would tell
        system.done(later)
        pack_files = sorted(path.name for path in (state / "pools").rglob("*.pack"))
        system.http.close()
        down(state)
        rubackup("restore-catalogue", str(safe), "--state", str(state), "--replace")
        system = up(state)
        (first,) = system.records(source)

        assert _pool(system)["reconciled"] is False
        refused = system.call("DELETE", f"/repository/{first['id']}", status=409)["message"]
        assert "reconcile" in refused
        system.call("POST", f"/pool_list/{_pool(system)['id']}/cleaning", status=409)
        again = system.backup(source)
        assert again > later + 100_000
        system.done(again)
        assert system.gives_back(first["id"], source, tmp_path / "target")
        assert {row["id"] for row in system.records(source)} >= {first["id"]}

        assert "1 copies adopted" in rubackup("repository", "reconcile", "--state", str(state), "--apply")
        eventually(lambda: _pool(system)["reconciled"], 40)
        assert len(system.records(source)) == 3
        assert set(pack_files) <= {path.name for path in (state / "pools").rglob("*.pack")}
        system.call("DELETE", f"/repository/{first['id']}")
    finally:
        system.http.close()
        down(state)


def test_a_pool_made_since_is_named_and_taken_in_by_the_command_that_is_told(tmp_path: Path) -> None:
    """Nothing comes in by itself; its copies are listed then, and it is reconciled."""
    state, source, safe = tmp_path / "state", tmp_path / "source", tmp_path / "one.rbcat"
    source.mkdir()
    (source / "file").write_bytes(os.urandom(100_000))
    system = up(state)
    try:
        rubackup("backup-catalogue", "--state", str(state), "--to", str(safe))
        later = system.add_pool(tmp_path / "later")
        system.done(system.backup(source, pool=later))
        system.http.close()
        down(state)
        rubackup("restore-catalogue", str(safe), "--state", str(state), "--replace")
        system = up(state)
        done = subprocess.run(
            [*RUBACKUP, "repository", "reconcile", "--state", str(state), "--apply"],
            check=True, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert system.records(source) == []
        assert f"holds a pool that the catalogue does not know: {later} " in done.stderr
        command = shlex.split(done.stderr.partition("Take it in: rubackup ")[2].splitlines()[0])
        said = rubackup(*command, "--state", str(state))
        assert f"{later}: 1 copies adopted" in said
        (record,) = system.records(source)
        assert system.gives_back(record["id"], source, tmp_path / "target")
        assert "does not know" not in subprocess.run(
            [*RUBACKUP, "repository", "reconcile", "--state", str(state)],
            check=True, capture_output=True, text=True, timeout=300,
        ).stderr  # fmt: skip
    finally:
        system.http.close()
        down(state)


def test_pools_of_every_kind_are_taken_in_by_what_is_told(tmp_path: Path) -> None:
    """A device, a bucket and a client's own folder: the line is given to a shell as it stands, but for what it cannot know."""
    state, source, safe, secret = (tmp_path / name for name in ("state", "source", "one.rbcat", "secret"))
    source.mkdir()
    secret.write_text(SECRET)
    (source / "file").write_bytes(os.urandom(200_000))
    with (tmp_path / "device").open("xb") as file:
        file.truncate(128 << 20)
    s3 = S3Server().start()
    s3.bucket("backups")
    storages = {
        "Block device": ("/storage_block_devices", {"device": str(tmp_path / "device"), "description": ""}),
        "Cloud": ("/storage_clouds", {
            "name": "bucket", "endpoint": s3.endpoint, "bucket": "backups", "prefix": "a/b", "access_key": ACCESS, "secret_key": SECRET,
        }),
        "Client defined": ("/client_defined_storages", {"metadata_fs_pool": "Default", "name": "nas", "description": ""}),
    }  # fmt: skip
    told_to_client = {"CLIENT_DEFINED_STORAGES": f"nas={tmp_path / 'nas'}"}
    (tmp_path / "nas").mkdir()
    system = up(state, environment=told_to_client)
    try:
        system.done(system.backup(source))
        rubackup("backup-catalogue", "--state", str(state), "--to", str(safe))
        for kind, (path, body) in storages.items():
            made = {
                "pool_name": kind,
                "pool_type": kind,
                "media_server": system.media_server(),
                "meta_data_pool": "Default",
            }
            system.call("POST", "/pool_list", {"data": made | {"ignore_free_space_check": True}}, status=201)
            system.call("POST", path, {"data": body | {"pool": kind}}, status=201)
            eventually(lambda name=kind: not system.pool_node(name)["problem"], 60)
            system.done(system.backup(source, pool=kind))
        system.http.close()
        down(state)
        rubackup("restore-catalogue", str(safe), "--state", str(state), "--replace")
        system = up(state, environment=told_to_client)
        environment = {
            **os.environ, "RUBACKUP_STATE": str(state), "HOME": str(tmp_path),
            "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        }  # fmt: skip

        def shell(line: str) -> str:
            done = subprocess.run(
                ["sh", "-ec", line], env=environment, capture_output=True, text=True, timeout=300, check=False
            )
            assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
            return done.stderr

        shell('rb login --state "$RUBACKUP_STATE"')
        said = shell("rubackup repository reconcile --apply")
        lines = [line for line in said.splitlines() if "holds a pool that the catalogue does not know: " in line]
        assert len(lines) == 3, said
        for line in lines:
            shell(line.partition(" it in: ")[2].replace("KEY", ACCESS).replace("FILE", str(secret)))
        assert "does not know" not in shell("rubackup repository reconcile")

        records = system.records(source)
        assert len(records) == 4
        for record in records:
            assert system.gives_back(record["id"], source, tmp_path / f"target{record['id']}")
    finally:
        system.http.close()
        down(state)
        s3.stop()


def _pool(system: System) -> dict[str, Any]:
    found: dict[str, Any]
    (found,) = system.call("GET", "/pool_list")["data"]["items"]
    return found
