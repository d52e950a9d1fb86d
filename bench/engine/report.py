"""What was measured beside what issue 4 wants: ratios to the better of restic and borg, as text, Markdown, JSON and a plot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from bench.engine import rounds
from bench.engine.meter import Reading
from bench.engine.rounds import ROWS, Results

WALL = {
    rounds.FIRST: 0.6, rounds.UNCHANGED: 0.35, rounds.CHANGED: 0.4, rounds.RESTORE: 0.45, rounds.ONE: 0.5,
    rounds.VERIFY: 0.5, rounds.RECLAIM: 0.4,
}  # fmt: skip
"""Targets for the wall time of the whole product, as ratios."""
CPU, PEAK_MIB, SPEED = 0.6, 450.0, 0.8
PEERS = ("restic", "borg")
BEGIN, END = "<!-- bench/engine: begin -->", "<!-- bench/engine: end -->"


@dataclass(frozen=True)
class Verdict:
    """One target."""

    what: str
    value: float | None
    wanted: float
    reason: str = ""

    @property
    def held(self) -> bool:
        """Whether it was reached."""
        return self.value is not None and self.value <= self.wanted

    @property
    def text(self) -> str:
        """For a cell."""
        if self.value is None:
            return "MISSED, not measured"
        return f"{self.value:.3g} of {self.wanted:g}, {'OK' if self.held else 'MISSED'}"


def ratio(results: Results, row: str, ours: str, kind: str) -> float | None:
    """The median over the rounds of ours to the better peer of that round."""
    by_name = results.readings.get(row, {})
    peers = [by_name[name] for name in PEERS if by_name.get(name)]
    mine = by_name.get(ours)
    if not peers or not mine:
        return None
    better = [min(getattr(one, kind) for one in of_round) for of_round in zip(*peers, strict=False)]
    return median(getattr(one, kind) / best for one, best in zip(mine, better, strict=False))


def middle(readings: Sequence[Reading] | None, kind: str) -> float | None:
    """The median of a kind of figure."""
    return median(getattr(one, kind) for one in readings) if readings else None


def verdicts(results: Results, disk_mb_s: float) -> Iterator[Verdict]:
    """Every target that the issue sets for this tree, for the whole product; none when it was not measured."""
    if "product" not in _names(results):
        return
    for row, wanted in WALL.items():
        if row not in results.readings and row not in results.failures:
            continue
        yield Verdict(f"{row}: wall", ratio(results, row, "product", "wall_s"), wanted)
        yield Verdict(f"{row}: CPU", ratio(results, row, "product", "cpu_s"), CPU)
    peaks = [one.peak_mib for found in results.readings.values() for one in found.get("product", [])]
    yield Verdict("peak memory, MiB", max(peaks, default=None), PEAK_MIB)
    stored = results.stored
    if stored.get("product") and stored.get("restic"):
        yield Verdict("stored bytes to restic's", median(stored["product"]) / median(stored["restic"]), 1.0)
    if results.tree != "small":
        wall = middle(results.readings.get(rounds.FIRST, {}).get("product"), "wall_s")
        least = results.size_bytes / 1e6 / (disk_mb_s * SPEED)
        yield Verdict(f"first backup: seconds for {SPEED:g} of the disk's {disk_mb_s:.0f} MB/s", wall, round(least, 2))


def title(results: Results) -> str:
    """What a table is about."""
    kind = "encrypted" if results.encrypted else "not encrypted (restic always is)"
    return f"{results.tree}: {results.files:,} files, {results.size_bytes / 1e6:,.0f} MB, {kind}"


def markdown(all_results: Sequence[Results], facts: dict[str, Any]) -> str:
    """The section of docs/performance.md."""
    lines = [
        (
            f"Everything lay on {facts['place']}. Measured {facts['date']} on {facts['machine']}; restic {facts['restic']}, borg {facts['borg']}; "
            f"{facts['rounds']} rounds, load of the machine before it {facts['load']:.1f}; "
            f"the disk writes {facts['disk_mb_s']:.0f} MB/s with fsync."
        ),
        "",
        "![Wall time, as a multiple of the better of restic and borg](performance-engine.svg)",
    ]
    for results in all_results:
        names = _names(results)
        lines += [
            "",
            f"### {title(results)}",
            "",
            "Wall s / CPU s / peak MiB, medians; ratio of the product's wall time and CPU",
            "",
        ]
        lines += ["| | " + " | ".join(names) + " | wall: ratio, wanted | CPU: ratio, wanted |"]
        lines += ["|---" * (len(names) + 3) + "|"]
        for row in ROWS:
            if row not in results.readings and row not in results.failures:
                continue
            cells = [_cell(results, row, name) for name in names]
            told = [
                _told(ratio(results, row, "product", kind), wanted) if "product" in names else "-"
                for kind, wanted in (("wall_s", WALL.get(row)), ("cpu_s", CPU if row in WALL else None))
            ]
            lines.append(f"| {row} | " + " | ".join(cells + told) + " |")
        lines.append(
            "| stored MB | "
            + " | ".join(
                f"{median(results.stored[name]) / 1e6:,.0f}" if results.stored.get(name) else "-" for name in names
            )
            + " | | |"
        )
        rest = [one for one in verdicts(results, facts["disk_mb_s"]) if ":" not in one.what or "seconds" in one.what]
        if rest:
            lines += ["", "; ".join(f"{one.what}: {one.text}" for one in rest) + "."]
    return "\n".join(lines)


def _names(results: Results) -> list[str]:
    found = {name for by_name in (*results.readings.values(), *results.failures.values()) for name in by_name}
    return [name for name in ("restic", "borg", "product", "bare") if name in found]


def _told(value: float | None, wanted: float | None) -> str:
    """A ratio and how it compares with the target, where there is one."""
    if wanted is None:
        return "-" if value is None else f"{value:.3g}"
    return Verdict("", value, wanted).text


def _cell(results: Results, row: str, name: str) -> str:
    found = results.readings.get(row, {}).get(name)
    if not found:
        return "failed" if name in results.failures.get(row, {}) else "-"
    wall, cpu, peak = (middle(found, kind) or 0.0 for kind in ("wall_s", "cpu_s", "peak_mib"))
    return f"{wall:.2f} / {cpu:.2f} / {peak:.0f}"


def put_into(document: Path, section: str) -> None:
    """Replace what stands between the markers."""
    text = document.read_text()
    head, _, rest = text.partition(BEGIN)
    _, _, tail = rest.partition(END)
    if not rest or END not in rest:
        raise SystemExit(f"{document} has no markers {BEGIN} and {END}.")
    document.write_text(f"{head}{BEGIN}\n{section}\n{END}{tail}")


_COLOURS = {"restic": "#9aa5b1", "borg": "#c9b458", "product": "#1f6feb", "bare": "#7fb3ff"}
_BAR, _WIDTH, _LEFT, _MOST = 11, 420, 130, 2.0


def plot(all_results: Sequence[Results]) -> str:
    """Wall times as multiples of the better peer's, as an SVG document."""
    parts: list[str] = []
    top = 34
    for results in all_results:
        parts.append(_text(10, top, title(results), "font-weight='bold'"))
        top += 10
        for row in ROWS:
            names = [name for name in _names(results) if results.readings.get(row, {}).get(name)]
            best = min(
                (middle(results.readings[row][name], "wall_s") or 0 for name in names if name in PEERS), default=0
            )
            if not best:
                continue
            parts.append(_text(10, top + 14, row))
            for name in names:
                value = (middle(results.readings[row][name], "wall_s") or 0.0) / best
                width = min(value, _MOST) / _MOST * _WIDTH
                parts.append(
                    f"<rect x='{_LEFT}' y='{top + 4}' width='{width:.1f}' height='{_BAR - 2}' fill='{_COLOURS[name]}'/>"
                )
                parts.append(_text(_LEFT + width + 4, top + _BAR + 1, f"{value:.2f} {name}", "font-size='9'"))
                top += _BAR
            top += 8
        top += 26
    one = _LEFT + _WIDTH / _MOST
    parts.append(f"<line x1='{one}' y1='24' x2='{one}' y2='{top - 20}' stroke='#888' stroke-dasharray='3 3'/>")
    head = "Wall time as a multiple of the better of restic and borg; shorter is better, bars end at 2"
    return (
        f"<svg xmlns='http://www.w3.org/2000/svg' width='700' height='{top}' font-family='sans-serif' font-size='11'>"
        f"<rect width='100%' height='100%' fill='white'/>{_text(10, 14, head)}{''.join(parts)}</svg>\n"
    )


def _text(x: float, y: float, text: str, more: str = "") -> str:
    return f"<text x='{x:.0f}' y='{y:.0f}' {more}>{text}</text>"
