"""The global configuration: what can be read, changed, and what cannot yet."""

from __future__ import annotations

import pytest
from samples import backup_body

from rubackup.domain.permissions import Role
from rubackup.services.configuration import DEFAULTS
from support.api import Api


def patch(api: Api, **keys: object) -> dict[str, str]:
    """The errors of a change; none when it was done."""
    found: dict[str, str] = api.patch("/global_configuration", {"data": keys}).json()["errors"]
    return found


def test_every_key_has_a_value(office: Api) -> None:
    """A fresh installation shows the defaults; the service mode has a call of its own."""
    assert office.get("/global_configuration").json()["data"] == {
        key: value for key, value in DEFAULTS.items() if key != "service_mode"
    }


def test_a_change_is_read_back_and_audited(office: Api) -> None:
    """Only what is given changes; the audit has before and after."""
    assert patch(office, done_tasks_remove_period=5, wrong_auth_attempts_count=3) == {}

    data = office.get("/global_configuration").json()["data"]
    audit = office.fetch("SELECT before, after FROM audit WHERE resource = 'global_configuration'")[0]
    assert data == {k: v for k, v in DEFAULTS.items() if k != "service_mode"} | {
        "done_tasks_remove_period": 5, "wrong_auth_attempts_count": 3,
    }  # fmt: skip
    assert audit["before"] == {"done_tasks_remove_period": 1440, "wrong_auth_attempts_count": 5}
    assert audit["after"] == {"done_tasks_remove_period": 5, "wrong_auth_attempts_count": 3}


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("done_tasks_remove_period", 0), ("done_tasks_remove_period", "1440"), ("dedup_provide_common_hash_table", "on"),
        ("wrong_auth_attempts_count", 0), ("pool_storage_capacity_reserve", -1), ("no_such_key", 1),
    ],
)  # fmt: skip
def test_wrong_values_are_named(office: Api, key: str, value: object) -> None:
    """Nothing is changed by them."""
    assert patch(office, **{key: value}, killed_tasks_remove_period=7).keys() == {f"data.{key}"}
    assert office.get("/global_configuration").json()["data"]["killed_tasks_remove_period"] == 10080


def test_a_switch_that_does_nothing_yet_cannot_be_turned(office: Api) -> None:
    """Nobody shall rely on it; sending the value that it has is fine."""
    assert patch(office, immutable_archives=True).keys() == {"data.immutable_archives"}
    assert patch(office, immutable_archives=False) == {}


def test_the_service_mode_stops_new_tasks(office: Api) -> None:
    """Switched on it refuses them, switched off it lets them in; server_hello tells."""
    assert office.patch("/global_configuration/service_mode", {"service_mode": True}).status_code == 200
    assert office.post("/task_queue", backup_body(office)).status_code == 409
    assert office.get("/server_hello").json()["data"]["service_mode"] is True
    office.patch("/global_configuration/service_mode", {"service_mode": False})

    assert office.post("/task_queue", backup_body(office)).status_code == 201


def test_only_a_superuser_changes_it(office: Api) -> None:
    """A supervisor reads it."""
    boss = office.user("boss", Role.SUPERVISOR)

    assert boss.get("/global_configuration").status_code == 200
    assert boss.patch("/global_configuration", {"data": {"done_tasks_remove_period": 5}}).status_code == 403
    assert boss.patch("/global_configuration/service_mode", {"service_mode": True}).status_code == 403
