"""The benchmark of the chunk store runs: the bare store on a small tree, nothing fetched, nothing timed."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_bare_store_goes_through_its_rows(tmp_path: Path) -> None:
    """Backup, restore and reclaim of the bare store succeed, are compared and told, and nothing is left behind."""
    told = tmp_path / "engine.json"
    command = "-m bench.engine --quick --only bare --trees small --encrypted no --scale 0.0005 --snapshots 1"
    rows = ["--rows", "first backup", "restore", "reclaim"]

    done = subprocess.run(
        [sys.executable, *command.split(), *rows, "--dir", str(tmp_path), "--image", "no", "--json", str(told)],
        cwd=ROOT, capture_output=True, text=True, check=False, timeout=300,
    )  # fmt: skip

    assert done.returncode == 0, done.stdout + done.stderr
    (results,) = json.loads(told.read_text())["results"]
    assert set(results["readings"]) == {"first backup", "restore", "reclaim"}
    assert [one.name for one in tmp_path.iterdir()] == ["engine.json"]
