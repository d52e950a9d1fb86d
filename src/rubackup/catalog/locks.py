"""Advisory locks of the service database that more than one module takes; each module names its own others."""

from __future__ import annotations

from typing import Final

LEADER_LOCK: Final = 0x52_42_4C_45_41  # "RBLEA": held by the server that leads
