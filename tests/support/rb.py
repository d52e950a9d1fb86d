"""The command `rb` in this process: quicker than a process for each call."""

from __future__ import annotations

import contextlib
import io

import pytest

from rubackup.cli.rb.main import group, run


def rb(*arguments: str) -> tuple[int, str, str]:
    """Exit status, what was printed, and what was said on stderr."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err), pytest.raises(SystemExit) as ended:
        run(group(), "rb", list(arguments))
    return int(ended.value.code or 0), out.getvalue(), err.getvalue()
