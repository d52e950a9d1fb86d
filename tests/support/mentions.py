"""Commands of the product that its own sentences name, such as "run rb_init on the primary server."."""

from __future__ import annotations

import re
from collections.abc import Iterator

from support import commands

NAMED = re.compile(r"(?<![\w/.@\"'=-])(" + "|".join(sorted(commands.SCRIPTS, key=len, reverse=True)) + r")(?= [\w-])")
FILLED = re.compile(r"…|[A-Z][A-Z=_]*|\d+|/[\w/.…-]*")
END = re.compile(r"[.,;:)`\"?]+$")
PROSE = frozenset({"does", "is", "on"})
"""Words that follow the name of a program in a sentence, and are no sub-command of it; one more may be added."""


def mentions(text: str) -> Iterator[str]:
    """Each command that a sentence names, as far as it goes: sub-commands, flags, and what is filled in (…: 1)."""
    for found in NAMED.finditer(text):
        yield " ".join(_command(found[1], text[found.end() :].split())).replace("…", "1")


def _command(program: str, following: list[str]) -> Iterator[str]:
    known = commands.commands()
    path, ended = program, False
    yield program
    before = ""
    for raw in following:
        word = END.sub("", raw.strip("`"))
        if ended or not word:
            return
        taken = word.startswith("-") or FILLED.fullmatch(word) or (before.startswith("-") and "'" in word)
        if f"{path} {word}" in known:
            path = f"{path} {word}"
        elif not taken:
            if path in {"rb", "rubackup"} and word not in PROSE:
                yield word  # it stands where a sub-command stands, so it has to be one
            return
        yield word
        before, ended = word, END.sub("", raw) != raw
