"""An autonomous client's folder: what is wrong with it is a sentence, before anything is made."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

import pytest
from typer.testing import CliRunner

from rubackup.cli.client import REFUSED, UNREACHABLE, app
from rubackup.domain.errors import Conflict, RubackupError
from rubackup.roles.init.nodes import set_up
from rubackup.roles.init.plan import Plan
from rubackup.roles.installed import alone, pidfile
from rubackup.roles.installed.check import check
from rubackup.roles.installed.layout import VARIABLE, Layout
from rubackup.roles.settings import ConfigurationFault
from rubackup.roles.up import catalogue
from rubackup.roles.up.state import State, locked


@pytest.fixture
def layout(tmp_path: Path) -> Layout:
    """An installation of which nothing is there."""
    return Layout(tmp_path / "opt")


def written(layout: Layout, folder: Path) -> State:
    """The state of an autonomous client whose config.file names this folder."""
    layout.config_file.parent.mkdir(parents=True, exist_ok=True)
    layout.config_file.write_text(f"node autonomous-client\nautonomous-directory {folder}\n")
    return State(folder)


@pytest.mark.parametrize(
    ("folder", "told"),
    [
        ("/var/tmp/" + 300 * "x", "-a is too long for a path: 255 bytes"),
        ("/proc/x", "Cannot use /proc/x (-a): no such file or directory"),
    ],
)
def test_a_folder_that_cannot_be_made_is_found_out_first(layout: Layout, folder: str, told: str) -> None:
    """And nothing of the installation is made."""
    with pytest.raises(RubackupError) as caught:
        set_up(layout, Plan("autonomous-client", alone=Path(folder)), print)

    assert caught.value.message.startswith(told)
    assert not layout.root.exists()


def test_config_check_and_the_start_tell_of_a_path_that_is_too_long(layout: Layout) -> None:
    """A sentence that names the key."""
    written(layout, Path("/" + 300 * "x"))

    assert any(one.startswith("autonomous-directory is too long for a path") for one in check(layout).problems)
    with pytest.raises(ConfigurationFault, match="autonomous-directory is too long"):
        alone.run(layout, lambda _: None)


def test_config_check_tells_who_else_holds_the_folder(layout: Layout, tmp_path: Path) -> None:
    """Its own service may: that is how it runs."""
    state = written(layout, tmp_path / "disk with blanks")
    state.make()
    told = f"on which another system runs (process {{}}); stop that first: rubackup down --state '{state.root}'."

    assert check(layout).problems == []
    with locked(state):
        assert [one for one in check(layout).problems if told.format(os.getpid()) in one]
        with pidfile.held(layout.run("alone") / "rubackup_alone.pid", "rubackup_alone"):
            assert check(layout).problems == []


def test_a_command_to_paste_has_quotes(layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The folder's name may have blanks in it."""
    state = written(layout, tmp_path / "al one")
    state.make()
    (state.root / "postgres/data").mkdir()
    monkeypatch.setattr(alone, "own", contextlib.nullcontext)
    monkeypatch.setattr(catalogue, "make", lambda _: None)

    async def full(_: object) -> bool:
        return False

    monkeypatch.setattr(catalogue, "is_empty", full)

    with pytest.raises(Conflict) as caught:
        alone.begin_anew(layout)

    data = state.root / "postgres/data"
    assert f"mv '{data}' '{data}.old', and say this again" in caught.value.message


def test_the_tools_of_a_client_tell_why_nobody_is_there(
    layout: Layout, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The disk is away, or the service does not run."""
    monkeypatch.setenv(VARIABLE, str(layout.root))
    state = written(layout, tmp_path / "disk")

    away = CliRunner(env={"RUBACKUP_CLIENT_SOCKET": ""}).invoke(app, ["copies"])
    state.make()
    stopped = CliRunner(env={"RUBACKUP_CLIENT_SOCKET": ""}).invoke(app, ["copies"])

    assert away.exit_code == REFUSED
    assert (
        f"autonomous-directory names {state.root}, which holds no autonomous client: is its disk mounted?"
        in away.output
    )
    assert stopped.exit_code == UNREACHABLE
    assert "The autonomous client of this host does not run: systemctl start rubackup_alone." in stopped.output
