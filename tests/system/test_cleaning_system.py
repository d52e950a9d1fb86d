"""A pool is cleaned and reconciled in a running system."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from rubackup.client.compare import compare_trees
from support.system import RUBACKUP, System, eventually


def rubackup(system: System, *arguments: str) -> str:
    """What the command prints; it must end well."""
    command = [*RUBACKUP, *arguments, "--state", str(system.state)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=True).stdout


def test_space_of_a_deleted_copy_is_marked_and_the_rest_restores(system: System, tmp_path: Path) -> None:
    """The task tells how much goes after the grace; what another copy needs stays; catalogue and pool agree."""
    kept, gone = tmp_path / "kept", tmp_path / "gone"
    pool = system.add_pool(tmp_path / "pool")
    for folder in (kept, gone):
        folder.mkdir()
        (folder / "file").write_bytes(os.urandom(2_000_000))
        system.done(system.backup(folder, pool=pool))
    (record,) = system.records(gone)
    system.call("DELETE", f"/repository/{record['id']}")
    manifest = tmp_path / "pool" / "manifests" / f"{record['uuid'].replace('-', '')}.manifest"
    eventually(lambda: not manifest.exists(), 30)
    told = rubackup(system, "pool", "clean", pool)
    differs = rubackup(system, "repository", "reconcile", "--pool", pool)
    (copy,) = system.records(kept)
    system.done(system.restore(copy["id"], tmp_path / "target"))

    assert "Done" in told
    assert "(1 packs) go when their grace is over" in told
    assert f"{pool}: 0 copies unknown to the catalogue, 0 copies not in the pool." in differs
    assert compare_trees(kept, tmp_path / "target" / str(kept).lstrip("/")).equal
