"""Takes the commands of a page of the manual as they stand there, on the hosts that it names, in its order.

Between two blocks the page may have files carried from host to host, as it tells its readers to do:
`<!-- carry: rb-primary:/root/api.bundle rb-api -->`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from packages.container import Container
from support.manual import DOCS, Block, blocks

_HEADING = re.compile(r"^(#+) (.+)$", re.MULTILINE)
_FENCE = re.compile(r"^```.*?^```$", re.MULTILINE | re.DOTALL)
_CARRY = re.compile(r"^<!-- carry: (\S+?):(\S+) ([^>]+) -->$", re.MULTILINE)


@dataclass(frozen=True)
class Carry:
    """A file that goes from one host to others, under the same name."""

    line: int
    source: str
    path: str
    targets: tuple[str, ...]


class Page:
    """One page; what was not yet taken of it is known."""

    def __init__(self, name: str) -> None:
        self.name = name
        text = (DOCS / f"{name}.md").read_text(encoding="utf-8")
        bare = _FENCE.sub(lambda match: re.sub(r"[^\n]", " ", match[0]), text)
        found = [
            Carry(_line(bare, match), match[1], match[2], tuple(match[3].split())) for match in _CARRY.finditer(bare)
        ]
        self._steps: list[Block | Carry] = sorted([*blocks([name]), *found], key=lambda one: one.line)
        self._headings = [(_line(bare, match), len(match[1]), match[2]) for match in _HEADING.finditer(bare)]

    def take(self, heading: str, hosts: Mapping[str, Container], seconds: float = 600) -> dict[str, str]:
        """Do all that stands below a heading, not below those beneath it; what each host said."""
        first = next(line for line, _, text in self._headings if text == heading)
        last = min((line for line, _, _ in self._headings if line > first), default=1 << 30)
        steps = [step for step in self._steps if first < step.line < last]
        assert steps, f"{self.name}.md: nothing is to be done below {heading!r}"
        said: dict[str, str] = {}
        for step in steps:
            self._steps.remove(step)
            if isinstance(step, Carry):
                for target in step.targets:
                    hosts[target].bring(hosts[step.source].root / step.path.lstrip("/"), step.path)
                continue
            printed = hosts[step.where].run(f"cd /root\nset -euo pipefail\n{step.code}", seconds=seconds)
            assert not step.differs(printed), f"{step}: shown\n{step.shown}\nprinted\n{printed}"
            said[step.where] = said.get(step.where, "") + printed
        return said

    def left(self) -> list[str]:
        """What of the page nobody has taken."""
        return [str(step) for step in self._steps]


def _line(text: str, match: re.Match[str]) -> int:
    return text.count("\n", 0, match.start()) + 1
