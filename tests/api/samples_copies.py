"""Samples of the inherited suite: copies."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx
import yaml

from support.api import Api
from support.fixtures import stock
from support.samples import Samples

_CONTRACT = Path(__file__).parents[1] / "contract" / "endpoints.yaml"


def guides_body(method: str, path: str) -> Any:
    """The example body of a row of the contract, as it stands."""
    rows = yaml.safe_load(_CONTRACT.read_text(encoding="utf-8"))
    (body,) = [row["body"] for row in rows if (row["method"], row["path"]) == (method, path)]
    return body


GUIDES_CONFIGURATION: dict[str, Any] = guides_body("PATCH", "/global_configuration")["data"]


def to_another_pool(what: str) -> Callable[[Api], httpx.Response]:
    """A copy that is copied or moved into another pool of its media server, named in the query as in the guide."""

    def call(api: Api) -> httpx.Response:
        here = stock(api)
        media = here.media_server()
        record = here.record(pool=here.pool_with_storage(media=media))
        target = here.named("pools", here.pool_with_storage(media=media), "pool_name")
        return api.post(f"/repository/{record}/{what}", params={"pool": target})

    return call


SAMPLES: dict[str, Samples] = {}
