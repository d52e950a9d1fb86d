"""The small REST client, against an API of three routes that forgets its tokens on request."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from rubackup.domain.errors import Unavailable
from rubackup.roles.rest import ApiFault, RestClient
from support.small_api import SmallApi, certificates


@pytest.fixture
def client(api: SmallApi, tmp_path: Path) -> Iterator[RestClient]:
    """A client of the right user."""
    client = RestClient(f"https://localhost:{api.server_port}", tmp_path / "root", "rubackup", "right")
    yield client
    client.close()


def test_the_first_call_logs_in_and_a_list_is_read_to_its_end(api: SmallApi, client: RestClient):
    """Pages are the client's matter."""
    assert [row["id"] for row in client.items("/rows")] == [1, 2, 3, 4, 5]
    assert api.calls == ["/api/v1/auth/login"] + ["/api/v1/rows"] * 3


def test_tokens_that_ran_out_are_refreshed(api: SmallApi, client: RestClient):
    """Nobody has to log in again after 15 minutes."""
    client.login()
    api.issued += 1

    assert list(client.items("/rows"))
    assert api.calls[1:3] == ["/api/v1/rows", "/api/v1/auth/refresh"]


def test_after_a_restart_of_the_api_it_logs_in_again(api: SmallApi, client: RestClient):
    """A fresh token secret makes refresh tokens worthless too."""
    client.login()
    api.issued += 1
    api.refreshable = False

    assert list(client.items("/rows"))
    assert api.calls[1:4] == ["/api/v1/rows", "/api/v1/auth/refresh", "/api/v1/auth/login"]


def test_a_refusal_carries_the_message_of_the_api(client: RestClient):
    """What the API says is what the user reads."""
    with pytest.raises(ApiFault, match=r"^The resource was not found\.$") as caught:
        client.get("/none")

    assert caught.value.status == 404


def test_a_wrong_password_is_asked_once(api: SmallApi, tmp_path: Path):
    """No loop of logins."""
    client = RestClient(f"https://localhost:{api.server_port}", tmp_path / "root", "rubackup", "wrong")

    with pytest.raises(ApiFault, match="Verification failed"):
        client.get("/rows")

    client.close()
    assert api.calls == ["/api/v1/auth/login"]


def test_a_server_of_another_root_is_not_spoken_to(api: SmallApi, tmp_path: Path):
    """The password is never sent to a stranger."""
    other = tmp_path / "other"
    other.mkdir()
    client = RestClient(f"https://localhost:{api.server_port}", certificates(other)[1], "rubackup", "right")

    with pytest.raises(Unavailable, match="certificate verify failed"):
        client.login()

    assert api.calls == []
