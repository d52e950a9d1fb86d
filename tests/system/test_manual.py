"""The manual's pages: blocks for `rubackup up` are run in their order, one shell a page, against a running system."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from support.manual import OWN_TEST, UP, blocks, parts, script, user_pages
from support.system import System

BIN = Path(sys.executable).parent
PAGES = [page for page in user_pages() if page not in OWN_TEST and any(b.where == UP for b in blocks([page]))]

pytestmark = pytest.mark.skipif(
    any(shutil.which(program) is None for program in ("bash", "curl", "jq")), reason="bash, curl or jq is not installed"
)


@pytest.mark.parametrize("page", PAGES)
def test_every_command_does_what_the_manual_shows(system: System, tmp_path: Path, page: str) -> None:
    """Each block ends well and prints what stands below it; `…` stands for what differs from run to run."""
    folder = tmp_path / "documents"
    (folder / "letters").mkdir(parents=True)
    (folder / "letters" / "one").write_text("Dear reader\n")
    (folder / "letters" / "one").chmod(0o600)
    (folder / "picture").write_bytes(os.urandom(300_000))
    environment = {
        "PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(tmp_path), "API": system.facts["api"], "CA": system.facts["ca_file"],
        "LOGIN": system.facts["superuser"], "PASSWORD_FILE": system.facts["password_file"], "FOLDER": str(folder),
        "TARGET": str(tmp_path / "restored"), "STATE": str(system.state),
    }  # fmt: skip
    wanted = [block for block in blocks([page]) if block.where == UP]

    done = subprocess.run(
        ["bash", "-c", script(wanted)], capture_output=True, text=True, timeout=900, check=False, env=environment
    )

    printed = parts(done.stdout)
    for block, output in zip(wanted, printed, strict=False):
        assert not block.differs(output), f"{block}\nprinted\n{output}\ninstead of\n{block.shown}\n{done.stderr}"
    assert (done.returncode, len(printed)) == (0, len(wanted) + 1), f"{printed[-1]}\n{done.stderr}"
