"""The settings of one process: an env file (`KEY=value` lines), overruled by the environment.

The guide's names are kept (APP_HOST, APP_PORT, DB_HOST, DB_PORT, RB_SERVER_HOST, DEBUG). Every
error names the key and where it was read.
"""

from __future__ import annotations

import os
import re
import shlex
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from rubackup.domain.errors import Invalid
from rubackup.roles import arguments as given

SERVER_PORT = 9991
"""Where servers listen unless RB_SERVER_HOST says otherwise (guide)."""

_KEY = re.compile(r"[A-Z][A-Z0-9_]*")
_LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")
_TRUE = frozenset({"true", "yes", "on", "1"})
_FALSE = frozenset({"false", "no", "off", "0"})


class ConfigurationFault(Invalid):
    """A setting is missing or wrong."""

    code = "configuration"


class Settings:
    """Values by key; asking for one gives it in the wanted type or raises ConfigurationFault."""

    def __init__(
        self,
        values: Mapping[str, str],
        source: str,
        environment: Mapping[str, str] | None = None,
        names: Mapping[str, str] | None = None,
    ) -> None:
        """`names` are what the keys are called where an administrator writes them, if not as here."""
        self._values = dict(values)
        self._source = source
        self._environment = environment or {}
        self._names = names or {}

    @classmethod
    def load(cls, path: Path, environment: Mapping[str, str] | None = None) -> Settings:
        """The settings of an env file; `environment` (the process' by default) overrules it."""
        try:
            text = path.read_text(encoding="utf-8")
        except OSError as error:
            raise ConfigurationFault(f"Cannot read the settings {path}: {error.strerror}.") from error
        except UnicodeDecodeError as error:
            raise ConfigurationFault(f"The settings {path} are not UTF-8.") from error
        return cls(parse(text, str(path)), str(path), os.environ if environment is None else environment)

    @property
    def source(self) -> str:
        """The file that they were read from."""
        return self._source

    def text(self, key: str, default: str | None = None) -> str:
        """A value as it stands; one without a default must be set."""
        value = self._environment.get(key) or self._values.get(key)
        if value:
            return value
        if default is None:
            raise ConfigurationFault(f"{self._name(key)} is not set ({self._source}).")
        return default

    def integer(self, key: str, default: int | None = None) -> int:
        """A whole number."""
        text = self.text(key, None if default is None else str(default))
        found = given.number(text)
        if found is None:
            raise self._wrong(key, text, "a whole number")
        return found

    def number(self, key: str, default: int, *, least: int = 0, most: int) -> int:
        """A whole number from `least` to `most`."""
        wanted = f"a whole number from {least} to {most}"
        text = self.text(key, str(default))
        found = given.number(text)
        if found is None or not least <= found <= most:
            raise self._wrong(key, text, wanted)
        return found

    def choice(self, key: str, allowed: Sequence[str], default: str) -> str:
        """One of the allowed words."""
        text = self.text(key, default)
        if text not in allowed:
            raise self._wrong(key, text, f"one of {', '.join(allowed)}")
        return text

    def fault(self, key: str, text: str) -> ConfigurationFault:
        """What is wrong with a key: its name as the administrator knows it, and the text."""
        return ConfigurationFault(f"{self._name(key)} {text} ({self._source}).")

    def port(self, key: str, default: int | None = None) -> int:
        """A TCP port; 0 lets the system choose."""
        found = self.integer(key, default)
        if not 0 <= found <= 65535:
            raise self._wrong(key, str(found), "a port from 0 to 65535")
        return found

    def flag(self, key: str, default: bool | None = None) -> bool:
        """`True` or `False`, in any of the usual spellings."""
        text = self.text(key, None if default is None else str(default))
        if text.lower() in _TRUE:
            return True
        if text.lower() in _FALSE:
            return False
        raise self._wrong(key, text, "True or False")

    def log_level(self) -> str:
        """LOG_LEVEL, or DEBUG when the guide's switch of that name is True."""
        level = "DEBUG" if self.flag("DEBUG", default=False) else self.text("LOG_LEVEL", "INFO").upper()
        if level not in _LEVELS:
            raise self._wrong("LOG_LEVEL", level, f"one of {', '.join(_LEVELS)}")
        return level

    def path(self, key: str, default: Path | None = None) -> Path:
        """An absolute path."""
        path = Path(self.text(key, None if default is None else str(default)))
        if not path.is_absolute():
            raise self._wrong(key, str(path), "an absolute path")
        if fault := given.length_fault(path):
            raise self.fault(key, fault.rstrip("."))
        return path

    def folders(self, key: str) -> tuple[Path, ...]:
        """Absolute folders, separated by blanks and quoted as for a shell; none by default."""
        text = self.text(key, "")
        try:
            found = tuple(Path(part) for part in shlex.split(text))
        except ValueError:
            raise self._wrong(key, text, "a list of folders, quoted as for a shell") from None
        if not all(folder.is_absolute() for folder in found):
            raise self._wrong(key, text, "a list of absolute folders")
        if fault := next(filter(None, map(given.length_fault, found)), ""):
            raise self.fault(key, fault.rstrip("."))
        return found

    def secret(self, key: str) -> str:
        """The text of the file that `key` names, without the line's end. The text is never part of an error."""
        path = self.path(key)
        try:
            text = path.read_text(encoding="utf-8").strip()
        except OSError as error:
            name = self._name(key)
            raise ConfigurationFault(f"{name} names {path}, which cannot be read: {error.strerror}.") from error
        if not text:
            raise ConfigurationFault(f"{self._name(key)} names {path}, which is empty.")
        return text

    def servers(self, key: str = "RB_SERVER_HOST") -> tuple[tuple[str, int], ...]:
        """Hosts with their ports out of `host:port,host`; IPv6 addresses stand in brackets."""
        return tuple(self._address(key, part.strip()) for part in self.text(key).split(","))

    def _address(self, key: str, text: str) -> tuple[str, int]:
        match = re.fullmatch(r"\[([0-9a-fA-F:.]+)\](?::([0-9]{1,5}))?|([^\s:\[\]]+)(?::([0-9]{1,5}))?", text)
        if match is None:
            raise self._wrong(key, text, "a list of addresses such as 'backup1:9991,backup2'")
        port = int(match[2] or match[4] or SERVER_PORT)
        if not 0 < port <= 65535:
            raise self._wrong(key, text, "an address with a port from 1 to 65535")
        return match[1] or match[3], port

    def _wrong(self, key: str, text: str, wanted: str) -> ConfigurationFault:
        source = "the environment" if self._environment.get(key) else self._source
        return ConfigurationFault(f"{self._name(key)} must be {wanted}, not {text!r} ({source}).")

    def _name(self, key: str) -> str:
        return self._names.get(key, key)


