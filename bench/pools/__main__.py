"""Pools on a folder, a file as a device, a loop device and in buckets, in turn with raw writes and reads of the same place.

    .venv/bin/python -m bench.pools [--mib 512] [--rounds 3] [--only folder loop ...] [--dir FOLDER] [--json FILE] [--docs FILE]

Groups are made beforehand, as clients send them; a pool is new in each round. A write through a pool ends when the record is sealed.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[2] / "tests"))

from bench.engine.__main__ import machine
from bench.pools import data, places, report
from bench.pools.data import MIB, Data
from bench.pools.places import Place
from bench.pools.pool import OnePool
from bench.pools.report import Line

KINDS = ("random", "text")


def arguments() -> argparse.Namespace:
    """What was asked for."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--mib", type=int, default=512, help="contents of each load; a multiple of 32 (512)")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--data", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--only", nargs="+", choices=OPENED, default=list(OPENED), help="places to measure")
    parser.add_argument("--dir", type=Path, default=Path("/var/tmp"), help="where the folder of this run is made")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--docs", type=Path, help="docs/performance.md, to put the table into")
    options = parser.parse_args()
    if options.mib % 32 or options.mib < 32:
        parser.error("--mib must be a multiple of 32")
    return options


def _device(folder: Path, size_bytes: int) -> AbstractContextManager[Place]:
    places.filled(folder / "device", size_bytes)
    return nullcontext(places.DevicePlace("file as a device", folder / "device"))


OPENED: dict[str, Callable[[Path, int], AbstractContextManager[Place]]] = {
    "folder": lambda folder, _: nullcontext(places.FolderPlace(folder / "folder")),
    "device": _device,
    "loop": lambda folder, size: places.loop_place(folder / "image", size),
    "s3": lambda folder, _: places.test_server(folder / "spool"),
    "radosgw": lambda folder, _: places.radosgw_place(folder / "radosgw", folder / "spool"),
}


def settle(folder: Path) -> None:
    """What is unwritten in the file system of a folder is written."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        if ctypes.CDLL(None, use_errno=True).syncfs(handle):
            raise OSError(ctypes.get_errno(), "syncfs")
    finally:
        os.close(handle)


def rate(folder: Path, size_bytes: int, work: Callable[[], object]) -> tuple[float, float]:
    """MB/s of some work, and CPU seconds of this process for a GB; the disk is idle when it begins."""
    settle(folder)
    cpu, begin = time.process_time(), time.perf_counter()
    work()
    seconds = time.perf_counter() - begin
    return size_bytes / 1e6 / seconds, (time.process_time() - cpu) * 1e9 / size_bytes


def one_round(place: Place, load: Data, line: Line, number: int, folder: Path) -> None:
    """Raw and through a pool; who begins changes from round to round."""
    place.renew()
    size, pieces = load.size_bytes, load.pieces

    def raw() -> None:
        for ways in place.ways:
            line.raw_write.setdefault(ways, []).append(
                rate(folder, size, lambda ways=ways: place.write(pieces, ways))[0]
            )  # type: ignore[misc]
            place.cool()
            line.raw_read.setdefault(ways, []).append(
                rate(folder, size, lambda ways=ways: place.read(len(pieces), ways))[0]
            )  # type: ignore[misc]

    def through_pool() -> None:
        pool = OnePool(folder / "metadata", place.location())
        try:
            speed, cpu = rate(folder, size, lambda: pool.write(load))
            line.write.append(speed)
            line.write_cpu.append(cpu)
            place.cool()
            line.read.append(rate(folder, size, lambda: pool.read(load))[0])
        finally:
            pool.close()

    for work in (raw, through_pool) if number % 2 == 0 else (through_pool, raw):
        work()


def measure(options: argparse.Namespace, folder: Path, lines: list[Line], left_out: dict[str, str]) -> None:
    """Every place that there is; what was measured is added to `lines`."""
    loads = [data.make(kind, options.mib) for kind in options.data]
    for name in options.only:
        try:
            opened = OPENED[name](folder, (options.mib + options.mib // 4 + 192) * MIB)
            with opened as place:
                measured = [Line(place.name, load.kind, place.ways) for load in loads]
                lines += measured
                for number in range(-1, options.rounds):  # the first warms everything up and is not counted
                    for load, line in zip(loads, measured, strict=True):
                        into = line if number >= 0 else Line(place.name, load.kind, place.ways)
                        one_round(place, load, into, number, folder)
                place.renew()
        except OSError as error:
            left_out[name] = str(error)
            print(f"{name} is left out: {error}", flush=True)
            continue
        for line in measured:
            print(f"{line.place}, {line.data}: write {line.verdict}, read {line.ratio('read'):.2f}", flush=True)


def main() -> int:
    """Measure and tell; 0 also when a ratio was missed."""
    options = arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    load, lines, left_out = os.getloadavg()[0], list[Line](), dict[str, str]()
    with tempfile.TemporaryDirectory(prefix="rubackup-pools-", dir=options.dir) as name:
        measure(options, Path(name), lines, left_out)
    facts: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d", time.gmtime()), "machine": machine(), "mib": options.mib,
        "rounds": options.rounds, "place": options.dir, "load": load,
    }  # fmt: skip
    section = report.markdown(lines, facts)
    print(f"\n{section}")
    if options.json:
        told = {**facts, "place": str(options.dir), "left_out": left_out, "lines": report.plain(lines)}
        options.json.write_text(json.dumps(told, indent=1) + "\n")
    if options.docs:
        report.put_into(options.docs, section)
    return 0


if __name__ == "__main__":
    sys.exit(main())
