"""Keeping the processes' logs small: a log that has grown is copied aside and emptied.

The processes write in append mode, so they go on at the start of the emptied file; no
process has to be told.
"""

from __future__ import annotations

import os
import shutil
from pathlib import Path

LIMIT_BYTES = 16 << 20
KEPT = 3


def rotate(path: Path, limit_bytes: int = LIMIT_BYTES, kept: int = KEPT) -> bool:
    """Copy a log that is larger than the limit to `<name>.1`, older ones one further. Whether it was."""
    if not path.exists() or path.stat().st_size <= limit_bytes:
        return False
    for number in range(kept - 1, 0, -1):
        older = path.with_name(f"{path.name}.{number}")
        if older.exists():
            older.rename(path.with_name(f"{path.name}.{number + 1}"))
    with path.open("rb") as source, path.with_name(f"{path.name}.1").open("wb") as target:
        shutil.copyfileobj(source, target, 1 << 20)
    os.truncate(path, 0)
    return True


def last_line(path: Path, since: int = 0) -> str:
    """The last line that is not empty, of what was written after `since`; '' when there is none."""
    if not path.exists():
        return ""
    with path.open("rb") as log:
        size = log.seek(0, os.SEEK_END)
        log.seek(max(since if since <= size else 0, size - 8192))
        lines = [line.strip() for line in log.read().decode(errors="replace").splitlines() if line.strip()]
    return lines[-1] if lines else ""
