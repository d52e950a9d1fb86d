"""Users and their roles."""

from __future__ import annotations

from samples import new_user

from rubackup.domain.permissions import Role
from support.api import PASSWORD, Api
from support.fixtures import Stock


def test_a_new_user_logs_in_with_the_role_that_was_asked_for(office: Api, rows: Stock) -> None:
    """The query of POST /users gives a role at once."""
    group = rows.client_group()
    name = rows.named("client_groups", group, "name")
    body = new_user(username="anna")

    answer = office.post("/users", body, params={"role": "administrator", "client_group": name})

    assert answer.status_code == 201, answer.text
    assert office.another().login("anna")["role"] == ["administrator"]


def test_a_role_needs_what_it_covers(office: Api) -> None:
    """An administrator needs a client group, a maintainer a media server; nothing is made without it."""
    for role, field in (("administrator", "client_group"), ("maintainer", "media_server")):
        answer = office.post("/users", new_user(username="anna"), params={"role": role})
        assert answer.status_code == 400
        assert answer.json()["errors"].keys() == {field}
    assert office.get("/users", params={"filter_data": 'username="anna"'}).json()["data"]["total"] == 0


def test_every_wrong_field_of_a_user_is_told(office: Api) -> None:
    """Names that are unknown and addresses that are none come in one answer."""
    answer = office.post("/users", new_user(group_id="Nowhere", email="no address"))

    assert answer.json()["errors"].keys() == {"data.group_id", "data.email"}


def test_short_passwords_are_refused(office: Api) -> None:
    """A password has at least 8 characters."""
    assert "data.user_password" in office.post("/users", new_user(user_password="1234567")).json()["errors"]


def test_a_taken_name_is_409(office: Api) -> None:
    """User names are unique."""
    assert office.post("/users", new_user(username="anna")).status_code == 201
    assert office.post("/users", new_user(username="anna")).status_code == 409


def test_a_changed_password_ends_every_session(office: Api) -> None:
    """The old password and the old tokens are worth nothing any more."""
    caller = office.user("anna")
    second = office.another()
    second.login("anna")

    assert caller.patch("/users/change_password", {"new_password": "Another12345*"}).status_code == 200

    assert caller.get("/server_hello").status_code == 401
    assert second.get("/server_hello").status_code == 401
    assert office.another().login("anna", "Another12345*")["user_name"] == "anna"


def test_an_administrator_of_users_sets_passwords(office: Api) -> None:
    """PATCH with new_password ends the user's sessions and never shows the password."""
    caller = office.user("anna")
    row = office.get("/users", params={"filter_data": 'username="anna"'}).json()["data"]["items"][0]

    office.patch(f"/users/{row['id']}", {"data": {"new_password": "Another12345*"}})

    assert caller.get("/server_hello").status_code == 401
    audit = office.fetch("SELECT before, after FROM audit WHERE resource = 'users' AND method = 'PATCH'")
    assert "Another12345*" not in str(audit)


def test_each_new_password_counts_under_one_key(office: Api) -> None:
    """An Idempotency-Key replays no call that sets a password: the last password is the one in force."""
    key = {"Idempotency-Key": "k1"}
    anna = office.add_user("anna")
    for number in (1, 2):
        body = {"data": {"new_password": f"Another12345*{number}"}}
        assert office.patch(f"/users/{anna}", body, headers=key).status_code == 200
        assert office.another().login("anna", f"Another12345*{number}")["user_name"] == "anna"

    assert office.post("/users", new_user(username="otto"), headers=key).status_code == 201
    assert office.post("/users", new_user(username="otto"), headers=key).status_code == 409


def test_a_superuser_and_oneself_cannot_be_deleted(office: Api) -> None:
    """Nobody saws off the branch; 409 names them."""
    superuser = office.get("/users", params={"filter_data": 'username="rubackup"'}).json()["data"]["items"][0]["id"]
    other = office.add_user("other", Role.SUPERUSER)

    assert office.delete(f"/users/{superuser}").status_code == 409
    assert "other" in office.delete(f"/users/{other}").json()["message"]


def test_losing_a_role_ends_the_sessions(office: Api) -> None:
    """No session lives on with rights that are gone."""
    caller = office.user("anna", Role.SUPERVISOR)
    role = office.get("/supervisors").json()["data"]["items"][0]["id"]
    assert caller.get("/clients").status_code == 200

    assert office.delete(f"/supervisors/{role}").status_code == 200

    assert caller.get("/clients").status_code == 401
    caller.login("anna", PASSWORD)
    assert caller.get("/clients").status_code == 403


def test_a_role_is_given_once(office: Api) -> None:
    """Giving it again is a 409; an unknown user is named."""
    office.add_user("anna")

    assert office.post("/supervisors", {"data": {"supervisor": "anna"}}).status_code == 201
    assert office.post("/supervisors", {"data": {"supervisor": "anna"}}).status_code == 409
    unknown = office.post("/administrators", {"data": {"administrator": "nobody", "client_group": "nowhere"}})
    assert unknown.json()["errors"].keys() == {"data.administrator", "data.client_group"}


def test_groups_with_members_and_fixed_groups_stay(office: Api, rows: Stock) -> None:
    """Nobody and No group can be neither renamed nor deleted; groups with users or clients not deleted."""
    rows.client(group=(group := rows.client_group()))
    fixed = office.get("/client_groups", params={"filter_data": 'name="No group"'}).json()["data"]["items"][0]["id"]

    assert office.delete(f"/client_groups/{group}").status_code == 409
    assert office.delete(f"/client_groups/{fixed}").status_code == 409
    assert office.patch(f"/client_groups/{fixed}", {"data": {"name": "x"}}).status_code == 409
    assert office.delete("/user_groups/1").status_code == 409
