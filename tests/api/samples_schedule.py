"""Samples of the inherited suite: schedule."""

from __future__ import annotations

from support.samples import Samples

SAMPLES: dict[str, Samples] = {}
