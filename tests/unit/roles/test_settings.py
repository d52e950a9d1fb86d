"""Settings: an env file, overruled by the environment; errors name the key."""

from __future__ import annotations

from pathlib import Path

import pytest

from rubackup.roles.settings import ConfigurationFault, Settings, parse, render, render_folders, schedule_zone


def settings(**values: str) -> Settings:
    """Settings of a file `test.env` with these values."""
    return Settings(values, "test.env")


def test_comments_export_and_quotes_are_understood():
    """A file written for a shell or for systemd is read alike."""
    text = "# a comment\n\nexport APP_HOST='api.rubackup.local'\nAPP_PORT = 5656\nEMPTY=\n".replace(" = ", "=")

    assert parse(text, "x.env") == {"APP_HOST": "api.rubackup.local", "APP_PORT": "5656", "EMPTY": ""}


@pytest.mark.parametrize("line", ["APP_HOST", "app_host=x", "A B=1", "=1"])
def test_a_line_of_another_form_is_named(line: str):
    """Nothing in a file is skipped silently."""
    with pytest.raises(ConfigurationFault, match=r"Line 2 of x.env"):
        parse(f"DEBUG=True\n{line}\n", "x.env")


def test_the_environment_overrules_the_file():
    """An exported value wins; an empty one counts as not set."""
    found = Settings({"APP_PORT": "1", "APP_HOST": "file"}, "x.env", {"APP_PORT": "2", "APP_HOST": ""})

    assert (found.integer("APP_PORT"), found.text("APP_HOST")) == (2, "file")


def test_a_missing_value_names_its_key():
    """Without a default a key must be set."""
    with pytest.raises(ConfigurationFault, match=r"DB_HOST is not set \(test.env\)"):
        settings().text("DB_HOST")


@pytest.mark.parametrize(
    ("key", "value", "ask"),
    [
        ("DB_PORT", "five", Settings.integer),
        ("DB_PORT", "1_0", Settings.integer),
        ("DB_PORT", "+5", Settings.port),
        ("DB_PORT", "٣", Settings.port),
        ("DB_PORT", "9" * 5000, Settings.port),
        ("DB_PORT", "65536", Settings.port),
        ("DEBUG", "maybe", Settings.flag),
        ("KEY_FILE", "keys/server.key", Settings.path),
        ("PROTECTED_DIRS", "/one two", Settings.folders),
        ("PROTECTED_DIRS", "/one 'two", Settings.folders),
    ],
)
def test_a_wrong_value_names_its_key(key: str, value: str, ask):
    """The sentence names the key and what is allowed."""
    with pytest.raises(ConfigurationFault, match=f"^{key} must be "):
        ask(settings(**{key: value}), key)


@pytest.mark.parametrize("value", ["1_0", "٣", "+5", " 5", "5.0", ""])
def test_a_count_is_written_in_plain_digits(value: str):
    """What int() takes besides is more often a slip than meant."""
    with pytest.raises(ConfigurationFault, match=r"^WORKERS must be a whole number from 1 to 64, not "):
        settings(WORKERS=value or "0").number("WORKERS", 1, least=1, most=64)


@pytest.mark.parametrize("path", [f"/srv/{'x' * 300}", f"/{'y/' * 2100}z"])
def test_a_path_that_no_system_has_is_a_wrong_setting(path: str):
    """It would be an error of the system's later, wherever it is used first."""
    for ask in (Settings.path, Settings.folders):
        with pytest.raises(ConfigurationFault, match=r"^STATE_DIR is too long for a path: 255 bytes for each name"):
            ask(settings(STATE_DIR=path), "STATE_DIR")


@pytest.mark.parametrize("value", ["host:port", "host:0", "host:٣", "a,,b", "[::1", "::1:9991"])
def test_a_wrong_server_address_is_named(value: str):
    """RB_SERVER_HOST is refused as a whole when one part is wrong."""
    with pytest.raises(ConfigurationFault, match=r"^RB_SERVER_HOST must be "):
        settings(RB_SERVER_HOST=value).servers()


