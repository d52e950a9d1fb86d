"""Who administers a strategy: the role, its sessions, and who may give it."""

from __future__ import annotations

from rubackup.domain.permissions import Role
from support.api import Api
from support.fixtures import Stock


def appoint(api: Api, strategy: int | str, user: int | str) -> int:
    """The status of the answer to an appointment."""
    body = {"data": {"strategy": strategy, "administrator": user}}
    return api.post("/strategy_administrators", body).status_code


def test_an_appointed_user_has_the_role_after_the_next_login(office: Api, rows: Stock) -> None:
    """Sessions end when the role comes and when it goes; login and the list of users name it."""
    strategy, anna = rows.strategy(), office.user("anna")

    assert appoint(office, rows.named("backup_strategies", strategy, "name"), "anna") == 201
    assert anna.get("/server_hello").status_code == 401
    assert anna.login("anna")["role"] == ["strategy administrator"]
    user = office.get("/users", params={"filter_data": 'username="anna"'}).json()["data"]["items"][0]
    assert user["role"] == ["strategy administrator"]
    assert anna.patch(f"/backup_strategies/{strategy}", {"data": {"description": "mine"}}).status_code == 200

    row = office.get("/strategy_administrators").json()["data"]["items"][0]
    assert (row["strategy_ref"], row["administrator"]) == (strategy, "anna")
    assert office.delete(f"/strategy_administrators/{row['id']}").status_code == 200
    assert anna.get("/server_hello").status_code == 401
    assert anna.login("anna")["role"] == []


def test_a_supervisor_appoints_and_a_strategy_administrator_does_not(office: Api, rows: Stock) -> None:
    """Who has a strategy cannot hand it on."""
    strategy = rows.strategy()
    office.add_user("anna")

    assert appoint(rows.strategy_administrator(strategy), strategy, "anna") == 403
    assert appoint(office.user("boss", Role.SUPERVISOR), strategy, "anna") == 201
    assert appoint(office, strategy, "anna") == 409


def test_unknown_names_of_an_appointment_are_told(office: Api) -> None:
    """Both at once."""
    answer = office.post("/strategy_administrators", {"data": {"strategy": "None", "administrator": "nobody"}})

    assert answer.json()["errors"] == {
        "data.strategy": "unknown strategy.", "data.administrator": "unknown user.",
    }  # fmt: skip


def test_a_deleted_users_appointments_go(office: Api, rows: Stock) -> None:
    """The strategy stays."""
    strategy, user = rows.strategy(), office.add_user("anna")
    appoint(office, strategy, user)

    assert office.delete(f"/users/{user}").status_code == 200
    assert office.get("/strategy_administrators").json()["data"]["total"] == 0
    assert office.get(f"/backup_strategies/{strategy}").status_code == 200
