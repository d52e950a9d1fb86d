"""A lost machine comes back: its files are restored by themselves when it is authorised again."""

from __future__ import annotations

import shutil
from pathlib import Path

from support.system import System, eventually


def test_a_machine_that_comes_back_gets_its_files_by_itself(system: System, tmp_path: Path) -> None:
    """The check says Ready; after the loss the plan restores what is missing and leaves what is there."""
    folder = tmp_path / "data"
    (folder / "inner").mkdir(parents=True)
    (folder / "inner" / "lost").write_text("from the copy")
    (folder / "kept").write_text("from the copy")
    system.done(system.backup(folder))
    entry = {
        "client": system.facts["client"], "resource_type": "File system", "resource": str(folder),
        "restore_destination": "", "autorun": True, "priority": 100, "description": "",
    }  # fmt: skip
    system.call("POST", "/disaster_recovery_plan", {"data": entry}, status=201)
    plan = system.call("GET", "/disaster_recovery_plan", filter_data=f'resource="{folder}"')["data"]["items"][0]

    checked = system.call("POST", f"/disaster_recovery_plan/{plan['id']}/checking")["data"]
    assert (checked["status"], checked["problems"]) == ("Ready", [])
    elsewhere = {str(tmp_path / "not" / "there"): [], "/proc/there": ["keeps no data"]}
    for destination, told in elsewhere.items():
        system.call("PATCH", f"/disaster_recovery_plan/{plan['id']}", {"data": {"restore_destination": destination}})
        problems = system.call("POST", f"/disaster_recovery_plan/{plan['id']}/checking")["data"]["problems"]
        assert [any(word in problem for word in told) for problem in problems] == [True] * len(told)
    system.call("PATCH", f"/disaster_recovery_plan/{plan['id']}", {"data": {"restore_destination": ""}})

    shutil.rmtree(folder / "inner")
    (folder / "kept").write_text("newer")
    system.call("DELETE", f"/clients/{plan['client_ref']}")
    own = f'hwid="{system.facts["client"].rpartition("(")[2].rstrip(")")}"'
    waits = eventually(lambda: system.call("GET", "/unauthorised_clients", filter_data=own)["data"]["items"], 30)
    (waiting,) = waits
    gone = system.call("POST", f"/disaster_recovery_plan/{plan['id']}/checking")["data"]
    assert (gone["status"], len(gone["problems"])) == ("Failed", 1)

    body = {"data": {"clients_ids": [waiting["id"]]}}
    message = system.call("POST", "/clients/authorize", body, status=201)["message"]
    system.done(int(message.rpartition("TASK WAS ADDED TO QUEUE:")[2]))

    system.call("DELETE", f"/disaster_recovery_plan/{plan['id']}")
    assert (folder / "inner" / "lost").read_text() == "from the copy"
    assert (folder / "kept").read_text() == "newer"
