"""Samples of the inherited suite: strategies, reports, notifications, the disaster recovery plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rubackup.domain.permissions import Role
from rubackup.resources._examples import EXTENSIONS
from support.api import Api
from support.fixtures import Stock, stock
from support.samples import Samples, unique

FOREIGN = frozenset({Role.ADMINISTRATOR, Role.STRATEGY_ADMINISTRATOR})


def three(make: Callable[[Stock], int]) -> Callable[[Api], list[int]]:
    """Three rows of a kind."""
    return lambda api: [make(stock(api)) for _ in range(3)]


def leg(name: str, pool: str, **fields: Any) -> dict[str, Any]:
    """The guide's keys of one leg."""
    keys = {
        "archive_enabled": False, "periodic_launch": "1 min", "storage_duration": "1 day", "min": 0, "hour": 0,
        "dom": 1, "mon": 1, "dow": 1, "move_copy_flag": False, "move_copy_while": "1 day", "move_copy_pool": pool,
    }  # fmt: skip
    return {f"{name}_{key}": value for key, value in (keys | fields).items()}


def strategy_body(api: Api, **fields: Any) -> dict[str, Any]:
    """The guide's body of POST /backup_strategies, with a pool that is there."""
    here = stock(api)
    pool = here.named("pools", here.pool_with_storage(), "pool_name")
    keys = {
        "name": unique("my_backup_strategy"), "status": "wait", "pool_id": pool, "crypto": "nocrypt",
        "storage_capacity": 50, "description": "some text about backup strategy",
        "validity_start_period": "2024-08-13T14:33:31.359954", "validity_end_period": "2025-08-13T14:33:31.360035",
        "verify_flag": True, "verify_interval": "1 day", "auto_delete_obsoleted_copy_flag": False,
        "inform_when_obsoleted_copy": "Nobody", "client_delete_flag": True,
        **leg("full", pool), **leg("inc", pool), **leg("diff", pool),
    }  # fmt: skip
    for what in ("normal", "exception", "verify", "strategy_validity", "end_storage_capacity"):
        keys |= {f"notify_{what}": "Nobody", f"notify_{what}_cc": "email@domain.ru"}
    return {"data": keys | fields}


def instants(**fields: str) -> dict[str, str]:
    """Instants as answers write them."""
    return {
        "validity_start_period": "2024-08-13T14:33:31.359954Z",
        "validity_end_period": "2035-08-13T14:33:31Z",
    } | fields


def strategy_changes(api: Api) -> list[dict[str, Any]]:
    """Every key of the guide's body, and its forms."""
    here = stock(api)
    other, told = here.named("pools", here.pool(), "pool_name"), here.named("user_groups", here.user_group(), "name")
    return [
        {"data": strategy_body(api)["data"] | instants()},
        {"data": {"name": unique("strategy"), "status": "run", "description": "x", "notify_normal": told}},
        {
            "data": leg("full", other, archive_enabled=True, min="*/5", hour=None, storage_duration="2 weeks",
                        move_copy_flag=True, move_copy_while="1 week", periodic_launch="")
        },
        {"data": {"validity_end_period": None, "verify_flag": False, "verify_interval": "", "notify_verify_cc": ""}},
    ]  # fmt: skip


STRATEGIES = Samples(
    rows=three(Stock.strategy),
    create=lambda api: [
        strategy_body(api),
        {"data": {"name": unique("strategy"), "pool_id": stock(api).pool()}},
        strategy_body(api, full_archive_enabled=True, status="run"),
    ],
    update=strategy_changes,
    actions={
        "set_status_backup_strategies": lambda api: api.patch(
            "/backup_strategies", {"data": [{"strategy_id": stock(api).strategy(), "status": "wait"}]}
        )
    },
    foreign=FOREIGN,
)


def rule_body(api: Api, **fields: Any) -> dict[str, Any]:
    """The guide's body of POST /strategy_rules, with a client and a strategy that are there."""
    here = stock(api)
    rule = {
        "client_id": here.label(here.client()),
        "strategy_id": here.named("backup_strategies", here.strategy(), "name"),
        "resource_type": "File system", "resource": "/home/", "normal_execution_script": "",
        "exception_execution_script": "", "priority": 100, "restore_script": "",
    }  # fmt: skip
    return {"data": {"strategy_rule": rule | fields, **EXTENSIONS}}