def parse(text: str, source: str) -> dict[str, str]:
    """The pairs of an env file: comments, `export` and quotes as shells and systemd know them."""
    values: dict[str, str] = {}
    for number, raw in enumerate(text.splitlines(), 1):
        line = raw.strip().removeprefix("export ").strip()
        if not line or line.startswith("#"):
            continue
        key, separator, value = line.partition("=")
        if not separator or not _KEY.fullmatch(key):
            raise ConfigurationFault(f"Line {number} of {source} is not of the form KEY=value.")
        values[key] = _unquoted(value.strip())
    return values


def _unquoted(value: str) -> str:
    if len(value) >= 2 and value[0] == value[-1] and value[0] in "'\"":
        return value[1:-1]
    return value


def render(values: Mapping[str, str]) -> str:
    """An env file that gives these pairs when it is read; Invalid names a key whose value cannot stand in one."""
    lines = {key: f"{key}={value}\n" for key, value in values.items()}
    for key, line in lines.items():
        if len(line.splitlines()) != 1 or parse(line, key) != {key: values[key]}:
            raise ConfigurationFault(f"{key} has a value that cannot stand in a settings file.")
    return "".join(lines.values())


def render_folders(folders: Iterable[Path]) -> str:
    """The value that `Settings.folders` reads as these; without quotes, which a whole value would lose."""
    return " ".join(re.sub(r"[^\w@%+=:,./-]", r"\\\g<0>", str(folder)) for folder in folders)


def time_zone(settings: Settings) -> ZoneInfo | None:
    """The zone of times of day, and of instants that are written without one; None: that of this host."""
    name = settings.text("TIMEZONE", "")
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError) as error:
        raise ConfigurationFault(f"TIMEZONE {name} is no IANA time zone of this host.") from error


def schedule_zone(settings: Settings, localtime: Path = Path("/etc/localtime")) -> ZoneInfo:
    """The zone of cron fields: TIMEZONE, else that of this host by its IANA name, else UTC."""
    found = time_zone(settings) or _named(os.environ.get("TZ", "").removeprefix(":"))
    return found or _named(str(localtime.resolve()).partition("/zoneinfo/")[2]) or ZoneInfo("UTC")


def _named(name: str) -> ZoneInfo | None:
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError):
        return None
