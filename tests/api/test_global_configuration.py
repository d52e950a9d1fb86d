"""The global configuration: what can be read, what can be written, and that nothing else can."""

from __future__ import annotations

import pytest
from samples import backup_body
from samples_copies import GUIDES_CONFIGURATION

from rubackup.domain.permissions import Role
from rubackup.services.configuration import DEFAULTS
from rubackup.services.global_configuration import KEYS, ConfigurationChange
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


def test_the_guides_own_body_is_taken_and_read_back(office: Api) -> None:
    """All of its keys, as they stand in the guide, at once."""
    answer = office.patch("/global_configuration", {"data": GUIDES_CONFIGURATION})

    assert answer.status_code == 200, answer.text
    assert office.get("/global_configuration").json()["data"] == GUIDES_CONFIGURATION
    assert len(GUIDES_CONFIGURATION) == 54


def test_an_emergency_storage_that_hosts_empty_is_taken_with_a_warning(office: Api) -> None:
    """The guide's own value is one; the answer says what it means."""
    field = "emergency_storage_local_catalog"
    answer = office.patch("/global_configuration", {"data": {field: GUIDES_CONFIGURATION[field]}})
    assert answer.status_code == 200
    assert answer.json()["message"].startswith(
        "Resource with name 'Global Configuration' was updated successfully! But:"
    )
    assert "Hosts empty /tmp when they boot" in answer.json()["message"]
    lasting = office.patch("/global_configuration", {"data": {field: "/srv/spare"}})
    assert lasting.json()["message"] == "Resource with name 'Global Configuration' was updated successfully!"


def test_what_is_read_can_be_sent_back(office: Api) -> None:
    """The defaults are good values."""
    data = office.get("/global_configuration").json()["data"]
    assert office.patch("/global_configuration", {"data": data}).status_code == 200
    assert office.get("/global_configuration").json()["data"] == data


GOOD = {
    "data_spred_into_pool": ["sequentially", "evenly"],
    "create_new_task_if_client_offline": ["create new task", "do not create new task"],
    "bandwidth_limit_advantage": ["client", "rule"],
    "bandwidth_client_limit": ["minimum", "maximum"],
    "bandwidth_rule_limit": ["minimum", "maximum"],
    "emergency_storage_local_catalog": ["", "/srv/with space"],
    "tape_library_mount_point": ["/mnt"],
    "service_window_start": ["00:00:00", "23:59:59", "07:30:01"],
    "service_window_end": ["00:00:00", "23:59:59"],
    "rb_key_hash": ["", "0123456789abcdef" * 4],
    "mandatory_storage_time": [0, 36_500],
    "digital_signature_public_key_obsolence": [1, 525_600],
    "suspended_task_restart_period": [1, 5_256_000],
}
BAD = {
    "data_spred_into_pool": ["", "Sequentially", 1],
    "create_new_task_if_client_offline": ["no"],
    "bandwidth_limit_advantage": ["server"],
    "bandwidth_client_limit": ["average"],
    "emergency_storage_local_catalog": ["tmp", "/", "/a\0b", "/a\nb", "/" + "x" * 5000, "/tmp/../etc", "/a/.", "//a"],
    "tape_library_mount_point": ["mnt"],
    "service_window_start": ["24:00:00", "7:30:00", "07:30", "", "07:60:00"],
    "rb_key_hash": ["ab", "X" * 64, "AB" * 32],
    "mandatory_storage_time": [-1, 36_501, 1.5, True],
    "digital_signature_public_key_obsolence": [0],
    "done_tasks_remove_period": [0, "1440", None],
    "dedup_provide_common_hash_table": ["on", True],
    "immutable_archives": ["yes", 1],
    "wrong_auth_attempts_count": [0],
    "pool_storage_capacity_reserve": [-1],
    "no_such_key": [1],
}


@pytest.mark.parametrize("key", GOOD)
def test_every_value_that_is_allowed_is_kept(office: Api, key: str) -> None:
    """As it was given."""
    for value in GOOD[key]:
        assert patch(office, **{key: value}) == {}
        assert office.get("/global_configuration").json()["data"][key] == value


@pytest.mark.parametrize("key", BAD)
def test_wrong_values_are_named(office: Api, key: str) -> None:
    """Nothing is changed by them."""
    before = office.get("/global_configuration").json()["data"]
    for value in BAD[key]:
        assert patch(office, **{key: value}, killed_tasks_remove_period=7).keys() == {f"data.{key}"}, value
    assert office.get("/global_configuration").json()["data"] == before


def test_every_switch_of_words_takes_yes_and_no_only(office: Api) -> None:
    """As the guide writes them."""
    switches = [key for key, value in GUIDES_CONFIGURATION.items() if value in {"yes", "no"}]
    assert len(switches) == 12
    for value in ("yes", "no"):
        assert patch(office, **dict.fromkeys(switches, value)) == {}
    assert patch(office, **dict.fromkeys(switches, "maybe")).keys() == {f"data.{key}" for key in switches}


def test_a_key_that_acts_later_says_with_what(office: Api) -> None:
    """The documents of the API tell which switches do nothing yet."""
    for name, key in KEYS.items():
        meta = ConfigurationChange.__annotations__[name].__args__[0].__metadata__[0]
        assert ("Stored and shown" in meta.description) is not key.acts, name


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
