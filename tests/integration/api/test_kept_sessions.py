"""Sessions outlive the API's process where its secret is kept, and what has ended stays over."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import httpx

from rubackup.catalog.database import DatabaseAddress
from support.api import PASSWORD, password_hash
from support.api_process import Authority, process
from support.databases import execute

ANOTHER = "Testing54321*"
NAMES = ("rubackup", "leaves", "changes", "demoted", "withdrawn")


class Caller:
    """A user of the API, over whichever process serves."""

    def __init__(self, port: int, database: str, user: str) -> None:
        self.user = user
        body = {"rubackup_database": database, "rubackup_user": user, "password": PASSWORD}
        self.tokens: dict[str, Any] = self.send(port, "POST", "/auth/login", {}, body).json()["data"]

    def send(self, port: int, method: str, path: str, headers: dict[str, str], body: Any = None) -> httpx.Response:
        """One call."""
        url = f"https://localhost:{port}/api/v1{path}"
        return httpx.request(method, url, headers=headers, json=body, verify=False, timeout=60)

    def call(self, port: int, method: str = "GET", path: str = "/crypto", body: Any = None) -> int:
        """The status of a call with the access token."""
        headers = {"Authorization": f"Bearer {self.tokens['access_token']}", "X-CSRF-TOKEN": self.tokens["csrf_token"]}
        return self.send(port, method, path, headers, body).status_code

    def refresh(self, port: int) -> int:
        """The status of a renewal of the tokens."""
        headers = {
            "Authorization": f"Bearer {self.tokens['refresh_token']}",
            "Authorization-Access-Token": f"Bearer {self.tokens['access_token']}",
        }
        return self.send(port, "POST", "/auth/refresh", headers).status_code


def test_a_restart_ends_no_session_and_revives_none(authority: Authority, superuser: DatabaseAddress) -> None:
    """A logout, a changed password, a lost role and a catalogue that was put back hold after it, as before."""
    for name in NAMES[1:]:
        sql = "INSERT INTO users (username, password_hash, group_id) VALUES ('{}', '{}', 1)"
        execute(superuser, sql.format(name, password_hash()))
    execute(superuser, "INSERT INTO auditors (user_id) SELECT id FROM users WHERE username = 'demoted'")
    kept = authority.folder / "kept"
    kept.mkdir()
    with process(authority.folder, superuser, STATE_DIR=str(kept)) as (running, port):
        callers = {name: Caller(port, superuser.database, name) for name in NAMES}
        ids = _ids(callers["rubackup"], port)
        assert {caller.call(port) for caller in callers.values()} == {200}
        assert callers["leaves"].call(port, "DELETE", "/auth/logout") == 200
        body = {"data": {"new_password": ANOTHER}}
        assert callers["rubackup"].call(port, "PATCH", f"/users/{ids['changes']}", body) == 200
        assert callers["rubackup"].call(port, "DELETE", f"/auditors/{ids['demoted role']}") < 300
        # What putting a catalogue back does: a backup has no sessions.
        execute(
            superuser, "DELETE FROM token_families WHERE user_id = (SELECT id FROM users WHERE username = 'withdrawn')"
        )
        running.kill()

    with process(authority.folder, superuser, STATE_DIR=str(kept)) as (_, port):
        after = {name: (caller.call(port), caller.refresh(port)) for name, caller in callers.items()}

    assert after == {"rubackup": (200, 200)} | dict.fromkeys(NAMES[1:], (401, 401))


def _ids(caller: Caller, port: int) -> dict[str, int]:
    """Of users by name, and of the role that one will lose."""
    headers = {"Authorization": f"Bearer {caller.tokens['access_token']}", "X-CSRF-TOKEN": caller.tokens["csrf_token"]}
    users = caller.send(port, "GET", "/users?limit=100", headers).json()["data"]["items"]
    auditors = caller.send(port, "GET", "/auditors?limit=100", headers).json()["data"]["items"]
    return {one["username"]: one["id"] for one in users} | {"demoted role": auditors[0]["id"]}


def test_deleting_the_file_and_restarting_ends_all_sessions(
    authority: Authority, superuser: DatabaseAddress, tmp_path: Path
) -> None:
    """That is how an administrator does so; the API makes another file, and does not say what is in it."""
    kept = tmp_path / "kept"
    kept.mkdir()
    with process(authority.folder, superuser, STATE_DIR=str(kept), LOG_LEVEL="DEBUG") as (_, port):
        caller = Caller(port, superuser.database, "rubackup")
    secret = (kept / "token-secret").read_text().strip()
    logs = (authority.folder / "log").read_text()
    (kept / "token-secret").unlink()

    with process(authority.folder, superuser, STATE_DIR=str(kept), LOG_LEVEL="DEBUG") as (_, port):
        assert (caller.call(port), caller.refresh(port)) == (401, 401)
    another = (kept / "token-secret").read_text().strip()
    logs += (authority.folder / "log").read_text()
    assert another != secret
    assert secret not in logs
    assert another not in logs