STRATEGY_RULES = Samples(
    rows=three(Stock.strategy_rule),
    create=lambda api: [rule_body(api), {"data": {"strategy_rule": rule_body(api)["data"]["strategy_rule"]}}],
    update=lambda api: [
        rule_body(api, resource="/home"),
        {"data": {"strategy_rule": {"priority": 7, "restore_script": "/usr/local/bin/after"}}},
        {"data": {"strategy_rule": {"normal_execution_script": "/opt/ok", "exception_execution_script": "/opt/bad"}}},
    ],
    foreign=FOREIGN,
)


def appointment(api: Api) -> dict[str, Any]:
    """A body that makes a new user administrator of a new strategy."""
    here, name = stock(api), unique("user")
    api.add_user(name)
    return {"data": {"strategy": here.named("backup_strategies", here.strategy(), "name"), "administrator": name}}


STRATEGY_ADMINISTRATORS = Samples(
    rows=lambda api: [
        stock(api).insert(
            "strategy_administrators", user_id=api.add_user(unique("user")), strategy_id=stock(api).strategy()
        )
        for _ in range(3)
    ],
    create=lambda api: [appointment(api)],
)

REPORT = {
    "perpetually": True, "start_period": "2024-09-07T22:06:09.809052", "end_period": "2025-09-07T22:06:09.809067",
    "status": "wait", "notify": "Nobody", "notify_cc": "email@domain.ru", "description": "",
}  # fmt: skip
"""The guide's body of PATCH /reports/{id}."""


def report_body(**fields: Any) -> dict[str, Any]:
    """The guide's body of POST /reports."""
    report = {"name": unique("my_report_name"), "owner": "Nobody", "min": 0, "hour": 0, "dom": 1, "mon": 1, "dow": 1}
    return {"data": report | REPORT | fields}


REPORTS = Samples(
    rows=three(Stock.report),
    create=lambda api: [
        report_body(),
        {"data": {"name": unique("report"), "perpetually": True}},
        report_body(perpetually=False, owner=stock(api).user_group(), status="run"),
    ],
    update=lambda api: [
        {"data": REPORT | {"start_period": "2024-09-07T22:06:09.809052Z", "end_period": "2025-09-07T22:06:09.809067Z"}},
        {"data": {"name": unique("report"), "min": "*/5", "hour": "8-18", "dom": None, "mon": None, "dow": "1-5"}},
        {"data": {"owner": stock(api).named("user_groups", stock(api).user_group(), "name"), "start_period": None}},
        {"data": {"perpetually": False, "end_period": "2035-09-07T22:06:09Z", "status": "run"}},
    ],
    actions={
        "set_status_reports": lambda api: api.patch(
            "/reports", {"data": [{"id": stock(api).report(), "status": "wait"}]}
        )
    },
)
NOTIFICATIONS = Samples(
    rows=three(Stock.notification),
    foreign=frozenset({Role.ADMINISTRATOR, Role.MAINTAINER, Role.STRATEGY_ADMINISTRATOR}),
)


def plan_body(api: Api, **fields: Any) -> dict[str, Any]:
    """The guide's body of POST /disaster_recovery_plan, with a client and a resource type that are there."""
    here = stock(api)
    plan = {
        "client": here.label(here.client()), "resource_type": "File system", "resource": "", "restore_destination": "",
        "autorun": True, "priority": 100, "description": "",
    }  # fmt: skip
    return {"data": plan | fields}


RECOVERY_PLAN = Samples(
    rows=three(Stock.recovery_plan),
    create=lambda api: [
        plan_body(api),
        {"data": {"client": stock(api).client(), "resource_type": "file system"}},
    ],
    update=lambda api: [
        plan_body(api),
        {"data": {"resource": "/srv", "restore_destination": "/for_restore", "autorun": False}},
        {"data": {"priority": 1, "description": "first of all", "resource_type": "File system"}},
    ],
    actions={
        "post_disaster_recovery_plan_id_checking": lambda api: api.post(
            f"/disaster_recovery_plan/{stock(api).recovery_plan()}/checking"
        )
    },
    foreign=FOREIGN,
)

SAMPLES: dict[str, Samples] = {
    "backup_strategies": STRATEGIES,
    "disaster_recovery_plan": RECOVERY_PLAN,
    "notifications": NOTIFICATIONS,
    "reports": REPORTS,
    "strategy_administrators": STRATEGY_ADMINISTRATORS,
    "strategy_rules": STRATEGY_RULES,
}
