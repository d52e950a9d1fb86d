"""A head that is too large: refused in the envelope, by the name of what is too long, also while it is still being sent."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from rubackup.catalog.database import DatabaseAddress
from rubackup.cli.rb import access
from rubackup.sdk import Client, FileStore, Refused
from support.api import ENVELOPE, PASSWORD
from support.api_process import Authority, process
from support.rb import rb

LIMIT = "the address of a request and its headers may take 65,536 bytes together."


def test_what_is_too_long_is_named(
    authority: Authority, superuser: DatabaseAddress, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """By the API to every caller, by the client for Python, and by `rb`, which names its option; then calls go on."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv(access.PROFILE, "default")
    for name in (access.API, access.CA, access.TOKEN_FILE):
        monkeypatch.delenv(name, raising=False)
    store = FileStore(tmp_path / "config" / "rubackup" / "default" / "session.json")
    with process(authority.folder, superuser) as (_, port):
        base = f"https://localhost:{port}"
        assert ask(port, "/pool_list?limit=1&filter_data=" + "a" * 200_000) == (
            414, f"filter_data: is too long: {LIMIT}", {"filter_data": f"is too long: {LIMIT}"},
        )  # fmt: skip
        assert ask(port, "/" + "a" * 70_000 + "?b=" + "b" * 2_000) == (
            414, f"The address of the request is too long: {LIMIT}", {},
        )  # fmt: skip
        assert ask(port, "/pool_list", {"x-one": "a" * 40_000, "x-two": "b" * 40_000}) == (
            431, f"The headers of the request are too large: {LIMIT}", {},
        )  # fmt: skip
        assert ask(port, "/pool_list?filter_data=" + "a" * 60_000)[0] == 401

        with Client(base, ca_file=authority.folder / "root.crt", store=store, timeout_seconds=60) as api:
            api.login("rubackup", PASSWORD, database=superuser.database)
            with pytest.raises(Refused) as refused:  # more than any buffer on the way takes
                api.call("GET", "/pool_list", query={"filter_data": "a" * 8_000_000})
            assert (refused.value.status, list(refused.value.errors)) == (414, ["filter_data"])

        text = "a" * 100_000
        assert rb("pools", "list", "--filter", f'pool_name="{text}"') == (
            1, "", f"rb: refused\n  --filter (filter_data): is too long: {LIMIT}\n",
        )  # fmt: skip
        assert rb("pools", "get", text) == (1, "", f"rb: refused\n  ROW (filter_data): is too long: {LIMIT}\n")
        assert rb("pools", "list", "--json") == (0, "[]\n", "")


def ask(port: int, path: str, headers: Mapping[str, str] = {}) -> tuple[int, str, Any]:
    """Status, message and wrong fields of an answer in the envelope."""
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    connection = http.client.HTTPSConnection("localhost", port, context=context, timeout=60)
    try:
        connection.request("GET", f"/api/v1{path}", headers=dict(headers))
        answer = connection.getresponse()
        body = json.loads(answer.read())
    finally:
        connection.close()
    assert set(body) == ENVELOPE
    return answer.status, body["message"], body["errors"]
