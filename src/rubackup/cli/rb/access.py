"""Where `rb` finds the API and its session.

A profile is a folder of its own below `~/.config/rubackup`: `place.json` says where the API is and who logged in last,
`session.json` (mode 0600) has the tokens. Scripts may instead name an API token by variables.
"""

from __future__ import annotations

import json
import os
import re
from dataclasses import asdict, dataclass
from pathlib import Path

from rubackup.sdk import Client, FileStore, LoggedOut, Misused
from rubackup.sdk.client import TIMEOUT_SECONDS
from rubackup.sdk.store import read_private

PROFILE, API, CA, TOKEN_FILE = "RB_PROFILE", "RUBACKUP_API", "RUBACKUP_CA", "RUBACKUP_TOKEN_FILE"
PATIENCE_SECONDS = 10.0
"""How long a command tries again when the API is busy; somebody may be looking at it."""
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True)
class Place:
    """Where a profile logs in, and as whom."""

    url: str
    ca_file: str | None
    user: str
    database: str


def profile_folder() -> Path:
    """The folder of the profile in use."""
    name = os.environ.get(PROFILE) or "default"
    if not _NAME.fullmatch(name):
        raise Misused(f"{name} is no name of a profile: letters, digits, dots, hyphens and underscores are allowed.")
    configuration = os.environ.get("XDG_CONFIG_HOME") or str(Path.home() / ".config")
    return Path(configuration) / "rubackup" / name


def session_store() -> FileStore:
    """Where the profile's tokens are kept."""
    return FileStore(profile_folder() / "session.json")


def read_place() -> Place | None:
    """Where the profile logged in last."""
    file = profile_folder() / "place.json"
    try:
        return Place(**json.loads(file.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError) as error:
        raise Misused(f"{file} is damaged: remove it, and log in again.") from error


def write_place(place: Place) -> None:
    """Keep where the profile logged in."""
    folder = profile_folder()
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    beside = folder / f".place.json.{os.getpid()}"
    beside.write_text(json.dumps(asdict(place)) + "\n", encoding="utf-8")
    beside.replace(folder / "place.json")


def connect(timeout_seconds: float = TIMEOUT_SECONDS, patience_seconds: float = PATIENCE_SECONDS) -> Client:
    """The API, with a token where a variable names one, else with the profile's session."""
    how = {"timeout_seconds": timeout_seconds, "patience_seconds": patience_seconds}
    token_file = os.environ.get(TOKEN_FILE)
    if not token_file:
        return Client.from_store(session_store(), **how)
    token = (read_private(Path(token_file)) or "").strip()
    if not token:
        raise Misused(f"{token_file} ({TOKEN_FILE}) has no token in it.")
    url, place = os.environ.get(API), read_place()
    if url:
        return Client.from_token(url, token, ca_file=os.environ.get(CA) or None, **how)
    if place is None:
        raise LoggedOut(f"{TOKEN_FILE} is set: say in {API} where the API is, and in {CA} its root certificate.")
    return Client.from_token(place.url, token, ca_file=place.ca_file, **how)
