"""The secret of sessions: made once, kept, and told to nobody."""

from __future__ import annotations

import logging
import os
import stat
import threading
from pathlib import Path

import pytest

from rubackup.roles.init.folders import files
from rubackup.roles.init.further import keep_token_secret
from rubackup.roles.installed.environment import api_settings
from rubackup.roles.installed.layout import Layout
from rubackup.roles.settings import ConfigurationFault, Settings
from rubackup.roles.token_secret import keep, token_secret


def settings(**values: str) -> Settings:
    """Of an API."""
    return Settings(values, "a test")


def test_it_is_made_once_and_private(tmp_path: Path) -> None:
    """The second start finds that of the first."""
    first = token_secret(settings(STATE_DIR=str(tmp_path)))
    (file,) = tmp_path.iterdir()

    assert len(first) >= 32
    assert token_secret(settings(STATE_DIR=str(tmp_path))) == first
    assert (file.name, stat.S_IMODE(file.stat().st_mode)) == ("token-secret", 0o600)


def test_one_that_was_deleted_is_made_anew(tmp_path: Path) -> None:
    """So that all sessions end with the next start."""
    first = keep(tmp_path / "token-secret")
    (tmp_path / "token-secret").unlink()

    assert keep(tmp_path / "token-secret") != first


def test_a_named_file_wins_and_is_never_made(tmp_path: Path) -> None:
    """Several APIs that are to share it would have one each."""
    named = tmp_path / "shared"
    with pytest.raises(
        ConfigurationFault, match=r"TOKEN_SECRET_FILE names .*shared, which cannot be read: No such file"
    ):
        token_secret(settings(TOKEN_SECRET_FILE=str(named), STATE_DIR=str(tmp_path)))
    assert list(tmp_path.iterdir()) == []

    named.write_text("s" * 40 + "\n")
    assert token_secret(settings(TOKEN_SECRET_FILE=str(named), STATE_DIR=str(tmp_path))) == b"s" * 40


def test_a_process_of_no_folder_has_one_for_its_run() -> None:
    """Nothing is left of it."""
    assert token_secret(settings()) != token_secret(settings())


def test_those_who_come_at_once_have_the_same(tmp_path: Path) -> None:
    """One of them makes it, and nothing half made is left."""
    start, found = threading.Barrier(8), []

    def work() -> None:
        start.wait(60)
        found.append(keep(tmp_path / "token-secret"))

    threads = [threading.Thread(target=work) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)

    assert len(found) == 8
    assert len(set(found)) == 1
    assert [path.name for path in tmp_path.iterdir()] == ["token-secret"]


def test_one_that_is_too_short_is_named_and_not_shown(tmp_path: Path) -> None:
    """Somebody has written into it."""
    (tmp_path / "token-secret").write_text("too-short-a-secret")
    with pytest.raises(ConfigurationFault, match="token-secret holds less than 32 bytes: delete it") as told:
        token_secret(settings(STATE_DIR=str(tmp_path)))
    assert "too-short-a-secret" not in told.value.message


def test_where_nothing_can_be_written_the_api_starts_all_the_same(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """With a secret for its run, and its log says so."""
    with caplog.at_level(logging.WARNING):
        found = token_secret(settings(STATE_DIR=str(tmp_path / "missing")))

    assert len(found) == 32
    assert "sessions end with this process" in caplog.text
    assert "token-secret can be neither read nor made: No such file or directory." in caplog.text


def test_an_installed_api_has_it_beside_its_key(tmp_path: Path) -> None:
    """`rb_init --renew`, which runs before each start of the unit, makes it, and no other host has one."""
    layout = Layout(tmp_path)
    said: list[str] = []
    keep_token_secret(layout, said.append)
    assert list(tmp_path.iterdir()) == []

    layout.key("api").parent.mkdir(parents=True)
    layout.hwid("api").write_text("a" * 64)
    keep_token_secret(layout, said.append)
    found = api_settings(layout, {})

    assert (tmp_path / "keys/api/token-secret").read_bytes().strip() == token_secret(found)
    assert {(one.mode, one.user) for one in files(layout, {"api"}) if one.path == layout.token_secret} == {
        (0o600, "rubackup-api")
    }
    assert said == []


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives files away")
def test_root_makes_it_for_the_owner_of_the_folder(tmp_path: Path) -> None:
    """The user of the API, which could not read it otherwise."""
    os.chown(tmp_path, 12345, 12346)
    keep(tmp_path / "token-secret")
    found = (tmp_path / "token-secret").stat()

    assert (found.st_uid, found.st_gid) == (12345, 12346)
