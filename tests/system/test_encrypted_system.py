"""An encrypted copy in a whole system: made, listed, verified and restored by its client; keys rotated on the way."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

from support.system import RUBACKUP, System, eventually


def key(system: System, *arguments: str) -> str:
    """What `rubackup client key` prints."""
    command = [*RUBACKUP, "client", "--state", str(system.state), "key", *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=300).stdout


def encrypted_backup(system: System, source: Path, backup_type: str = "full") -> dict[str, Any]:
    """An encrypted copy that the client's own tool asked for; its row."""
    command = [
        *RUBACKUP, "client", "--state", str(system.state), "backup", str(source), "--pool", "Default", "--type", backup_type,
        "--crypto", "aes-256-gcm", "--wait",
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True, text=True, timeout=300)
    row: dict[str, Any] = system.records(source)[-1]
    return row


def test_an_encrypted_copy_lives_with_its_key(system: System, tmp_path: Path) -> None:
    """Listed and verified through the client, restored after a rotation; the next copy has the new key."""
    source = tmp_path / "source"
    source.mkdir()
    for number in range(30):
        (source / f"file{number:02}").write_bytes(bytes([number]) * number * 1000)
    (client,) = system.call("GET", "/clients")["data"]["items"]
    system.call("PATCH", f"/clients/{client['id']}", {"data": {"client_side_backup": True}})
    system.done(system.backup(source))  # so that the client may use the pool by itself
    first = encrypted_backup(system, source)
    listed = system.call("GET", "/repository_record_file_list", id=first["id"], path=str(source), limit=100)
    verification = system.call("POST", f"/repository/{first['id']}/verification", status=201)
    checked = system.done(int(verification["message"].rpartition("QUEUE:")[2]))
    key(system, "rotate")
    second = encrypted_backup(system, source, "incremental")

    assert first["crypto"] == "aes-256-gcm"
    assert first["key_id"] in key(system, "show")
    assert listed["data"]["total"] == 30
    assert "with its key" in checked["message"]
    assert system.call("GET", f"/repository/{first['id']}")["data"]["verification_status"] == "Trusted"
    assert second["key_id"] != first["key_id"]
    assert system.gives_back(first["id"], source, tmp_path / "one")
    assert system.gives_back(second["id"], source, tmp_path / "two")
    eventually(
        lambda: second["key_id"] in system.call("GET", f"/clients/{client['id']}")["data"]["key_ids"], 20
    )  # the server hears of a rotation within seconds
