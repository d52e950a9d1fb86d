"""Contract rows: tape libraries, robots, drives, slots, cartridges, their queue."""

from __future__ import annotations

from support.rows import Rows

ROWS: Rows = {}
