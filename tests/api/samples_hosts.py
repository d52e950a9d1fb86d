"""Samples of the inherited suite: hosts."""

from __future__ import annotations

from support.samples import Samples

SAMPLES: dict[str, Samples] = {}
