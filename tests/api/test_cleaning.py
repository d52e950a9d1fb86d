"""Cleaning a pool on demand."""

from __future__ import annotations

from support.api import Api
from support.fixtures import Stock


def test_a_pool_is_cleaned_as_a_task_of_its_media_server(office: Api, rows: Stock) -> None:
    """201 with the task's number; the pool is shared with everything else."""
    pool = rows.pool_with_storage(media=rows.media_server())
    answer = office.post(f"/pool_list/{pool}/cleaning")

    task = office.get("/task_queue").json()["data"]["items"][0]
    assert answer.status_code == 201
    assert answer.json()["message"].rpartition(" TASK WAS ADDED TO QUEUE:")[2] == str(task["id"])
    assert (task["task_type"], task["pool_ref"], task["status"]) == ("Clean", pool, "New")
    reserved = office.fetch("SELECT kind, key, exclusive FROM task_reservations ORDER BY kind")
    assert [tuple(row) for row in reserved] == [("cleaning", str(pool), True), ("pool", str(pool), False)]


def test_what_cannot_be_cleaned_is_refused(office: Api, rows: Stock) -> None:
    """A pool that is being cleaned, one of another type, and any pool in service mode."""
    media = rows.media_server()
    pool = rows.pool_with_storage(media=media)
    tape = rows.insert("pools", pool_name="Tape", pool_type="Tape library", media_server_id=media)
    office.post(f"/pool_list/{pool}/cleaning")

    again = office.post(f"/pool_list/{pool}/cleaning")
    assert (again.status_code, "already" in again.json()["message"]) == (409, True)
    assert office.post(f"/pool_list/{tape}/cleaning").status_code == 409
    assert office.post("/pool_list/999999/cleaning").status_code == 404
