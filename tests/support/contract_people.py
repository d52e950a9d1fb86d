"""Contract rows: logging in, users, roles, groups."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from support.office import PASSWORD, Office, example, unique
from support.rows import Call, Row, Rows, crud, data_of, deletes, lists, reads

NEW_PASSWORD = "Another12345*"


def login_body(name: str, password: str = PASSWORD) -> dict[str, str]:
    """The guide's body of a login."""
    return {"rubackup_database": "rubackup", "rubackup_user": name, "password": password}


# --- /auth ---


def _login(office: Office) -> Call:
    facts = office.system.facts
    password = Path(facts["password_file"]).read_text().strip()
    changes = {"rubackup_user": facts["superuser"], "password": password}
    return Call("/auth/login", example("POST", "/auth/login", **changes))


def _logged_in(office: Office, _call: Call, answer: httpx.Response) -> None:
    data = data_of(answer)
    headers = {"Authorization": f"Bearer {data['access_token']}", "X-CSRF-TOKEN": data["csrf_token"]}
    assert office.anonymous().get("/users", headers=headers).status_code == 200


def _refreshing(office: Office) -> httpx.Client:
    """A user with both tokens in the headers that the guide names."""
    name = office.user()
    client = office.anonymous()
    data = data_of(client.post("/auth/login", json=login_body(name)))
    client.cookies.clear()
    client.headers["Authorization-Access-Token"] = f"Bearer {data['access_token']}"
    client.headers["Authorization"] = f"Bearer {data['refresh_token']}"
    client.headers["X-CSRF-TOKEN"] = data["csrf_token"]
    return client


def _refreshed(office: Office, _call: Call, answer: httpx.Response) -> None:
    data = data_of(answer)
    headers = {"Authorization": f"Bearer {data['access_token']}", "X-CSRF-TOKEN": data["csrf_token"]}
    assert office.anonymous().get("/task_status", headers=headers).status_code == 200


def _leaving(office: Office) -> httpx.Client:
    return office.login(office.user())


def _logged_out(office: Office, _call: Call, answer: httpx.Response) -> None:
    assert answer.json()["message"] == "Authentication data has been revoked"
    headers = {key: answer.request.headers[key] for key in ("Authorization", "X-CSRF-TOKEN")}
    assert office.stranger.get("/task_status", headers=headers).status_code == 401


AUTH: Rows = {
    ("POST", "/auth/login"): Row(
        _login, _logged_in, absent=lambda _o: Call("/auth/login", login_body("nobody-at-all")), absent_status=401,
        caller=lambda o: o.anonymous(),
    ),
    ("POST", "/auth/refresh"): Row(
        lambda _o: Call("/auth/refresh"), _refreshed, absent=lambda _o: Call("/auth/refresh/1"), caller=_refreshing
    ),
    ("DELETE", "/auth/logout"): Row(
        lambda _o: Call("/auth/logout"), _logged_out, absent=lambda _o: Call("/auth/logout/1"), caller=_leaving
    ),
}  # fmt: skip


# --- roles ---


def role_rows(path: str, body: Callable[[Office], Any]) -> Rows:
    """Rows that give users a role: granting shows in the user's own login."""

    def granted(office: Office, call: Call, answer: httpx.Response) -> None:
        row = office.call("GET", answer.headers["location"].removeprefix("/api/v1"))
        for key, value in call.body["data"].items():
            assert row[key] == value, (key, row)
        name = next(value for key, value in call.body["data"].items() if key == person(path))
        roles = data_of(office.anonymous().post("/auth/login", json=login_body(name)))["role"]
        assert path.strip("/").removesuffix("s").replace("_", " ") in roles, roles

    def new(office: Office) -> int:
        return office.made(path, body(office))

    found = lists(path, new) | reads(path, new) | deletes(path, new)
    found["POST", path] = Row(lambda o: Call(path, body(o)), granted, absent=lambda _o: Call(f"{path}/1/nothing"))
    return found


def person(path: str) -> str:
    """The key of a role row that names the user."""
    return "administrator" if path == "/strategy_administrators" else path.strip("/").removesuffix("s")


def strategy(office: Office) -> str:
    """A new strategy; its name."""
    name = unique("strategy")
    office.made("/backup_strategies", example("POST", "/backup_strategies", name=name))
    return name


# --- users ---


def _new_user(_office: Office) -> Any:
    name = unique("person")
    return example("POST", "/users", username=name, user_password=PASSWORD, email=f"{name}@example.org")


def _changing(office: Office) -> httpx.Client:
    office.names["changing"] = office.user()
    return office.login(office.names["changing"])


def _password_changed(office: Office, _call: Call, _answer: httpx.Response) -> None:
    """The old password is dead, the new one works."""
    name = office.names["changing"]
    assert office.anonymous().post("/auth/login", json=login_body(name)).status_code == 401
    assert office.anonymous().post("/auth/login", json=login_body(name, NEW_PASSWORD)).status_code == 200


ROWS: Rows = {
    **AUTH,
    **role_rows("/administrators", lambda o: {"data": {"administrator": o.user(), "client_group": o.client_group()}}),
    **role_rows("/maintainers", lambda o: {"data": {"maintainer": o.user(), "media_server": o.media}}),
    **role_rows("/supervisors", lambda o: example("POST", "/supervisors", supervisor=o.user())),
    **role_rows(
        "/strategy_administrators",
        lambda o: example("POST", "/strategy_administrators", strategy=strategy(o), administrator=o.user()),
    ),
    **crud(
        "/users",
        _new_user,
        lambda _o, _id: example("PATCH", "/users/{id}", email="new@example.org", new_password=NEW_PASSWORD),
        unread=("new_password",),
    ),
    ("PATCH", "/users/change_password"): Row(
        lambda _o: Call("/users/change_password", {"new_password": NEW_PASSWORD}), _password_changed,
        absent=lambda _o: Call("/users/nobody", {"new_password": NEW_PASSWORD}), caller=_changing,
    ),
    **crud(
        "/user_groups",
        lambda _o: example("POST", "/user_groups", groupname=unique("user group")),
        lambda _o, _id: example("PATCH", "/user_groups/{id}", groupname=unique("user group")),
    ),
}  # fmt: skip
