"""Samples of the inherited suite: kernel."""

from __future__ import annotations

import httpx

from support.api import Api
from support.fixtures import stock
from support.samples import Samples, unique


def tokens(api: Api) -> list[int]:
    """Three API tokens of the caller."""
    made = [api.post("/tokens", {"data": {"name": unique("token")}}) for _ in range(3)]
    return [one.json()["data"]["id"] for one in made]


def acknowledged(api: Api) -> httpx.Response:
    """Retention that was suspended goes on."""
    stock(api).row("UPDATE retention_state SET suspended_at = now(), reason = 'The clock leapt.' RETURNING 1")
    return api.post("/retention/acknowledgement", {"data": {"clock_is_right": True}})


SAMPLES: dict[str, Samples] = {
    "events": Samples(
        rows=lambda _api: [1, 2, 3],
        actions={"follow_events": lambda api: api.get("/events?follow=no")},
    ),
    "retention": Samples(
        rows=lambda _api: [1, 2, 3],
        actions={
            "get_retention": lambda api: api.get("/retention"),
            "post_retention_simulation": lambda api: api.post("/retention/simulation", {"data": {"period": "1 day"}}),
            "post_retention_acknowledgement": acknowledged,
        },
    ),
    "tokens": Samples(
        rows=tokens,
        actions={"create_tokens": lambda api: api.post("/tokens", {"data": {"name": unique("token")}})},
    ),
}
