"""rubackup_api_logger.conf: the guide's loggers and handlers, 15 files, rotation at midnight."""

from __future__ import annotations

import configparser
import logging
import logging.handlers
from collections.abc import Iterator
from pathlib import Path

import pytest

from rubackup.roles.installed import logs
from rubackup.roles.settings import ConfigurationFault
from support.installed import Installation

NAMES = ("", "rubackup", "rb_access", "uvicorn")


@pytest.fixture
def conf(tmp_path: Path) -> Iterator[Path]:
    """The shipped file below a folder; the loggers are afterwards as they were."""
    before = {name: (logging.getLogger(name).level, list(logging.getLogger(name).handlers)) for name in NAMES}
    propagated = {name: logging.getLogger(name).propagate for name in NAMES}
    layout = Installation.lay(tmp_path / "opt").layout
    (layout.log("api") / "access").mkdir(parents=True)
    yield layout.logger_conf
    for name, (level, handlers) in before.items():
        logger = logging.getLogger(name)
        for handler in set(logger.handlers) - set(handlers):
            handler.close()
        logger.setLevel(level)
        logger.handlers[:] = handlers
        logger.propagate = propagated[name]


def files_of(name: str) -> list[logging.handlers.TimedRotatingFileHandler]:
    """The rotating files of a logger."""
    found = logging.getLogger(name).handlers
    return [handler for handler in found if isinstance(handler, logging.handlers.TimedRotatingFileHandler)]


def test_the_guides_files_rotate_at_midnight_and_are_fifteen(conf: Path) -> None:
    """The current file and 14 older ones, of the API and of access."""
    logs.configure_api(conf, debug=False)

    found = {name: files_of(name)[0] for name in ("rubackup", "rb_access", "uvicorn")}
    assert {handler.when for handler in found.values()} == {"MIDNIGHT"}
    assert {handler.backupCount + 1 for handler in found.values()} == {logs.FILES}
    assert Path(found["rb_access"].baseFilename).name == "rubackup-api.access.log"
    assert Path(found["rubackup"].baseFilename).name == "rubackup-api.log"


def test_debug_lets_everything_through(conf: Path) -> None:
    """DEBUG=True of the env file; otherwise information and worse."""
    logs.configure_api(conf, debug=False)
    assert not logging.getLogger("rubackup.x").isEnabledFor(logging.DEBUG)

    logs.configure_api(conf, debug=True)
    logging.getLogger("rubackup.x").debug("so much")

    assert "[DEBUG] - 'so much'" in Path(files_of("rubackup")[0].baseFilename).read_text()


@pytest.mark.parametrize(
    ("section", "key", "value", "told"),
    [
        ("logger_root", "level", "LOUD", "level of logger_root must be DEBUG, INFO, WARNING, ERROR or CRITICAL"),
        ("handlers", "keys", "file,console,access,mail", "lists the handler mail and has no section handler_mail"),
    ],
)
def test_a_wrong_file_is_named_before_the_start(conf: Path, section: str, key: str, value: str, told: str) -> None:
    """`rubackup config check` tells what the start would stumble over."""
    parser = configparser.RawConfigParser()
    parser.read(conf)
    parser.set(section, key, value)
    with conf.open("w") as file:
        parser.write(file)

    with pytest.raises(ConfigurationFault, match=told):
        logs.check_api(conf)
    with pytest.raises(ConfigurationFault, match=told):
        logs.configure_api(conf, debug=False)


def test_a_log_that_cannot_be_written_is_named(conf: Path) -> None:
    """The file, and why."""
    conf.write_text(conf.read_text().replace("/log/rubackup_api/", "/log/nowhere/"))

    with pytest.raises(ConfigurationFault, match=r"names .*nowhere.*, which cannot be written: No such file"):
        logs.configure_api(conf, debug=False)
