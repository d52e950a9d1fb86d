"""docs/api.md: its examples are run in their order, in one shell, against a running system."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from support.system import System

MANUAL = Path(__file__).parents[2] / "docs" / "api.md"
EXAMPLE = re.compile(r"^```sh\n(.*?)^```\n(?:```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)
EXAMPLES: list[tuple[str, str]] = EXAMPLE.findall(MANUAL.read_text(encoding="utf-8"))
MARK = "--- end of example"

pytestmark = pytest.mark.skipif(
    any(shutil.which(program) is None for program in ("bash", "curl", "jq")), reason="bash, curl or jq is not installed"
)


def test_the_manual_is_read_as_it_is_written() -> None:
    """No block of the manual is left out, and each shows what it prints."""
    text = MANUAL.read_text(encoding="utf-8")

    assert len(EXAMPLES) == text.count("```sh") == text.count("```text") > 15


def test_every_example_does_what_the_manual_shows(system: System, tmp_path: Path) -> None:
    """Each ends well and prints what stands below it; `…` stands for what differs from run to run."""
    folder = tmp_path / "documents"
    (folder / "letters").mkdir(parents=True)
    (folder / "letters" / "one").write_text("Dear reader\n")
    (folder / "picture").write_bytes(os.urandom(300_000))
    script = "set -euo pipefail\n" + "".join(f"{code}echo '{MARK}'\n" for code, _ in EXAMPLES)
    environment = {
        "PATH": os.environ["PATH"], "API": system.facts["api"] + "/api/v1", "CURL_CA_BUNDLE": system.facts["ca_file"],
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
