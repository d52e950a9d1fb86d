"""What a backup logs is in the task's log before its record is published, which ends the task."""

from __future__ import annotations

from pathlib import Path

import pytest

from support.channels import MemoryBackup
from support.trees import Copies


def test_nothing_is_logged_behind_the_record(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Lines from its beginning to its end; who waits for the end of the task sees all of them."""
    (tmp_path / "folder").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "folder")
    copies = Copies()
    seal, delivered = MemoryBackup.seal, []

    def sealing(channel: MemoryBackup, *sums: int) -> object:
        delivered.append((copies.watch.delivered, len(copies.watch.lines)))
        return seal(channel, *sums)

    monkeypatch.setattr(MemoryBackup, "seal", sealing)

    copies.backup(tmp_path / "link")

    ((told, logged),) = delivered
    assert told == logged == len(copies.watch.lines) > 0