def test_server_addresses_have_a_default_port():
    """RB_SERVER_HOST is a list; the guide's form without a port means 9991."""
    found = settings(RB_SERVER_HOST="localhost, b.example:7, [::1]:8,[fe80::1]").servers()

    assert found == (("localhost", 9991), ("b.example", 7), ("::1", 8), ("fe80::1", 9991))


@pytest.mark.parametrize(
    ("values", "level"),
    [({}, "INFO"), ({"LOG_LEVEL": "warning"}, "WARNING"), ({"LOG_LEVEL": "ERROR", "DEBUG": "True"}, "DEBUG")],
)
def test_debug_overrules_the_log_level(values: dict[str, str], level: str):
    """The guide's DEBUG=True logs everything."""
    assert settings(**values).log_level() == level


def test_a_wrong_log_level_is_named():
    """The sentence lists what is allowed."""
    with pytest.raises(ConfigurationFault, match=r"^LOG_LEVEL must be one of DEBUG, INFO, WARNING, ERROR, not 'LOUD'"):
        settings(LOG_LEVEL="loud").log_level()


def test_a_secret_is_read_from_its_file_and_never_told(tmp_path: Path):
    """Secrets stand in files; an error names the file only."""
    (tmp_path / "password").write_text("s3cret\n")
    (tmp_path / "empty").write_text("\n")

    assert settings(DB_PASSWORD_FILE=str(tmp_path / "password")).secret("DB_PASSWORD_FILE") == "s3cret"
    with pytest.raises(ConfigurationFault, match="which is empty"):
        settings(DB_PASSWORD_FILE=str(tmp_path / "empty")).secret("DB_PASSWORD_FILE")
    with pytest.raises(ConfigurationFault, match="cannot be read: No such file"):
        settings(DB_PASSWORD_FILE=str(tmp_path / "none")).secret("DB_PASSWORD_FILE")


def test_what_is_rendered_is_parsed_back():
    """A written file gives the same values."""
    values = {"APP_HOST": "localhost", "PATH_X": "/o'brien/a path/with = and #", "EMPTY": ""}

    assert parse(render(values), "x.env") == values


@pytest.mark.parametrize("value", ["two\nlines", "'quoted'", " padded"])
def test_what_cannot_be_read_back_is_not_written(value: str):
    """A value that would be read otherwise is refused."""
    with pytest.raises(ConfigurationFault, match="KEY has a value"):
        render({"KEY": value})


def test_folders_are_separated_by_blanks_and_quoted_as_for_a_shell():
    """What is written for them is read back, whatever their names are."""
    folders = (Path("/one"), Path("/with blank"), Path("/it's"), Path("/a:b,c\\d"), Path('/"quoted"'), Path("/папка"))

    text = parse(render({"DIRS": render_folders(folders)}), "x.env")["DIRS"]

    assert settings(DIRS=text).folders("DIRS") == folders
    assert settings(DIRS="/one '/with blank'").folders("DIRS") == folders[:2]
    assert settings().folders("DIRS") == ()


def test_the_zone_of_schedules_has_a_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """TIMEZONE, else TZ, else what the host's local time is a link to, else UTC."""
    (tmp_path / "zoneinfo" / "Asia").mkdir(parents=True)
    (tmp_path / "zoneinfo" / "Asia" / "Tokyo").touch()
    link, copy = tmp_path / "localtime", tmp_path / "copy"
    link.symlink_to(tmp_path / "zoneinfo" / "Asia" / "Tokyo")
    copy.touch()

    monkeypatch.setenv("TZ", ":Europe/Moscow")
    assert str(schedule_zone(settings(TIMEZONE="Europe/Berlin"), link)) == "Europe/Berlin"
    assert str(schedule_zone(settings(), link)) == "Europe/Moscow"
    monkeypatch.setenv("TZ", "/etc/localtime")
    assert str(schedule_zone(settings(), link)) == "Asia/Tokyo"
    monkeypatch.delenv("TZ")
    assert str(schedule_zone(settings(), copy)) == "UTC"
    with pytest.raises(ConfigurationFault, match="TIMEZONE"):
        schedule_zone(settings(TIMEZONE="Middle/Earth"), link)
