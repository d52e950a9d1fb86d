"""What limits of bandwidth show alike, whoever they are of."""

from __future__ import annotations

from typing import Annotated

from msgspec import Meta

WindowStart = Annotated[str, Meta(description="Local time of day HH:MM:SS from which the limit holds.")]
WindowEnd = Annotated[
    str,
    Meta(
        description="Local time of day HH:MM:SS until which it holds; equal to window_start: all day, "
        "earlier: over midnight."
    ),
]
COLUMNS = {
    "backup_bandwidth": "b.backup_bandwidth", "restore_bandwidth": "b.restore_bandwidth",
    "window_start": "to_char(b.window_start, 'HH24:MI:SS')", "window_end": "to_char(b.window_end, 'HH24:MI:SS')",
}  # fmt: skip
"""Of a limit `b`."""
