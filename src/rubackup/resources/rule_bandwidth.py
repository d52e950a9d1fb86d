"""Limits of the bandwidth of rules of the global schedule: rows of our own."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.api.resource import CRUD, Body, Resource, Source
from rubackup.domain.permissions import Permission
from rubackup.resources._adapters import limited, making
from rubackup.resources._bandwidth import COLUMNS, WindowEnd, WindowStart
from rubackup.services import rule_bandwidth, scopes


class RuleBandwidthRow(msgspec.Struct, kw_only=True):
    """A limit of a rule's bandwidth."""

    id: Annotated[int, Meta(description="Id of the limit.")]
    rule: Annotated[int, Meta(description="Id of the rule.")]
    rule_name: Annotated[str, Meta(description="Name of the rule.")]
    backup_bandwidth: Annotated[int, Meta(description="Limit of its backups in KiB per second; 0: no limit.")]
    restore_bandwidth: Annotated[
        int, Meta(description="Limit of restores of its copies in KiB per second; 0: no limit.")
    ]
    window_start: WindowStart
    window_end: WindowEnd


_EXAMPLE = {
    "rule": 1, "backup_bandwidth": 0, "restore_bandwidth": 0, "window_start": "00:00:00", "window_end": "00:00:00",
}  # fmt: skip

RULE_BANDWIDTH = Resource(
    path="rule_bandwidth",
    name="Rule Bandwidth",
    tag="Rule Bandwidth",
    summary="Limits of the bandwidth of rules",
    read=Permission.READ_POLICIES,
    write=Permission.WRITE_RULES,
    row=RuleBandwidthRow,
    source=Source(
        "rule_bandwidth b JOIN global_schedule s ON s.id = b.rule_id LEFT JOIN clients c ON c.id = s.client_id "
        "JOIN client_groups og ON og.id = coalesce(c.group_id, s.client_group_id)",
        "b.id",
        {
            "id": "b.id", "rule": "b.rule_id", "rule_name": "s.name", **COLUMNS,
        },
        frozenset({"id", "rule"}),
    ),
    ops=CRUD,
    scope=limited(lambda principal: scopes.clients(principal, "og.id")),
    changeable=limited(lambda principal: scopes.clients(principal, "og.id", write=True)),
    create=making(rule_bandwidth.create),
    create_body=Body(rule_bandwidth.NewRuleBandwidth, example={"data": _EXAMPLE}),
    update=rule_bandwidth.update,
    update_body=Body(rule_bandwidth.RuleBandwidthChange, example={"data": _EXAMPLE}),
    delete=rule_bandwidth.delete,
)  # fmt: skip
