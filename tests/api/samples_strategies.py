"""Samples of the inherited suite: strategies."""

from __future__ import annotations

from support.samples import Samples

SAMPLES: dict[str, Samples] = {}
