"""Every message, help and comment of the product that names a command names one that its own parser takes."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import pytest

from support import commands, known
from support.mentions import mentions
from support.sources import texts

NOT_COMMANDS = {
    "rubackup catalogue": "name of a connection to PostgreSQL",
    "rubackup migrate": "name of a connection to PostgreSQL",
    "The rubackup database has not been initialized. Please authenticate": "a message of the guide",
}
"""Texts that begin as a command does and are something else."""
KIND_OF_FILE = re.compile(
    r"(?:`|\()?rubackup (?:pool 0|pool$|pool |key id|master-key|sealed secret|ticket) ?|.*`rubackup master-key 1`",
    re.DOTALL,
)
"""What the product's files and keys begin with, so that nothing else is taken for them."""
SHELLS = ("src/rubackup/cli/demo/screen.py", "src/rubackup/cli/rb/shells.py")
"""Files with whole scripts for a shell in them, whose flags are other programs'."""
OTHERS = {"--now", "--config", "--enroll-"}
"""Flags of systemctl and of a role's process, and the beginning of several."""


def said() -> dict[str, str]:
    """Texts that may be read, with their places."""
    return {text: place for text, place in texts().items() if text not in NOT_COMMANDS and not KIND_OF_FILE.match(text)}


def strings(value: Any) -> Iterator[str]:
    """Every text within a document."""
    if isinstance(value, str):
        yield value
    for one in value.values() if isinstance(value, dict) else value if isinstance(value, list) else ():
        yield from strings(one)


def test_sentences_name_commands_that_there_are() -> None:
    """With sub-commands and flags that these have."""
    found = [(place, line) for text, place in said().items() for line in mentions(text)]

    assert [f"{place}: {line}: {wrong}" for place, line in found if (wrong := commands.fault(f"{line} …"))] == []
    assert len(found) > 80


def test_what_the_api_and_the_packages_say_names_commands_that_there_are() -> None:
    """Descriptions of calls; what a package prints; comments of its settings."""
    files = [*(known.PACKAGING / "etc").iterdir(), *(known.PACKAGING / "units").iterdir()]
    printed = re.findall(r'echo "([^"]*)"', (known.PACKAGING / "scripts/postrm").read_text(encoding="utf-8"))
    every = {*strings(known.openapi()), *(file.read_text(encoding="utf-8") for file in files), *printed}

    assert [
        f"{line}: {wrong}" for text in every for line in mentions(text) if (wrong := commands.fault(f"{line} …"))
    ] == []


def test_sentences_name_flags_that_there_are() -> None:
    """Without their command, too, such as "say --replace"."""
    lost = [
        f"{place}: {flag}"
        for text, place in said().items() if " " in text and not place.startswith(SHELLS)
        for flag in re.findall(r"(?<![\w-])--[a-z][\w-]*", text) if flag not in commands.flags() | OTHERS
    ]  # fmt: skip

    assert lost == []


def test_sentences_name_units_that_there_are() -> None:
    """Those of packages."""
    named = {unit for text in said() for unit in re.findall(r"\brubackup_\w+\.(?:service|timer)\b", text)}

    assert named <= known.units()


@pytest.mark.parametrize(
    ("sentence", "named"),
    [
        ("No tables yet; run rb_init on the primary server.", ["rb_init"]),
        ("Then `rubackup client key import FILE`, or rb login.", ["rubackup client key import FILE", "rb login"]),
        ("stop it first: rubackup down --state …", ["rubackup down --state 1"]),
        ("run rubackup repo reconcile", ["rubackup repo"]),
        ("run rb client list now", ["rb client"]),
        ("rb is a program", ["rb"]),
    ],
)
def test_commands_are_found_in_sentences(sentence: str, named: list[str]) -> None:
    """As far as they go; a word that is neither a sub-command nor known to follow counts as one."""
    assert list(mentions(sentence)) == named


@pytest.mark.parametrize(
    "wrong", ["rubackup repo", "rb client", "rb_init --enroll NAME", "rubackup client key import --state DIR"]
)
def test_a_wrong_command_is_found(wrong: str) -> None:
    """By the parser."""
    assert commands.fault(wrong)
