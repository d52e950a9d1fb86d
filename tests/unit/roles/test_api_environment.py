"""rubackup_api.env: the guide's variables, exported ones first, everything wrong named."""

from __future__ import annotations

from pathlib import Path

import pytest

from rubackup.roles.installed.environment import GUIDE, api_settings, app_host
from rubackup.roles.installed.layout import Layout
from rubackup.roles.settings import ConfigurationFault, parse
from support.installed import PACKAGING


def layout(root: Path, text: str) -> Layout:
    """An installation whose env file has this text."""
    (root / "etc").mkdir(exist_ok=True)
    (root / "etc/rubackup_api.env").write_text(text)
    return Layout(root)


def test_the_shipped_file_is_the_guides() -> None:
    """Six variables with the guide's values, in its order."""
    text = (PACKAGING / "etc/rubackup_api.env").read_text()

    assert list(parse(text, "x").items()) == list(GUIDE.items())


def test_an_exported_variable_wins(tmp_path: Path) -> None:
    """As the guide says of `export APP_HOST=...`; what is not exported comes from the file, then the default."""
    found = api_settings(layout(tmp_path, "APP_HOST=one\nAPP_PORT=1\n"), {"APP_HOST": "two", "HOSTNAME": "shell"})

    assert (app_host(found), found.port("APP_PORT"), found.port("DB_PORT")) == ("two", 1, 5432)
    assert found.text("HOSTNAME", "") == ""


def test_without_a_file_everything_may_be_exported(tmp_path: Path) -> None:
    """The guide's way with .bashrc."""
    assert app_host(api_settings(Layout(tmp_path), {"APP_HOST": "192.168.10.11"})) == "192.168.10.11"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("APP_HSOT=x", "There is no variable APP_HSOT .*did you mean APP_HOST"),
        ("NODE=client", "There is no variable NODE .*there are: APP_HOST, APP_PORT"),
        ("APP_HOST=two words", "APP_HOST must be a host name or an IP address, not 'two words'"),
        ("app_host=x", "Line 1 of .*rubackup_api.env is not of the form KEY=value"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, text: str, told: str) -> None:
    """With what is allowed."""
    with pytest.raises(ConfigurationFault, match=told):
        api_settings(layout(tmp_path, text + "\n"), {})
