"""`rubackup pool` and `rubackup repository` without a system: usage, and what is told."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from rubackup.cli import reconciliation
from rubackup.cli.administration import PASSWORD, pool_app, repository_app
from rubackup.domain.errors import Invalid, Unavailable


@pytest.mark.parametrize(
    "arguments", [[], ["--api", "https://x"], ["--api", "https://x", "--ca", "/ca", "--user", "u"]]
)
@pytest.mark.parametrize(("app", "command"), [(pool_app, ["clean", "Default"]), (repository_app, ["reconcile"])])
def test_it_must_be_told_whom_to_ask(app, command: list[str], arguments: list[str]) -> None:
    """Without a state, or all of address, root, user and password, the sentence says what is missing."""
    result = CliRunner(env={PASSWORD: ""}).invoke(app, [*command, *arguments])

    assert isinstance(result.exception, Invalid)
    assert PASSWORD in result.exception.message


def test_a_state_on_which_nothing_runs_is_told(tmp_path: Path) -> None:
    """Not a traceback."""
    result = CliRunner().invoke(repository_app, ["reconcile", "--state", str(tmp_path)])

    assert isinstance(result.exception, Unavailable)


def test_names_from_elsewhere_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """What is found is told line by line, escaped."""
    found = {
        "uuid": "u",
        "client_hwid": "h",
        "resource": "/a\x1b[2J",
        "size_bytes": 5,
        "store_until": None,
        "kept_by": "nothing",
    }
    kept = {**found, "resource": "/b", "store_until": "2027-01-01T00:00:00Z", "kept_by": "rule"}
    reconciliation.tell("P", {"applied": False, "found": 1, "lost": 1, "found_records": [found, kept],
                               "lost_records": [{"id": 4, "uuid": "v"}]})  # fmt: skip

    assert capsys.readouterr().out == (
        "P: 1 copies unknown to the catalogue, 1 copies not in the pool.\n  + u  h  5  /a\\x1b[2J  kept until it is deleted\n"
        "  + u  h  5  /b  kept until 2027-01-01T00:00:00Z (rule)\n  - v  copy 4\n"
    )
