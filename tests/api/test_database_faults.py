"""The service database refuses a change for a reason that is not the caller's: the answer and the log say which."""

from __future__ import annotations

import logging

import pytest

from support.api import Api

REFUSE = """CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'could not extend file "base/5/16384": No space left on device' USING ERRCODE = '{state}'; END $$"""
TRIGGER = "CREATE TRIGGER refuse BEFORE INSERT ON widgets FOR EACH ROW EXECUTE FUNCTION refuse()"
WIDGET = {"data": {"name": "a"}}


@pytest.mark.parametrize(
    ("state", "message", "seconds"),
    [
        ("53100", "The disk of the service database is full.", "30"),
        ("53200", "The service database has no memory left.", "5"),
        ("58030", "The service database cannot read or write its own files.", "30"),
        ("57P01", "The service database does not answer.", "1"),
        ("40001", "What is needed is in use; try again later.", "1"),
    ],
)  # fmt: skip
def test_a_fault_of_the_database_is_a_503_and_one_line(
    api: Api, caplog: pytest.LogCaptureFixture, state: str, message: str, seconds: str
) -> None:
    """Which PostgreSQL itself has said; without a trace of the program in the log, and over once its cause is."""
    api.execute(REFUSE.format(state=state))
    api.execute(TRIGGER)
    with caplog.at_level(logging.WARNING, "rubackup.api"):
        answer = api.post("/widgets", WIDGET)
    told = [record for record in caplog.records if record.name == "rubackup.api"]

    assert (answer.status_code, answer.headers["retry-after"]) == (503, seconds)
    assert answer.json()["message"] == message
    assert "base/5/16384" not in answer.text
    assert [record.exc_info for record in told] == [None]
    assert f"POST /api/v1/widgets: {message} " in told[0].getMessage()
    assert f'PostgreSQL {state}: could not extend file "base/5/16384"' in told[0].getMessage()

    api.execute("DROP TRIGGER refuse ON widgets")
    assert api.post("/widgets", WIDGET).status_code == 201


def test_a_standby_takes_no_changes_and_is_read(api: Api) -> None:
    """Both are told by PostgreSQL, which is read-only here as a standby is."""
    name = api.database.address.database
    api.execute(f'ALTER DATABASE "{name}" SET default_transaction_read_only = on')
    api.execute(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = $1 AND pid <> pg_backend_pid()", name
    )
    api.run(api.database._pool.expire_connections())
    answer = api.post("/widgets", WIDGET)

    assert (answer.status_code, answer.headers["retry-after"]) == (503, "5")
    assert "takes no changes" in answer.json()["message"]
    assert api.get("/widgets").status_code == 200
