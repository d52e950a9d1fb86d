"""Somebody swaps a folder for a link, over and over, while a restore writes into it."""

from __future__ import annotations

import ctypes
import threading
from pathlib import Path

from support.trees import Copies, landed

FILES = 120
AT_FDCWD, RENAME_EXCHANGE = -100, 2


def test_a_restore_never_writes_through_a_link_that_comes_and_goes(tmp_path: Path) -> None:
    """Files may fail; nothing is ever made, changed or removed where the link points to."""
    source, target, outside = tmp_path / "source", tmp_path / "target", tmp_path / "outside"
    (source / "folder" / "inner").mkdir(parents=True)
    for number in range(FILES):
        (source / "folder" / f"{number:03}").write_text("restored")
        (source / "folder" / "inner" / f"{number:03}").write_text("restored")
    copies = Copies()
    copies.backup(source)
    (outside / "inner").mkdir(parents=True)
    (outside / "000").write_text("precious")
    (outside / "inner" / "001").write_text("precious")
    outside.chmod(0o751)
    swapped = landed(target, source) / "folder"
    swapped.mkdir(parents=True)
    link = swapped.with_name("link")
    link.symlink_to(outside)
    over = threading.Event()
    swaps = 0
    exchange = ctypes.CDLL(None, use_errno=True).renameat2

    def swap() -> None:
        nonlocal swaps
        while not over.is_set():
            if exchange(AT_FDCWD, bytes(swapped), AT_FDCWD, bytes(link), RENAME_EXCHANGE):
                raise OSError(ctypes.get_errno(), "the folder and the link cannot change places")
            swaps += 1

    thread = threading.Thread(target=swap)
    thread.start()
    try:
        for _ in range(2):
            copies.restore(source, target, overwrite="always")
    finally:
        over.set()
        thread.join()

    assert swaps > 10
    assert {str(path.relative_to(outside)) for path in outside.rglob("*")} == {"000", "inner", "inner/001"}
    assert (outside / "000").read_text() == (outside / "inner" / "001").read_text() == "precious"
    assert outside.stat().st_mode & 0o777 == 0o751
