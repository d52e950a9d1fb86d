"""A state whose database is gone is not begun anew unasked."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

from support.system import RUBACKUP, down, eventually, up


def test_a_lost_catalogue_is_not_replaced_by_an_empty_one(tmp_path: Path) -> None:
    """Refused as long as nobody says so, and nothing is made; then hosts and pool are there again."""
    state = tmp_path / "state"
    system = up(state)
    hwid = system.call("GET", "/clients")["data"]["items"][0]["hwid"]
    system.http.close()
    down(state)
    shutil.rmtree(state / "postgres/data")
    for _ in range(2):
        refused = subprocess.run(
            [*RUBACKUP, "up", "--detach", "--state", str(state)],
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )
        assert refused.returncode == 1
        assert "had a catalogue, and its database is gone" in refused.stderr
        assert "restore-catalogue" in refused.stderr
        assert "--new-catalogue" in refused.stderr
        assert not (state / "postgres/data").exists()
    system = up(state, "--new-catalogue")
    try:
        assert system.call("GET", "/clients")["data"]["items"][0]["hwid"] == hwid
        eventually(lambda: not system.pool_node("Default")["problem"], 30, lambda: system.pool_node("Default"))
    finally:
        system.http.close()
        down(state)
