"""Samples of the inherited suite: requests."""

from __future__ import annotations

from support.samples import Samples

SAMPLES: dict[str, Samples] = {}
