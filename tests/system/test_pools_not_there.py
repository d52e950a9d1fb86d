"""Rebuilding and reconciling while a disk is not mounted: nothing is made where a pool should be, and nothing is called well."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from support.system import RUBACKUP, System, eventually, running


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """One of its own: other tests leave media servers and pools behind, for which these commands wait."""
    with running(tmp_path_factory.mktemp("away") / "state") as system:
        yield system


def run(system: System, *arguments: str) -> tuple[int, str, str]:
    """How a command ended and what it said."""
    done = subprocess.run(
        [*RUBACKUP, *arguments, "--state", str(system.state)], capture_output=True, text=True, timeout=240, check=False
    )
    return done.returncode, done.stdout, done.stderr


def test_a_folder_of_no_pool_is_refused_and_leaves_nothing_behind(system: System, tmp_path: Path) -> None:
    """Missing, empty, with other files, a link: no marker, no pool; the folder is as it was."""
    missing, empty, other, link = (tmp_path / name for name in ("missing", "empty", "other", "link"))
    empty.mkdir()
    other.mkdir()
    (other / "file").write_text("mine")
    link.symlink_to(empty)
    for place in (missing, empty, other, link):
        code, _, said = run(system, "rebuild-catalogue", "--pool", f"Lost={place}")
        assert code == 1
        assert ("folder of no pool" in said) or (place == link and "symbolic links" in said), said
    assert not missing.exists()
    assert list(empty.iterdir()) == []
    assert [one.name for one in other.iterdir()] == ["file"]
    assert "Lost" not in {row["pool_name"] for row in system.call("GET", "/pool_list")["data"]["items"]}


def test_a_pool_that_is_not_there_is_told_and_the_others_go_on(system: System, tmp_path: Path) -> None:
    """One whose disk is away, one without storage; what can be looked at is."""
    vault, away, second = (tmp_path / name for name in ("vault", "away", "second"))
    for name in ("Aside", "Bare"):
        made = {"pool_name": name, "pool_type": "File system", "media_server": system.media_server()}
        system.call("POST", "/pool_list", {"data": made}, status=201)
    for folder in (vault, second):
        storage = {"path": str(folder), "pool": "Aside", "description": ""}
        system.call("POST", "/storage_local_catalogs", {"data": storage}, status=201)
    eventually(lambda: (second / "pool").exists() and not system.pool_node("Aside")["problem"], 40)
    second.rename(away)
    code, said, faults = run(system, "repository", "reconcile", "--pool", "Aside")
    assert (code, "Aside: 0 copies unknown to the catalogue" in said) == (1, True)
    assert f"Aside: NOT looked at: what lies in {second}, which is away; 0 copies that lie there" in faults
    away.rename(second)
    assert run(system, "repository", "reconcile", "--pool", "Aside")[0] == 0
    vault.rename(away)
    second.rename(tmp_path / "other")
    code, said, faults = run(system, "repository", "reconcile")
    assert code == 1
    assert re.search(r"^Default: \d+ copies unknown", said, re.MULTILINE)
    assert "Aside" not in said
    assert f"Aside: NOT looked at: No storage of the pool is there: {vault}, {second}." in faults
    assert "Bare: left out, it has no storage." in faults
    assert not vault.exists()
    away.rename(vault)
    (tmp_path / "other").rename(second)
    eventually(lambda: "Aside: 0 copies unknown" in run(system, "repository", "reconcile")[1], 60)
