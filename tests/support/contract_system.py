"""Contract rows: the lookup tables, the global configuration, what the system says of itself."""

from __future__ import annotations

import httpx

from support.office import MISSING, Office, contract, example
from support.rows import Call, Row, Rows, data_of, lookup

LOOKUPS = (
    "/backup_types", "/compression_type", "/crypto", "/deduplication_hash_algorithm", "/destination_storage_types",
    "/disaster_recovery_record_status", "/license_types", "/notifications_status", "/os_types", "/resource_types",
    "/status_of_rule", "/tape_types", "/task_status", "/verification_status",
)  # fmt: skip


def _configuring(_office: Office) -> Call:
    return Call("/global_configuration", example("PATCH", "/global_configuration"))


def _configured(office: Office, call: Call, _answer: httpx.Response) -> None:
    """Every key reads back; then the office's own values are put back, as some of the guide's forbid to delete."""
    found = office.call("GET", "/global_configuration")
    assert {key: found[key] for key in call.body["data"]} == call.body["data"]
    office.call("PATCH", "/global_configuration", {"data": office.configuration})


def _shown(_office: Office, _call: Call, answer: httpx.Response) -> None:
    wanted = contract()["PATCH", "/global_configuration"]["body"]["data"]
    assert data_of(answer).keys() >= wanted.keys()


def _mode(office: Office, _call: Call, _answer: httpx.Response) -> None:
    assert office.call("GET", "/server_hello")["service_mode"] is False


def _hello(_office: Office, _call: Call, answer: httpx.Response) -> None:
    assert [server["is_leader"] for server in data_of(answer)["servers"]] == [True]


def _state(office: Office) -> Call:
    return Call("/server_state", about=office.waiting("client")["id"])


def _state_shows(_office: Office, call: Call, answer: httpx.Response) -> None:
    found = data_of(answer)
    assert call.about in [host["id"] for host in found["unauthorised_clients"]]
    wanted = {
        "unauthorised_media_servers", "expired_global_schedule_rules", "expired_strategies", "new_rule_requests",
        "delete_rule_requests",
    }  # fmt: skip
    assert found.keys() >= wanted


def _nothing(path: str) -> Call:
    return Call(f"{path}/{MISSING}/nothing")


ROWS: Rows = {
    ("PATCH", "/global_configuration"): Row(_configuring, _configured, absent=lambda _o: _nothing("/global_configuration")),
    ("GET", "/global_configuration"): Row(
        lambda _o: Call("/global_configuration"), _shown, absent=lambda _o: _nothing("/global_configuration")
    ),
    ("PATCH", "/global_configuration/service_mode"): Row(
        lambda _o: Call("/global_configuration/service_mode", example("PATCH", "/global_configuration/service_mode")), _mode,
        absent=lambda _o: _nothing("/global_configuration/service_mode"),
        invalid=lambda call: Call(call.path, {"service_mode": "perhaps"}),
    ),
    ("GET", "/server_hello"): Row(lambda _o: Call("/server_hello"), _hello, absent=lambda _o: _nothing("/server_hello")),
    ("GET", "/server_state"): Row(_state, _state_shows, absent=lambda _o: _nothing("/server_state")),
}  # fmt: skip
for _path in LOOKUPS:
    ROWS |= lookup(_path)
