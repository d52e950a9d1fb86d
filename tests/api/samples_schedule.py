"""Samples of the inherited suite: schedule."""

from __future__ import annotations

from typing import Any

from rubackup.domain.permissions import Role
from rubackup.resources.global_schedule import GLOBAL_SCHEDULE
from support.api import Api
from support.fixtures import stock
from support.samples import Samples, unique


def guide(body: Any) -> dict[str, Any]:
    """A copy of the guide's body below `data`."""
    return {key: dict(value) for key, value in body.example["data"].items()}


def new_rule(api: Api, **fields: Any) -> dict[str, Any]:
    """The guide's body of POST /global_schedule, with a client and pools that are there."""
    here, example = stock(api), guide(GLOBAL_SCHEDULE.create_body)
    pool = here.named("pools", here.pool_with_storage(), "pool_name")
    there = {"client_id": here.label(here.client()), "pool_id": pool, "move_copy_pool": pool}
    return {"data": example | {"global_schedule": example["global_schedule"] | there | fields}}


def short_rule(api: Api, **fields: Any) -> dict[str, Any]:
    """A body with nothing but what is required."""
    rule = new_rule(api)["data"]["global_schedule"]
    required = ("name", "client_id", "resource_type", "resource", "backup_type", "pool_id", "storage_duration")
    return {"data": {"global_schedule": {key: rule[key] for key in required} | fields}}


def group_name(api: Api) -> str:
    """The name of a new client group."""
    here = stock(api)
    return here.named("client_groups", here.client_group(), "name")


def rule_change(api: Api, **fields: Any) -> dict[str, Any]:
    """The guide's body of PATCH /global_schedule/{id}, with pools that are there and instants with their zone."""
    here, example = stock(api), guide(GLOBAL_SCHEDULE.update_body)
    pool = here.named("pools", here.pool_with_storage(), "pool_name")
    validity = {
        f"validity_{end}_period": f"202{year}-09-02T15:40:01.208623Z" for year, end in ((4, "start"), (5, "end"))
    }
    there = {"pool_id": pool, "move_copy_pool": pool, **validity}
    return {"data": example | {"global_schedule": example["global_schedule"] | there | fields}}


def changes(api: Api) -> list[dict[str, Any]]:
    """Good bodies of PATCH /global_schedule/{id}."""
    here = stock(api)
    group = here.named("user_groups", here.user_group(), "name")
    other = here.named("pools", here.pool_with_storage(), "pool_name")
    return [
        rule_change(api),
        {"data": {"global_schedule": {"name": unique("rule")}}},
        {"data": {"global_schedule": {"min": "*/15", "hour": "8-18", "dow": "1-5", "dom": None, "mon": 12}}},
        {"data": {"global_schedule": {"notify_normal": group, "notify_normal_cc": "a@example.org, b@example.org"}}},
        {"data": {"global_schedule": {"move_copy_flag": True, "move_copy_pool": other, "move_copy_while": "30 days"}}},
        {"data": {"global_schedule": {"storage_capacity": None, "restore_script": "/opt/after restore.sh"}}},
        {"data": {"global_schedule": {"periodic_launch": "2 Weeks", "status": "run"}}},
        {"data": {"common_modules_extensions": {"parameters": {"worker_parallelism": 3}}}},
    ]


def three_rules(api: Api) -> list[int]:
    """Three rules of different clients."""
    return [stock(api).rule() for _ in range(3)]


SAMPLES: dict[str, Samples] = {
    "global_schedule": Samples(
        rows=three_rules,
        create=lambda api: [
            new_rule(api),
            short_rule(api),
            short_rule(api, client_id=stock(api).client()),
            short_rule(api, client_id=group_name(api)),
        ],
        update=changes,
        actions={
            "set_status_global_schedule": lambda api: api.patch(
                "/global_schedule", {"data": [{"id": rule, "status": "run"} for rule in three_rules(api)]}
            ),
            "get_global_schedule_extension": lambda api: api.get(
                f"/global_schedule/extension?resource_type=File system&rule_id={stock(api).rule()}"
            ),
            "get_global_schedule_calendar": lambda api: api.get(
                "/global_schedule/calendar?from=2026-03-01T00:00:00Z&to=2026-03-02T00:00:00Z"
            ),
            "post_global_schedule_id_execution": lambda api: api.post(
                f"/global_schedule/{stock(api).rule()}/execution"
            ),
        },
        foreign=frozenset({Role.ADMINISTRATOR}),
    ),
    "global_schedule_log": Samples(
        rows=lambda api: [stock(api).rule_line() for _ in range(3)], foreign=frozenset({Role.ADMINISTRATOR})
    ),
}
