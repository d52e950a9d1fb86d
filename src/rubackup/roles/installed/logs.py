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
    check_api(conf)
    parser = _read(conf)
    if debug:
        for section in parser.sections():
            if section.startswith(("logger_", "handler_")):
                parser.set(section, "level", "DEBUG")
    try:
        logging.config.fileConfig(parser, disable_existing_loggers=False)
    except OSError as error:
        name = error.filename or "a file"
        raise ConfigurationFault(f"{conf} names {name}, which cannot be written: {error.strerror}.") from error
    except Exception as error:  # the file's arguments are Python, which may raise anything
        raise ConfigurationFault(f"{conf} cannot be used: {type(error).__name__}: {error}.") from error


def check_api(conf: Path) -> None:
    """ConfigurationFault when a logger, handler or formatter that the file names is not described in it."""
    parser = _read(conf)
    for kind in ("logger", "handler", "formatter"):
        listed = parser.get(f"{kind}s", "keys", fallback="")
        for name in filter(None, (part.strip() for part in listed.split(","))):
            if not parser.has_section(f"{kind}_{name}"):
                raise ConfigurationFault(f"{conf} lists the {kind} {name} and has no section {kind}_{name}.")
    for section in parser.sections():
        level = parser.get(section, "level", fallback="INFO")
        if not isinstance(logging.getLevelName(level), int):
            raise ConfigurationFault(
                f"{conf}: level of {section} must be DEBUG, INFO, WARNING, ERROR or CRITICAL, not {level}."
            )


def _read(conf: Path) -> configparser.RawConfigParser:
    parser = configparser.RawConfigParser()
    try:
        with conf.open(encoding="utf-8") as file:
            parser.read_file(file)
    except OSError as error:
        raise ConfigurationFault(f"Cannot read {conf}: {error.strerror}.") from error
    except (configparser.Error, UnicodeDecodeError) as error:
        raise ConfigurationFault(f"{conf} is no INI file: {error}.") from error
    return parser


def configure_file(path: Path, level: str) -> None:
    """Log to standard error and into the file, which rotates at midnight."""
    try:
        path.parent.mkdir(mode=0o750, parents=True, exist_ok=True)
        handler = logging.handlers.TimedRotatingFileHandler(path, "midnight", backupCount=FILES - 1, encoding="utf-8")
    except OSError as error:
        raise ConfigurationFault(f"The log {path} cannot be written: {error.strerror}.") from error
    logging.basicConfig(level=level, format=LOG_FORMAT, handlers=[logging.StreamHandler(), handler])
