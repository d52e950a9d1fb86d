"""The guide's curl lines, letter for letter but for host, port, tokens and names."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from support.system import System

pytestmark = pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")

LOGIN = """curl -k -X POST
'https://api.rubackup.local:5656/api/v1/auth/login' \\
-H 'accept: application/json' \\
-H 'Content-Type: application/json' \\
-d '{"rubackup_database": "rubackup", "rubackup_user": "rubackup", "password": "Testing12345*"}'"""
REFRESH = """curl -k -X POST
'https://api.rubackup.local:5656/api/v1/auth/refresh' \\
-H 'accept: application/json' \\
-H 'Authorization-Access-Token: Bearer <access_token>' \\
-H 'Authorization: Bearer <refresh_token>' \\
-d ''"""
LOGOUT = """curl -k -X 'DELETE' \\
  'https://api.rubackup.local:5656/api/v1/auth/logout' \\
  -H 'accept: application/json' \\
  -H 'Authorization: Bearer <access_token>' \\
  -H 'X-CSRF-TOKEN: <csrf_token>'"""
CREATE = """curl --location
'https://api.rubackup.local:5656/api/v1/task_queue/' \\
--header 'Content-Type: application/json' \\
--header 'X-CSRF-TOKEN: <csrf_token>' \\
--header 'Authorization: Bearer <access_token>' \\
--data '{
  "data": {
    "task": {
      "client": "<client>",
      "resource": "/home/",
      "resource_type": "File system",
      "backup_type": "full",
      "pool": "Default",
      "crypto": "nocrypt",
      "priority": 100,
      "storage_duration": "1 Years",
      "archiving": false
    }
  }
}'"""
LIST = """curl -k -X 'GET' \\
  'https://api.rubackup.local:5656/api/v1/task_queue' \\
  -H 'accept: application/json' \\
  -H 'Authorization: Bearer <access_token>' \\
  -H 'X-CSRF-TOKEN: <csrf_token>'"""


def curl(system: System, line: str, *more: str, **values: str) -> str:
    """What a line of the guide prints, run against the system."""
    text = line.replace("https://api.rubackup.local:5656", system.facts["api"])
    for key, value in values.items():
        text = text.replace(f"<{key}>", value)
    words = shlex.split(text.replace("\\\n", " "))
    environment = {**os.environ, "CURL_CA_BUNDLE": system.facts["ca_file"]}
    result = subprocess.run([*words, *more], capture_output=True, text=True, timeout=300, check=True, env=environment)
    return result.stdout


def logged_in(system: System, *more: str) -> dict[str, Any]:
    """The answer of the guide's login line."""
    password = Path(system.facts["password_file"]).read_text().strip()
    output = curl(system, LOGIN.replace("Testing12345*", password), *more)
    answer: dict[str, Any] = json.loads(output[: output.rindex("}") + 1])
    return answer


def tokens(answer: dict[str, Any]) -> dict[str, str]:
    """The placeholders of later lines."""
    return {key: answer["data"][key] for key in ("access_token", "refresh_token", "csrf_token")}


def test_login_answers_with_the_keys_of_the_guide(system: System) -> None:
    """The login answer has the guide's keys in the guide's envelope."""
    answer = logged_in(system)

    assert set(answer) == {"data", "errors", "is_error", "message"}
    assert set(answer["data"]) == {
        "access_token", "csrf_token", "last_fail_login", "last_success_login", "package_version", "refresh_token",
        "role", "rubackup_server_address", "user_name",
    }  # fmt: skip
    assert answer["data"]["role"] == ["superuser"]
    assert re.fullmatch(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", answer["data"]["csrf_token"])


def test_the_cookie_jar_shows_both_tokens(system: System) -> None:
    """`--cookie-jar -` prints both cookies, for HTTP only."""
    password = Path(system.facts["password_file"]).read_text().strip()
    output = curl(system, LOGIN.replace("Testing12345*", password), "--cookie-jar", "-")

    assert re.search(r"#HttpOnly_localhost\s.*\saccess_token_cookie\s", output)
    assert re.search(r"#HttpOnly_localhost\s.*\srefresh_token_cookie\s", output)


def test_refresh_gives_a_new_pair_and_the_same_csrf_token(system: System) -> None:
    """Refreshing keeps the CSRF token and rotates the rest."""
    first = tokens(logged_in(system))
    second = tokens(json.loads(curl(system, REFRESH, **first)))

    assert second["csrf_token"] == first["csrf_token"]
    assert second["refresh_token"] != first["refresh_token"]


def test_logout_revokes_both_tokens(system: System) -> None:
    """After a logout neither token works."""
    pair = tokens(logged_in(system))
    answer = json.loads(curl(system, LOGOUT, **pair))

    assert answer == {
        "data": {}, "errors": {}, "is_error": False, "message": "Authentication data has been revoked",
    }  # fmt: skip
    assert json.loads(curl(system, LIST, **pair))["is_error"] is True
    assert json.loads(curl(system, REFRESH, **pair))["is_error"] is True


def test_the_guides_task_is_created_and_listed(system: System) -> None:
    """POST task_queue with the guide's body answers with the guide's message, and the task is in the queue."""
    pair = tokens(logged_in(system))
    answer = json.loads(curl(system, CREATE, client=system.facts["client"], **pair))
    match = re.fullmatch(
        r"Resource with name 'Task Queue' was created successfully! TASK WAS ADDED TO QUEUE:(\d+)", answer["message"]
    )
    listed = json.loads(curl(system, LIST, **pair))

    assert match is not None
    assert answer["data"] == {}
    assert int(match[1]) in [task["id"] for task in listed["data"]["items"]]
    system.done(int(match[1]))
