"""Where the benchmark of the chunk store works: nothing of it is left, however a run ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
RUN = """
import signal, sys
from pathlib import Path
from bench.engine.disk import Workplace
signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
place = Workplace(Path(sys.argv[1]), sys.argv[2], 64 << 20)
try:
    tree = place.folder / "tree"
    tree.mkdir()
    (tree / "file").write_bytes(bytes(1 << 20))
    place.remove(tree)
    print(tree.exists(), place.told, flush=True)
    sys.stdin.read()
finally:
    place.close()
"""


def started(folder: Path, image: str) -> tuple[subprocess.Popen[str], str]:
    """A process that works in the folder until told to end, and what it said."""
    process = subprocess.Popen(
        [sys.executable, "-c", RUN, str(folder), image],
        cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout
    return process, process.stdout.readline()


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting needs root")
@pytest.mark.parametrize("end", [signal.SIGINT, signal.SIGTERM])
def test_an_image_is_unmounted_and_removed_after_an_interruption(tmp_path: Path, end: signal.Signals) -> None:
    """Ctrl-C and SIGTERM leave neither a mount nor a file."""
    process, told = started(tmp_path, "yes")
    mounted = Path("/proc/mounts").read_text()
    process.send_signal(end)
    process.communicate(timeout=120)

    assert told.startswith("False an ext4 with journal of its own, 0.1 GB")
    assert str(tmp_path) in mounted
    assert str(tmp_path) not in Path("/proc/mounts").read_text()
    assert list(tmp_path.iterdir()) == []


def test_without_an_image_nothing_is_left_either(tmp_path: Path) -> None:
    """What was set aside during the run goes with it."""
    process, told = started(tmp_path, "no")
    process.communicate("", timeout=120)

    assert told.startswith("False ")
    assert list(tmp_path.iterdir()) == []
