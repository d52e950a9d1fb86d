"""docs/cli.md: its examples are run in their order, in one shell, against a running system."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from rubackup.cli.rb.main import ALIASES, OWN
from rubackup.cli.rb.tools import TOOLS
from support.system import System

MANUAL = Path(__file__).parents[2] / "docs" / "cli.md"
TEXT = MANUAL.read_text(encoding="utf-8")
EXAMPLE = re.compile(r"^```sh\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
EXAMPLES: list[tuple[str, str]] = EXAMPLE.findall(TEXT)
MARK = "--- end of example"
BIN = Path(sys.executable).parent

pytestmark = pytest.mark.skipif(
    any(shutil.which(program) is None for program in ("bash", "jq")), reason="bash or jq is not installed"
)


def test_the_manual_is_read_as_it_is_written() -> None:
    """No block of the manual is left out, and each shows what it prints."""
    assert len(EXAMPLES) == TEXT.count("```sh") == TEXT.count("```text") > 10


@pytest.mark.parametrize("name", [*OWN, *TOOLS])
def test_every_command_has_an_example(name: str) -> None:
    """And every tool of the product a line of the table."""
    shown = "".join(code for code, _ in EXAMPLES)

    assert re.search(rf"\brb[ _]{name}\b", shown) or (
        name in TOOLS and re.search(rf"for tool in[^;]*\b{name}\b", shown)
    )
    assert name not in ALIASES or f"| `rb {name}` |" in TEXT


def test_every_example_does_what_the_manual_shows(system: System, tmp_path: Path) -> None:
    """Each ends well and prints what stands below it; `…` stands for what differs from run to run."""
    folder = tmp_path / "documents"
    (folder / "letters").mkdir(parents=True)
    (folder / "letters" / "one").write_text("Dear reader\n")
    (folder / "letters" / "one").chmod(0o600)
    (folder / "picture").write_bytes(os.urandom(300_000))
    script = "set -euo pipefail\n" + "".join(f"{code}echo '{MARK}'\n" for code, _ in EXAMPLES)
    environment = {
        "PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(tmp_path), "API": system.facts["api"], "CA": system.facts["ca_file"],
        "LOGIN": system.facts["superuser"], "PASSWORD_FILE": system.facts["password_file"], "FOLDER": str(folder),
        "TARGET": str(tmp_path / "restored"),
    }  # fmt: skip

    done = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=900, check=False, env=environment
    )

    printed = [part.lstrip("\n") for part in done.stdout.split(f"{MARK}\n")]
    for (code, shown), output in zip(EXAMPLES, printed, strict=False):
        pattern = re.escape(shown).replace("…", ".*")
        assert re.fullmatch(pattern, output), f"{code}\nprinted\n{output}\ninstead of\n{shown}\n{done.stderr}"
    assert (done.returncode, len(printed)) == (0, len(EXAMPLES) + 1), f"{printed[-1]}\n{done.stderr}"
