"""Hosts come, are authorised, lose their rights at once when they are deleted, and come back."""

from __future__ import annotations

from pathlib import Path

from support.system import System, eventually


def test_a_deleted_client_waits_for_authorisation_again(system: System, tmp_path: Path) -> None:
    """Deleting a client ends its connection and moves it back; authorising it again lets it work."""
    (client,) = system.call("GET", "/clients")["data"]["items"]
    (tmp_path / "file").write_text("x")

    system.call("DELETE", f"/clients/{client['id']}")
    own = f'hwid="{client["hwid"]}"'
    waiting = eventually(lambda: system.call("GET", "/unauthorised_clients", filter_data=own)["data"]["items"], 30)
    assert system.call("GET", "/clients")["data"]["total"] == 0
    system.call("POST", "/clients/authorize", {"data": {"clients_ids": [waiting[0]["id"]]}}, status=201)

    eventually(lambda: [c for c in system.call("GET", "/clients")["data"]["items"] if c["online"]], 30)
    system.done(system.backup(tmp_path))


def test_a_clients_folders_can_be_listed(system: System, tmp_path: Path) -> None:
    """list_client_filesystem shows the folders of the live client."""
    (tmp_path / "inner").mkdir()
    hwid = system.call("GET", "/clients")["data"]["items"][0]["hwid"]

    answer = system.call("POST", "/list_client_filesystem", {"data": [{"client_hwid": hwid, "path": str(tmp_path)}]})

    assert "inner" in str(answer["data"])


def test_a_paused_task_continues_and_a_killed_one_does_not(system: System, tmp_path: Path) -> None:
    """Pause and continue lead to a copy; a killed task stays killed and restarting makes a new one."""
    (tmp_path / "file").write_bytes(bytes(1000))
    number = system.backup(tmp_path)
    system.done(number)
    system.call("POST", "/kill_task", {"data": {"task_id": number}}, status=400)

    answer = system.call("POST", "/restart_task", {"data": {"tasks_ids": [number]}}, status=201)

    again = int(answer["message"].rpartition(":")[2])
    assert system.done(again)["restarted_from"] == number
