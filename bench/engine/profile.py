"""Where the product's processes spend their time: py-spy beside each of them, row by row.

Profiled rows are slower: their times are not for comparing. Where the kernel does not tell py-spy which threads sleep, the
places at which our threads wait are known by name and left out.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from bench.engine.tools import Unusable

RATE = 100
WAITING = (
    "_worker (concurrent/futures/thread.py",
    "wait (threading.py",
    "Runner.run (asyncio",
    "accept (socket.py",
    "read (ssl.py",
)
"""Innermost frames of a thread that waits: for work, for a lock or queue, for the loop, for a connection, for the peer."""
OURS = "rubackup/"
SHOWN = 20


def py_spy(cache: Path) -> Path:
    """The program: PY_SPY of the environment, that of the path, else from PyPI into a venv of its own."""
    given = os.environ.get("PY_SPY") or shutil.which("py-spy")
    if given:
        return Path(given)
    kept = cache / "py-spy" / "bin" / "py-spy"
    if not kept.exists():
        subprocess.run([sys.executable, "-m", "venv", cache / "py-spy"], check=True)
        done = subprocess.run(
            [kept.with_name("pip"), "install", "-q", "py-spy"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            raise Unusable(f"No py-spy could be had; set PY_SPY. {done.stderr}")
    return kept


@contextlib.contextmanager
def profiled(program: Path, processes: Mapping[str, int], folder: Path, row: str) -> Iterator[None]:
    """Record these processes during the block: FOLDER/ROW-PROCESS.txt, stacks and counts, and a summary in FOLDER/ROW.md."""
    folder.mkdir(parents=True, exist_ok=True)
    running = {}
    for name, pid in processes.items():
        path = folder / f"{row.replace(' ', '-')}-{name}.txt"
        command = [program, "record", "-p", str(pid), "-f", "raw", "-r", str(RATE), "-d", "3600", "-o", path]
        running[path] = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(1)  # py-spy reads the symbols first
    try:
        yield
    finally:
        for one in running.values():
            one.send_signal(signal.SIGINT)
        for one in running.values():
            one.wait(60)
    lines = [f"# {row}", ""]
    for path in running:
        if path.exists():
            lines += summary(path.stem, path.read_text().splitlines())
    (folder / f"{row.replace(' ', '-')}.md").write_text("\n".join(lines) + "\n")


def summary(title: str, stacks: list[str]) -> list[str]:
    """The lines in which most time is spent, and the functions with what they call, as shares of the time that is not waited."""
    alone: Counter[str] = Counter()
    within: Counter[str] = Counter()
    busy = 0
    for line in stacks:
        stack, _, count = line.rpartition(" ")
        frames = stack.split(";")
        if any(place in frames[-1] for place in WAITING):
            continue
        busy += int(count)
        alone[frames[-1]] += int(count)
        for name in {frame.rpartition(":")[0] for frame in frames if OURS in frame}:
            within[name] += int(count)
    if not busy:
        return [f"## {title}", "", "Nothing but waiting.", ""]
    lines = [f"## {title}: busy for {busy / RATE:.1f} s", "", "| alone | | with what it calls | |", "|---|---|---|---|"]
    pairs = zip(alone.most_common(SHOWN), [*within.most_common(SHOWN), *[("", 0)] * SHOWN], strict=False)
    for (left, mine), (right, all_of_it) in pairs:
        lines.append(f"| {left} | {mine / busy:.0%} | {right.partition(' (')[0]} | {all_of_it / busy:.0%} |")
    return [*lines, ""]
