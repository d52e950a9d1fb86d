"""What was measured, as a table and as JSON: medians of the rounds, and the ratio to the raw rate of the same round."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from statistics import median
from typing import Any

WANTED = 0.8
BEGIN, END = "<!-- bench/pools: begin -->", "<!-- bench/pools: end -->"


@dataclass
class Line:
    """One place with one kind of data; MB (10**6 bytes of contents) a second, a figure a round."""

    place: str
    data: str
    ways: Sequence[int]
    write: list[float] = field(default_factory=list)
    read: list[float] = field(default_factory=list)
    write_cpu: list[float] = field(default_factory=list)
    """CPU seconds of this process for a GB of contents."""
    raw_write: dict[int, list[float]] = field(default_factory=dict)
    """By the number of writes at once."""
    raw_read: dict[int, list[float]] = field(default_factory=dict)

    def ratio(self, what: str = "write") -> float:
        """Of the pool to raw, the median of the rounds."""
        raw = getattr(self, f"raw_{what}")[self.ways[0]]
        return median(ours / theirs for ours, theirs in zip(getattr(self, what), raw, strict=True))

    @property
    def verdict(self) -> str:
        """What the issue wants is for data that cannot be compressed."""
        if self.data != "random":
            return f"{self.ratio():.2f}"
        return f"{self.ratio():.2f}, {'OK' if self.ratio() >= WANTED else 'MISSED'}"


def plain(lines: Sequence[Line]) -> list[dict[str, Any]]:
    """For JSON."""
    return [{**asdict(one), "write_ratio": one.ratio(), "read_ratio": one.ratio("read")} for one in lines]


def markdown(lines: Sequence[Line], facts: dict[str, Any]) -> str:
    """The section of docs/performance.md."""
    told = [
        (
            f"{facts['date']}, {facts['machine']}; {facts['mib']} MiB a load, {facts['rounds']} rounds, on {facts['place']}; load of the "
            f"machine before it {facts['load']:.1f}. MB/s of contents, medians; ratios are medians of those of each round."
        ),
        "",
        f"| place | data | raw write | pool write | ratio, {WANTED} wanted of random | CPU s/GB | raw read | pool read | ratio |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    told += [
        f"| {one.place} | {one.data} | {_raw(one.raw_write)} | {median(one.write):.0f} | {one.verdict} | "
        f"{median(one.write_cpu):.2f} | {_raw(one.raw_read)} | {median(one.read):.0f} | {one.ratio('read'):.2f} |"
        for one in lines
    ]
    return "\n".join(told)


def _raw(rates: dict[int, list[float]]) -> str:
    if len(rates) == 1:
        return f"{median(next(iter(rates.values()))):.0f}"
    return ", ".join(f"{median(found):.0f} by {ways}" for ways, found in rates.items())


def put_into(document: Path, section: str) -> None:
    """Replace what stands between the markers."""
    text = document.read_text()
    head, _, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not end:
        raise SystemExit(f"{document} has no markers {BEGIN} and {END}.")
    document.write_text(f"{head}{BEGIN}\n{section}\n{END}{tail}")
