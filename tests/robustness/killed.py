"""A process that is killed at any moment while it works on real folders: what it had told is there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path
from random import Random

from powercut.job import MARKS, Catalogue, small_packs
from powercut.trial import check

LONGEST_SECONDS = 4.0


def kill_one(folder: Path, toss: Random) -> Catalogue:
    """Run the large job of the power cuts, kill it, open what it left; AssertionError when a promise is broken."""
    folder.mkdir(parents=True)
    marks, seed = folder.with_suffix(".marks"), toss.randrange(10**6)
    marks.touch()
    environment = {**os.environ, MARKS: str(marks), "PYTHONPATH": str(Path(__file__).parents[1])}
    command = [sys.executable, "-m", "powercut.job", str(folder), "large", str(seed)]
    with subprocess.Popen(command, env=environment) as process:
        while not marks.stat().st_size and process.poll() is None:
            time.sleep(0.01)
        time.sleep(toss.random() * LONGEST_SECONDS)
        process.kill()
    catalogue = Catalogue()
    for line in marks.read_text().splitlines():
        catalogue.take(line)
    with small_packs():
        check(folder, catalogue, seed)
    return catalogue
