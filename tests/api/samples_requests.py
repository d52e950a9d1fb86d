"""Samples of the inherited suite: requests."""

from __future__ import annotations

from typing import Any

from rubackup.domain.permissions import Role
from support.api import Api
from support.fixtures import Stock, stock
from support.samples import Samples, unique


def new_rule_request(here: Stock, *, client: int | None = None, **fields: Any) -> int:
    """A rule that a client's user asks for."""
    row = {
        "client_id": client or here.client(), "requested_by": "anna", "requested_uid": 1000, "comment": "please",
        "name": unique("rule"), "resource_type": "File system", "resource": unique("/home"), "backup_type": "full",
        "pool_id": here.pool_with_storage(), "storage_duration": "1 months", "priority": 50, "crypto": "nocrypt",
        "min": "0", "hour": "2",
    }  # fmt: skip
    return here.insert("new_rule_requests", **(row | fields))


def delete_rule_request(here: Stock, *, client: int | None = None, rule: int | None = None, **fields: Any) -> int:
    """A rule that a client's user asks to have deleted."""
    client = client or here.client()
    row = {
        "client_id": client, "rule_id": rule or here.rule(client=client), "requested_by": "root", "requested_uid": 0,
        "comment": "not needed any more",
    }  # fmt: skip
    return here.insert("delete_rule_requests", **(row | fields))


def three_new(api: Api) -> list[int]:
    """Three rules that are asked for."""
    return [new_rule_request(stock(api)) for _ in range(3)]


def three_deletions(api: Api) -> list[int]:
    """Three rules that shall go."""
    return [delete_rule_request(stock(api)) for _ in range(3)]


ADMINISTRATOR = frozenset({Role.ADMINISTRATOR})
SAMPLES: dict[str, Samples] = {
    "new_rule_requests": Samples(
        rows=three_new,
        actions={
            "post_new_rule_requests_approve": lambda api: api.post(
                "/new_rule_requests/approve", {"ids": three_new(api)}
            ),
            "delete_new_rule_requests_decline": lambda api: api.delete(
                "/new_rule_requests/decline", {"ids": three_new(api)}
            ),
        },
        foreign=ADMINISTRATOR,
    ),
    "delete_rule_requests": Samples(
        rows=three_deletions,
        actions={
            "post_delete_rule_requests_approve": lambda api: api.post(
                "/delete_rule_requests/approve", {"ids": three_deletions(api)}
            ),
            "delete_delete_rule_requests_decline": lambda api: api.delete(
                "/delete_rule_requests/decline", {"ids": three_deletions(api)}
            ),
        },
        foreign=ADMINISTRATOR,
    ),
}
