"""The command `rubackup client` without a client's process: its usage, its exit statuses, what it prints."""

from __future__ import annotations

from pathlib import Path

import pytest
from typer.testing import CliRunner

from rubackup.cli import output
from rubackup.cli.client import UNREACHABLE, USAGE, app


def run(*arguments: str) -> tuple[int, str]:
    """Exit status and what was printed, errors too."""
    result = CliRunner(env={"RUBACKUP_CLIENT_SOCKET": ""}).invoke(app, list(arguments))
    return result.exit_code, result.output


def test_the_help_names_the_products_tools() -> None:
    """Whoever looks for rb_schedule, rb_archives or rb_tasks finds them."""
    status, text = run("--help")

    assert status == 0
    assert all(name in text for name in ("rb_schedule", "rb_archives", "rb_tasks"))


def test_the_clients_process_must_be_named() -> None:
    """Without a state, a socket or the variable it is a wrong usage."""
    assert run("status")[0] == USAGE


@pytest.mark.parametrize(
    "command",
    [
        ("status",), ("rules",), ("copies",), ("tasks",), ("request-rule", "n", "/r", "--every", "1 day"),
        ("request-rule-deletion", "1"), ("backup", "/r"), ("restore", "1", "--to", "/t"), ("delete-copy", "1", "--yes"),
    ],
)  # fmt: skip
def test_where_nobody_listens_the_status_is_3(tmp_path: Path, command: tuple[str, ...]) -> None:
    """The sentence names the socket."""
    socket = str(tmp_path / "client.sock")

    status, text = run("--socket", socket, *command)

    assert status == UNREACHABLE
    assert socket in text


@pytest.mark.parametrize(
    "arguments",
    [(), ("--cron", "0 2 * * *", "--every", "1 day"), ("--cron", "0 2"), ("--every", "1 day", "--priority", "0")],
)
def test_a_rule_comes_due_by_cron_or_by_an_interval(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    """Neither, both, or half a schedule is a wrong usage."""
    assert run("--socket", str(tmp_path / "s"), "request-rule", "n", "/r", *arguments)[0] == USAGE


def test_columns_are_as_wide_as_their_cells(capsys: pytest.CaptureFixture[str]) -> None:
    """Headers first, no blanks at the end of a line."""
    output.columns(("Id", "Name"), [(1, "a"), (1000, "long name")])

    assert capsys.readouterr().out.splitlines() == ["Id    Name", "1     a", "1000  long name"]


def test_what_came_from_elsewhere_cannot_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    """Control characters and bytes that are no text are escaped; other letters are not."""
    output.facts([("name", "\x1b[2Jфайл\n\udcff")])

    assert capsys.readouterr().out == "name  \\x1b[2Jфайл\\n\\udcff\n"
