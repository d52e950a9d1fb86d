"""Logging of installed programs: the API by the guide's INI file, the others each into a file of its own.

Logs rotate at midnight; 15 files are kept, the current one among them.
"""

from __future__ import annotations

import configparser
import logging
import logging.config
import logging.handlers
from pathlib import Path

from rubackup.roles.process import LOG_FORMAT
from rubackup.roles.settings import ConfigurationFault

FILES = 15
INITIALIZING = "RuBackup API Logger initializing"
"""The guide's first line of a start."""


def configure_api(conf: Path, *, debug: bool) -> None:
    """Log as the INI file says, in the form that Python's logging.config documents; ConfigurationFault names it.

    With `debug` every logger and handler of the file takes everything.
    """
    parser = configparser.RawConfigParser()
    try:
        with conf.open(encoding="utf-8") as file:
            parser.read_file(file)
    except OSError as error:
        raise ConfigurationFault(f"Cannot read {conf}: {error.strerror}.") from error
    except (configparser.Error, UnicodeDecodeError) as error:
        raise ConfigurationFault(f"{conf} is no INI file: {error}.") from error
    if debug:
        for section in parser.sections():
            if section.startswith(("logger_", "handler_")):
                parser.set(section, "level", "DEBUG")
    try:
        logging.config.fileConfig(parser, disable_existing_loggers=False)
    except KeyError as error:
        raise ConfigurationFault(f"{conf} lacks {error}.") from error
    except OSError as error:
        raise ConfigurationFault(
            f"{conf} names the file {error.filename}, which cannot be written: {error.strerror}."
        ) from error
    except (
        ValueError,
        TypeError,
        NameError,
        AttributeError,
        SyntaxError,
        ImportError,
        configparser.Error,
        RuntimeError,
    ) as error:
        raise ConfigurationFault(f"{conf} cannot be used: {error}.") from error


def configure_file(path: Path, level: str) -> None:
    """Log to standard error and into the file, which rotates at midnight."""
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        handler = logging.handlers.TimedRotatingFileHandler(path, "midnight", backupCount=FILES - 1, encoding="utf-8")
    except OSError as error:
        raise ConfigurationFault(f"The log {path} cannot be written: {error.strerror}.") from error
    logging.basicConfig(level=level, format=LOG_FORMAT, handlers=[logging.StreamHandler(), handler])
