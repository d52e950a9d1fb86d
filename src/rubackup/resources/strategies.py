"""Strategies, their rules, and who administers them."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from rubackup.api.resource import CRUD, Action, Body, Op, Resource, Source
from rubackup.domain.permissions import Permission
from rubackup.resources._adapters import limited, making, with_body
from rubackup.resources._examples import EXTENSIONS
from rubackup.services import backup_strategies, scopes, strategy_rules, user_roles
from rubackup.services.change import Change
from rubackup.services.strategy_fields import NewStrategy, StrategyChange, StrategyRow, row_columns
from rubackup.services.tasks import Extension


def _leg_example(leg: str) -> dict[str, Any]:
    return {
        f"{leg}_archive_enabled": False, f"{leg}_periodic_launch": "1 min", f"{leg}_storage_duration": "1 day",
        f"{leg}_min": 0, f"{leg}_hour": 0, f"{leg}_dom": 1, f"{leg}_mon": 1, f"{leg}_dow": 1,
        f"{leg}_move_copy_flag": False, f"{leg}_move_copy_while": "1 day", f"{leg}_move_copy_pool": "Default",
    }  # fmt: skip


_STRATEGY = {
    "data": {
        "name": "my_backup_strategy", "status": "wait", "pool_id": "Default", "crypto": "nocrypt",
        "storage_capacity": 50, "description": "some text about backup strategy",
        "validity_start_period": "2024-08-13T14:33:31.359954", "validity_end_period": "2025-08-13T14:33:31.360035",
        "verify_flag": True, "verify_interval": "1 day", "auto_delete_obsoleted_copy_flag": False,
        "inform_when_obsoleted_copy": "Nobody", "client_delete_flag": True,
        **_leg_example("full"), **_leg_example("inc"), **_leg_example("diff"),
        "notify_normal": "Nobody", "notify_normal_cc": "email@domain.ru",
        "notify_exception": "Nobody", "notify_exception_cc": "email@domain.ru",
        "notify_verify": "Nobody", "notify_verify_cc": "email@domain.ru",
        "notify_strategy_validity": "Nobody", "notify_strategy_validity_cc": "email@domain.ru",
        "notify_end_storage_capacity": "Nobody", "notify_end_storage_capacity_cc": "email@domain.ru",
    }
}  # fmt: skip
BACKUP_STRATEGIES = Resource(
    path="backup_strategies",
    name="Backup Strategies",
    tag="Backup Strategies",
    summary="When copies of many clients are made, and what becomes of them",
    read=Permission.READ_POLICIES,
    write=Permission.WRITE_STRATEGIES,
    make=Permission.MANAGE_STRATEGIES,
    remove=Permission.MANAGE_STRATEGIES,
    row=StrategyRow,
    source=Source(
        "backup_strategies s", "s.id", row_columns("s"),
        frozenset({"id", "name", "status", "pool_id_ref", "validity_end_period"}),
    ),
    ops=CRUD,
    scope=limited(lambda principal: scopes.strategies_seen(principal, "s.id")),
    changeable=limited(lambda principal: scopes.strategies(principal, "s.id", write=True)),
    create=making(backup_strategies.create),
    create_body=Body(NewStrategy, example=_STRATEGY),
    update=backup_strategies.update,
    update_body=Body(StrategyChange, example=_STRATEGY),
    delete=backup_strategies.delete,
    actions=(
        Action(
            "PATCH", "", "Start and stop strategies, all or none", Permission.WRITE_STRATEGIES,
            with_body(backup_strategies.set_status), operation_id="set_status_backup_strategies",
            body=Body(
                backup_strategies.StrategyStatus, many=True, example={"data": [{"strategy_id": 1, "status": "wait"}]}
            ),
            statuses={404: "There is no such strategy"},
        ),
    ),
)  # fmt: skip


class StrategyRuleRow(msgspec.Struct, kw_only=True):
    """A rule of a strategy."""

    id: Annotated[int, Meta(description="Id of the rule.")]
    client_id: Annotated[str, Meta(description="The client that is backed up, as `hostname (hwid)`.")]
    client_id_ref: Annotated[int, Meta(description="Id of the client.")]
    strategy_id: Annotated[str, Meta(description="Name of the strategy.")]
    strategy_id_ref: Annotated[int, Meta(description="Id of the strategy.")]
    resource_type: Annotated[str, Meta(description="A name of resource_types.")]
    resource: Annotated[str, Meta(description="What is backed up.")]
    normal_execution_script: Annotated[str, Meta(description="Script on the client, run after a good copy.")]
    exception_execution_script: Annotated[str, Meta(description="Script on the client, run after a failure.")]
    priority: Annotated[int, Meta(description="Priority of the rule's tasks; higher runs first.")]
    restore_script: Annotated[str, Meta(description="Script on the client, run after a restore.")]
    module_extensions: Annotated[Extension, Meta(description="Parameters of the resource type's module.")]
    common_modules_extensions: Annotated[Extension, Meta(description="Parameters that every module knows.")]
    created_at: Annotated[datetime, Meta(description="When the rule was made.")]


_OWN = (
    "id", "resource_type", "resource", "normal_execution_script", "exception_execution_script", "priority",
    "restore_script", "created_at",
)  # fmt: skip
_RULE = {
    "data": {
        "strategy_rule": {
            "client_id": "rubackup-client (525a99154f3505a2)", "strategy_id": "Default",
            "resource_type": "File system", "resource": "/home/", "normal_execution_script": "",
            "exception_execution_script": "", "priority": 100, "restore_script": "",
        },
        **EXTENSIONS,
    }
}  # fmt: skip
STRATEGY_RULES = Resource(
    path="strategy_rules",
    name="Strategy Rules",
    tag="Strategy Rules",
    summary="What of which clients strategies back up",
    read=Permission.READ_POLICIES,
    write=Permission.WRITE_STRATEGIES,
    row=StrategyRuleRow,
    source=Source(
        "strategy_rules r JOIN clients c ON c.id = r.client_id JOIN backup_strategies s ON s.id = r.strategy_id",
        "r.id",
        {
            **{one: f"r.{one}" for one in _OWN},
            "client_id": "c.hostname || ' (' || c.hwid || ')'", "client_id_ref": "r.client_id",
            "strategy_id": "s.name", "strategy_id_ref": "r.strategy_id",
            "module_extensions": "jsonb_build_object('parameters', r.module_parameters)",
            "common_modules_extensions": "jsonb_build_object('parameters', r.common_parameters)",
        },
        frozenset({"id", "client_id_ref", "strategy_id_ref"}),
    ),
    ops=CRUD,
    scope=limited(lambda principal: scopes.strategy_rules(principal, "r.strategy_id", "c.group_id")),
    changeable=limited(lambda principal: scopes.strategy_rules(principal, "r.strategy_id", "c.group_id", write=True)),
    create=making(strategy_rules.create),
    create_body=Body(strategy_rules.NewStrategyRule, example=_RULE),
    update=strategy_rules.update,
    update_body=Body(strategy_rules.StrategyRuleChange, example=_RULE),
    delete=strategy_rules.delete,
)  # fmt: skip


class StrategyAdministratorRow(msgspec.Struct, kw_only=True):
    """An administrator of a strategy."""

    id: Annotated[int, Meta(description="Id of the row.")]
    strategy: Annotated[str, Meta(description="Name of the strategy that the role covers.")]
    strategy_ref: Annotated[int, Meta(description="Id of that strategy.")]
    administrator: Annotated[str, Meta(description="Name of the user.")]
    administrator_ref: Annotated[int, Meta(description="Id of the user.")]


async def _remove(change: Change, ids: tuple[int, ...]) -> None:
    await user_roles.remove(change, "strategy_administrators", ids)


STRATEGY_ADMINISTRATORS = Resource(
    path="strategy_administrators",
    name="Strategy Administrators",
    tag="Strategy Administrators",
    summary="Who administers which strategy",
    read=Permission.READ_USERS,
    write=Permission.MANAGE_STRATEGIES,
    row=StrategyAdministratorRow,
    source=Source(
        "strategy_administrators r JOIN users u ON u.id = r.user_id JOIN backup_strategies s ON s.id = r.strategy_id",
        "r.id",
        {
            "id": "r.id", "strategy": "s.name", "strategy_ref": "r.strategy_id", "administrator": "u.username",
            "administrator_ref": "r.user_id",
        },
        frozenset({"id", "strategy_ref"}),
    ),
    ops=CRUD & ~Op.UPDATE,
    create=making(user_roles.add_strategy_administrator),
    create_body=Body(
        user_roles.NewStrategyAdministrator, example={"data": {"strategy": "Default", "administrator": "Nobody"}}
    ),
    delete=_remove,
)  # fmt: skip
