"""Samples of the inherited suite: kernel."""

from __future__ import annotations

from support.api import Api
from support.samples import Samples, unique


def tokens(api: Api) -> list[int]:
    """Three API tokens of the caller."""
    made = [api.post("/tokens", {"data": {"name": unique("token")}}) for _ in range(3)]
    return [one.json()["data"]["id"] for one in made]


SAMPLES: dict[str, Samples] = {
    "events": Samples(
        rows=lambda _api: [1, 2, 3],
        actions={"follow_events": lambda api: api.get("/events?follow=no")},
    ),
    "tokens": Samples(
        rows=tokens,
        actions={"create_tokens": lambda api: api.post("/tokens", {"data": {"name": unique("token")}})},
    ),
}
