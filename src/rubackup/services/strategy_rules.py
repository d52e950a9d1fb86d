"""Rules of strategies: what of which client a strategy backs up, and with which parameters."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rubackup.catalog.database import Connection
from rubackup.domain import parameters
from rubackup.domain.errors import Conflict
from rubackup.domain.lookups import ResourceType
from rubackup.services import policy_fields, scopes
from rubackup.services.change import Change
from rubackup.services.fields import Problems, Ref, Row, given, update_columns
from rubackup.services.scopes import Limit
from rubackup.services.tasks import PRIORITY, Extension, check_client_encrypts, check_client_serves, extension_problems

_INSERT = """
INSERT INTO strategy_rules (strategy_id, client_id, resource_type, resource, priority, normal_execution_script,
    exception_execution_script, restore_script, module_parameters, common_parameters)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) ON CONFLICT DO NOTHING RETURNING id"""
_READ = """
SELECT r.*, c.group_id FROM strategy_rules r JOIN clients c ON c.id = r.client_id WHERE r.id = $1"""
_TAKEN = """
SELECT id FROM strategy_rules
WHERE strategy_id = $1 AND client_id = $2 AND resource_type = $3 AND resource = $4 AND id <> $5"""
_DELETE = """
DELETE FROM strategy_rules r USING clients c WHERE c.id = r.client_id AND r.{column} = ANY ($1::bigint[])
RETURNING r.id, r.strategy_id, c.group_id"""
_IN_STRATEGY = "SELECT k.client_id FROM strategy_rules k WHERE k.strategy_id = {}"
_RULE = "data.strategy_rule"

_CLIENT = Meta(description="The client that is backed up: `hostname (hwid)` or id.")
_OF = Meta(description="The strategy that the rule belongs to: name or id.")
_TYPE = Meta(description="A name of resource_types that the client can back up.")
_RESOURCE = Meta(
    description="What is backed up; for File system an absolute path.", min_length=1, max_length=32768
)  # fmt: skip
_NORMAL = Meta(description="Script on the client, run after a good copy: absolute path; empty: none.", max_length=4096)
_EXCEPTION = Meta(description="Script on the client, run after a failure: absolute path; empty: none.", max_length=4096)
_RESTORE = Meta(description="Script on the client, run after a restore: absolute path; empty: none.", max_length=4096)


class StrategyRule(msgspec.Struct, kw_only=True):
    """What of which client is backed up."""

    client_id: Annotated[Ref, _CLIENT]
    strategy_id: Annotated[Ref, _OF]
    resource_type: Annotated[str, _TYPE]
    resource: Annotated[str, _RESOURCE]
    normal_execution_script: Annotated[str, _NORMAL] = ""
    exception_execution_script: Annotated[str, _EXCEPTION] = ""
    priority: Annotated[int, PRIORITY] = 100
    restore_script: Annotated[str, _RESTORE] = ""


class NewStrategyRule(msgspec.Struct, kw_only=True):
    """A rule to be made."""

    strategy_rule: Annotated[StrategyRule, Meta(description="The rule.")]
    module_extensions: Annotated[Extension, Meta(description="Parameters of the resource type's module.")] = (
        msgspec.field(default_factory=Extension)
    )
    common_modules_extensions: Annotated[Extension, Meta(description="Parameters that every module knows.")] = (
        msgspec.field(default_factory=Extension)
    )


class StrategyRuleParts(msgspec.Struct, kw_only=True):
    """What to change of the rule itself."""

    client_id: Annotated[Ref, _CLIENT] | UnsetType = UNSET
    strategy_id: Annotated[Ref, _OF] | UnsetType = UNSET
    resource_type: Annotated[str, _TYPE] | UnsetType = UNSET
    resource: Annotated[str, _RESOURCE] | UnsetType = UNSET
    normal_execution_script: Annotated[str, _NORMAL] | UnsetType = UNSET
    exception_execution_script: Annotated[str, _EXCEPTION] | UnsetType = UNSET
    priority: Annotated[int, PRIORITY] | UnsetType = UNSET
    restore_script: Annotated[str, _RESTORE] | UnsetType = UNSET


class StrategyRuleChange(msgspec.Struct, kw_only=True):
    """What to change of a rule. Parameters that are not given stay as they are."""

    strategy_rule: Annotated[StrategyRuleParts, Meta(description="The rule.")] = msgspec.field(
        default_factory=StrategyRuleParts
    )
    module_extensions: Annotated[Extension, Meta(description="Parameters of the resource type's module.")] = (
        msgspec.field(default_factory=Extension)
    )
    common_modules_extensions: Annotated[Extension, Meta(description="Parameters that every module knows.")] = (
        msgspec.field(default_factory=Extension)
    )


async def create(change: Change, new: NewStrategyRule) -> int:
    """A new rule; the id. Conflict when the strategy backs up this resource of the client already."""
    problems, rule = Problems(), new.strategy_rule
    strategy = await _strategy(change, problems, rule.strategy_id)
    client = await _client(change, problems, rule.client_id, strategy and strategy["id"])
    resource_type = problems.label(ResourceType, rule.resource_type, f"{_RULE}.resource_type")
    resource = problems.folder(rule.resource, f"{_RULE}.resource")
    scripts = _scripts(problems, rule)
    if client and resource_type:
        check_client_serves(problems, client, resource_type, f"{_RULE}.resource_type")
    if client and strategy:
        check_client_encrypts(problems, client, strategy["crypto"], f"{_RULE}.client_id")
    problems.fields.update(_extension_problems(new, resource_type))
    problems.raise_any()
    rule_id: int | None = await change.db.fetchval(
        _INSERT, strategy["id"], client["id"], resource_type, resource, rule.priority, scripts["normal_execution_script"],
        scripts["exception_execution_script"], scripts["restore_script"], new.module_extensions.parameters,
        new.common_modules_extensions.parameters,
    )  # fmt: skip
    if rule_id is None:
        raise Conflict(f"Strategy {strategy['name']} backs up {resource} of this client already.")
    await _told(change, "created", rule_id, strategy["id"], client["group_id"])
    return rule_id


async def update(change: Change, rule_id: int, wanted: StrategyRuleChange) -> None:
    """Change what is given; Conflict when another rule of the strategy backs up the same."""
    problems, rule, before = Problems(), wanted.strategy_rule, await change.db.fetchrow(_READ, rule_id)
    columns = given(priority=rule.priority) | _scripts(problems, rule)
    if rule.resource_type is not UNSET:
        columns["resource_type"] = problems.label(ResourceType, rule.resource_type, f"{_RULE}.resource_type")
    if rule.resource is not UNSET:
        columns["resource"] = problems.folder(rule.resource, f"{_RULE}.resource")
    client = await _place(change, problems, rule, before, columns)
    resource_type = columns.get("resource_type", before["resource_type"])
    if client and resource_type:
        check_client_serves(problems, client, resource_type, f"{_RULE}.resource_type")
    problems.fields.update(_extension_problems(wanted, resource_type))
    problems.raise_any()
    columns["module_parameters"] = before["module_parameters"] | wanted.module_extensions.parameters
    columns["common_parameters"] = before["common_parameters"] | wanted.common_modules_extensions.parameters
    await _refuse_twin(change.db, dict(before) | columns)
    await update_columns(change.db, "strategy_rules", rule_id, columns)
    was = (before["strategy_id"], before["group_id"])
    now = (columns.get("strategy_id", was[0]), client["group_id"] if client else was[1])
    for strategy_id, group_id in sorted({was, now}):
        await _told(change, "changed", rule_id, strategy_id, group_id)


async def _place(
    change: Change, problems: Problems, rule: StrategyRuleParts, before: Row, columns: dict[str, Any]
) -> Row:
    """The client when strategy or client are given: one that the caller may name in the strategy. Fills `columns`."""
    if rule.client_id is UNSET and rule.strategy_id is UNSET:
        return None
    strategy_id = before["strategy_id"]
    if rule.strategy_id is not UNSET:
        strategy = await _strategy(change, problems, rule.strategy_id)
        columns["strategy_id"] = strategy_id = strategy and strategy["id"]
    named = before["client_id"] if rule.client_id is UNSET else rule.client_id
    client = await _client(change, problems, named, strategy_id)
    columns["client_id"] = client and client["id"]
    return client


async def delete(change: Change, ids: Sequence[int]) -> None:
    """Delete rules; copies that they made stay."""
    await _delete(change, "id", ids)


async def delete_of_clients(change: Change, clients: Sequence[int]) -> None:
    """Delete the rules of clients that are about to be deleted."""
    await _delete(change, "client_id", clients)


async def _delete(change: Change, column: str, ids: Sequence[int]) -> None:
    for row in await change.db.fetch(_DELETE.format(column=column), list(ids)):
        await _told(change, "deleted", row["id"], row["strategy_id"], row["group_id"])


async def _refuse_twin(db: Connection, row: dict[str, Any]) -> None:
    taken = await db.fetchval(
        _TAKEN, row["strategy_id"], row["client_id"], row["resource_type"], row["resource"], row["id"]
    )
    if taken is not None:
        raise Conflict(f"Rule {taken} of the strategy backs up {row['resource']} of this client already.")


async def _strategy(change: Change, problems: Problems, value: Ref) -> Row:
    limit = scopes.strategies(change.principal, write=True)
    return await problems.strategy(change.db, value, f"{_RULE}.strategy_id", limit)


async def _client(change: Change, problems: Problems, value: Ref, strategy_id: int | None) -> Row:
    """A client that the caller may name in a strategy: one of own groups, or one that has a rule there."""
    limit = scopes.clients(change.principal, "x.group_id", write=True)
    if limit != scopes.EVERYTHING:
        if strategy_id is None:
            return None  # which clients may be named hangs on the strategy, and that is wrong
        limit = scopes.either(limit, Limit(f"x.id IN ({_IN_STRATEGY})", (strategy_id,)))
    return await problems.client(change.db, value, f"{_RULE}.client_id", limit)


def _scripts(problems: Problems, rule: StrategyRule | StrategyRuleParts) -> dict[str, str]:
    """The scripts that are given, checked."""
    scripts = given(
        normal_execution_script=rule.normal_execution_script, restore_script=rule.restore_script,
        exception_execution_script=rule.exception_execution_script,
    )  # fmt: skip
    return {name: policy_fields.script(problems, text, f"{_RULE}.{name}") for name, text in scripts.items()}


def _extension_problems(body: NewStrategyRule | StrategyRuleChange, resource_type: str) -> dict[str, str]:
    """What is wrong with the parameters; those of the module of an unknown type cannot be judged."""
    table = parameters.BACKUP.get(resource_type)
    module = Extension() if table is None else body.module_extensions
    return extension_problems(module, body.common_modules_extensions, table or {}, parameters.COMMON_BACKUP)


async def _told(change: Change, kind: str, rule_id: int, strategy_id: int, group_id: int) -> None:
    await change.event(kind, "strategy_rules", rule_id, client_group_id=group_id, strategy_id=strategy_id)
