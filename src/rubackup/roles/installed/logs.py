"""Logging of installed programs: the API by the guide's INI file, the others each into a file of its own.

Logs rotate at midnight; 15 files are kept, the current one among them. Of several workers, which are forks of their
keeper, each appends to the same files; the keeper alone turns them over.
"""

from __future__ import annotations

import configparser
import contextlib
import locale
import logging
import logging.config
import logging.handlers
import os
import time
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


class Follower(logging.Handler):
    """Appends to a file that another process turns over: each line is one write, to whatever has the name now."""

    def __init__(self, file: logging.FileHandler) -> None:
        super().__init__(file.level)
        self.setFormatter(file.formatter)
        for one in file.filters:
            self.addFilter(one)
        self._path = file.baseFilename
        named = file.encoding not in {None, "locale"}  # the second is how Python notes that no encoding was given
        self._encoding = str(file.encoding) if named else locale.getpreferredencoding(do_setlocale=False)
        self._descriptor = -1
        self._known = (0, 0)

    def emit(self, record: logging.LogRecord) -> None:
        """Write a line. One that is written while the file is renamed stands at the end of the older one."""
        try:
            text = (self.format(record) + "\n").encode(self._encoding, "backslashreplace")
            os.write(self._current(), text)
        except Exception:  # as every handler of logging: what is wrong with a log ends no call
            self.handleError(record)

    def _current(self) -> int:
        try:
            found = Path(self._path).stat()
        except FileNotFoundError:
            found = None
        if found is None or (found.st_dev, found.st_ino) != self._known:
            self._open()
        return self._descriptor

    def _open(self) -> None:
        descriptor = os.open(self._path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o640)
        if self._descriptor >= 0:
            os.close(self._descriptor)
        opened = os.fstat(descriptor)
        self._descriptor, self._known = descriptor, (opened.st_dev, opened.st_ino)


def follow() -> None:
    """In a worker: leave turning files over to the keeper."""
    for logger in _loggers():
        for handler in list(logger.handlers):
            if isinstance(handler, logging.FileHandler):
                logger.removeHandler(handler)
                logger.addHandler(_followers.setdefault(handler, Follower(handler)))


_followers: dict[logging.Handler, Follower] = {}
"""By the handler that each replaces, which several loggers may share."""


def turn_over() -> float | None:
    """In the keeper: turn over the files whose time or size is reached; seconds until the next has its time."""
    waits = []
    for handler in {handler for logger in _loggers() for handler in logger.handlers}:
        if not isinstance(handler, logging.handlers.BaseRotatingHandler):
            continue
        with handler.lock or contextlib.nullcontext():
            if _is_due(handler):
                handler.doRollover()  # type: ignore[attr-defined]
        if isinstance(handler, logging.handlers.TimedRotatingFileHandler):
            waits.append(handler.rolloverAt - time.time())
    return min(waits, default=None)


def _is_due(handler: logging.handlers.BaseRotatingHandler) -> bool:
    if isinstance(handler, logging.handlers.TimedRotatingFileHandler):
        return time.time() >= handler.rolloverAt
    if isinstance(handler, logging.handlers.RotatingFileHandler) and handler.maxBytes > 0:
        with contextlib.suppress(FileNotFoundError):
            return Path(handler.baseFilename).stat().st_size >= handler.maxBytes
    return False


def _loggers() -> list[logging.Logger]:
    named = [one for one in logging.Logger.manager.loggerDict.values() if isinstance(one, logging.Logger)]
    return [logging.getLogger(), *named]
