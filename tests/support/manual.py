"""Reads the manual's pages: which commands they show, where these are to be run, and what they print.

A block of commands is a fence of the language `sh` with a line `<!-- run: WHERE -->` directly above. A fence of the
language `text` directly below is what it prints, with `…` for what differs from run to run.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
DOCS = ROOT / "docs"
SUFFIX = ".ru.md"
DEVELOPERS = {"architecture", "contract", "performance", "scale"}
"""Pages of `docs` that are not for administrators; English only, as those in its folders."""
OWN_TEST = {"api": "tests/system/test_api_examples.py", "cli": "tests/system/test_cli_manual.py"}
"""Pages with a test of their own, which runs every block of them."""
UP = "up"
"""Run against `rubackup up`, by tests/system/test_manual.py."""
RECOVERY = "recovery"
"""Run by tests/system/test_recovery_manual.py, which loses what each section is about first."""
HOSTS = ("rb-primary", "rb-secondary", "rb-media", "rb-api", "rb-db", "rb-client", "rb-alone")
"""Hosts of the walk through the packages, by tests/packages."""
FENCE = re.compile(
    r"^(?:<!-- run: (?P<where>[^\n]*) -->\n)?```(?P<language>\S*)\n(?P<text>.*?)^```\n", re.MULTILINE | re.DOTALL
)
MARK = "--- end of block"


@dataclass(frozen=True)
class Block:
    """One fence of a page; `shown` is the text of the one below, if that says what it prints."""

    page: str
    line: int
    language: str
    where: str
    code: str
    shown: str | None = None

    def __str__(self) -> str:
        return f"{self.page}.md:{self.line}"

    def differs(self, printed: str) -> bool:
        """Whether the page shows something else than was printed; not when it shows nothing."""
        shown = self.shown
        return shown is not None and not re.fullmatch(re.escape(shown).replace("…", ".*"), printed.lstrip("\n"))


def user_pages(suffix: str = ".md") -> dict[str, Path]:
    """The pages for administrators in one language, by name."""
    found = {path.name.removesuffix(suffix): path for path in sorted(DOCS.glob(f"*{suffix}"))}
    return {name: path for name, path in found.items() if name not in DEVELOPERS and not name.endswith(".ru")}


def fences(text: str, page: str) -> list[Block]:
    """Every fence of a page, in order."""
    found: list[Block] = []
    end = 0
    for match in FENCE.finditer(text):
        code, language = match["text"], match["language"]
        above = found[-1] if found and match.start() == end else None
        end = match.end()
        if above and language == "text" and above.language == "sh":
            found[-1] = Block(above.page, above.line, above.language, above.where, above.code, code)
        else:
            line = text.count("\n", 0, match.start("language")) + 1
            found.append(Block(page, line, language, match["where"] or "", code))
    return found


def blocks(pages: Iterable[str] | None = None, suffix: str = ".md") -> Iterator[Block]:
    """Commands of the pages for administrators, page by page in the order of `pages`, else of their names."""
    known = user_pages(suffix)
    for name in known if pages is None else pages:
        yield from (block for block in fences(known[name].read_text(encoding="utf-8"), name) if block.language == "sh")


def script(wanted: Iterable[Block]) -> str:
    """The blocks as one script for bash that stops at the first command that fails; split its output by `parts`."""
    return "set -euo pipefail\n" + "".join(f"{block.code}echo '{MARK}'\n" for block in wanted)


def parts(output: str) -> list[str]:
    """What each block printed, and at last what came after the end of the last one that ended."""
    return output.split(f"{MARK}\n")
