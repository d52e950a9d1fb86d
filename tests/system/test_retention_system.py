"""On the running system copies move, get a second copy and go by their rule's keys, in the catalogue and in the pools."""

from __future__ import annotations

import datetime as dt
import os
from pathlib import Path

from support.system import System, eventually


def manifests(folder: Path) -> set[str]:
    """The records that the pool below a folder holds."""
    return {file.stem for file in folder.rglob("manifests/*.manifest")}


def test_copies_go_move_and_are_kept_in_a_second_pool(system: System, tmp_path: Path) -> None:
    """A copy moves when it is old enough, a second one is made before; both are deleted by the clock, the newest stays."""
    source = tmp_path / "source"
    source.mkdir()
    (source / "file").write_bytes(os.urandom(2_000_000))
    names = ("first", "later", "second")
    first, later, second = (system.add_pool(tmp_path / name) for name in names)
    wanted = {
        "name": "quick", "client_id": system.facts["client"], "resource_type": "File system", "resource": str(source),
        "backup_type": "full", "pool_id": first, "storage_duration": "1 day", "auto_delete_obsoleted_copy_flag": True,
        "move_copy_flag": False, "move_copy_pool": later, "move_copy_while": "1 second",
        "second_copy_flag": False, "second_copy_pool": second, "second_copy_duration": "1 week",
    }  # fmt: skip
    system.call("POST", "/global_schedule", {"data": {"global_schedule": wanted}}, status=201)
    (rule,) = system.call("GET", "/global_schedule", filter_data=f'resource="{source}"')["data"]["items"]
    both = {"second_copy_flag": True, "move_copy_flag": True}
    ways = {
        key: wanted[key] for key in ("move_copy_pool", "move_copy_while", "second_copy_pool", "second_copy_duration")
    }
    told = {"rule_id": rule["id"], "period": "1 hour", "policy": both | ways}

    def execute() -> None:
        answer = system.call("POST", f"/global_schedule/{rule['id']}/execution")
        system.done(int(answer["message"].rpartition(" TASK WAS ADDED TO QUEUE:")[2]))

    execute()
    foretold = system.call("POST", "/retention/simulation", {"data": told})["data"]["items"]
    assert {row["action"] for row in foretold} >= {"copy", "move"}
    assert [one["pool"] for one in system.records(source)] == [first]
    system.call("PATCH", f"/global_schedule/{rule['id']}", {"data": {"global_schedule": both}})
    pools = eventually(
        lambda: (found := {one["pool"]: one for one in system.records(source)}).keys() == {later, second} and found, 60,
        lambda: system.records(source),
    )  # fmt: skip
    assert [len(manifests(tmp_path / name)) for name in ("later", "second")] == [1, 1]
    assert system.gives_back(pools[second]["id"], source, tmp_path / "target")
    system.call("PATCH", f"/global_schedule/{rule['id']}", {"data": {"global_schedule": {
        "second_copy_flag": False, "move_copy_flag": False}}})  # fmt: skip
    execute()
    (newest,) = [one for one in system.records(source) if one["pool"] == first]
    for one in pools.values():
        ends = (dt.datetime.now(dt.UTC) + dt.timedelta(seconds=5)).isoformat()
        system.call("PATCH", f"/repository/{one['id']}", {"data": {"store_until": ends}})

    eventually(
        lambda: [one["id"] for one in system.records(source)] == [newest["id"]], 30, lambda: system.records(source)
    )
    eventually(lambda: not manifests(tmp_path / "later") | manifests(tmp_path / "second"), 20)
    eventually(lambda: manifests(tmp_path / "first") == {newest["uuid"].replace("-", "")}, 20)
    log = system.call("GET", "/repository_log", filter_data=f'record="{pools[later]["id"]}"')["data"]["items"]
    assert log[0]["text"] == f"By rule {rule['id']}: Its storage_duration is over (auto_delete_obsoleted_copy_flag)."
