"""`rubackup_api.env`: the settings of the API, which reads no config.file (guide). Exported variables win over the file."""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Mapping

from rubackup.domain.identity import HOSTNAME
from rubackup.roles.installed.layout import Layout
from rubackup.roles.settings import ConfigurationFault, Settings, parse

GUIDE = {
    "APP_HOST": "localhost",
    "APP_PORT": "5656",
    "DB_HOST": "localhost",
    "DB_PORT": "5432",
    "RB_SERVER_HOST": "localhost",
    "DEBUG": "False",
}
"""The guide's variables with its defaults."""
OURS = (
    "DB_NAME", "DB_USER", "DB_PASSWORD_FILE", "DB_SSLMODE", "DB_ROOT_CERT", "KEY_FILE", "CERT_FILE", "ROOT_CA_FILE", "TOKEN_SECRET_FILE",
    "METRICS_TOKEN_FILE", "COOKIE_DOMAIN", "TIMEZONE", "WORKERS", "WORKER_TIMEOUT", "READY_FILE", "FREE_BIND",
)  # fmt: skip
KNOWN = (*GUIDE, *OURS)
_ADDRESS = re.compile(r"[0-9A-Fa-f:.]+")


def api_settings(layout: Layout, environment: Mapping[str, str] | None = None) -> Settings:
    """The API's settings; ConfigurationFault names a line that is no pair or a variable that there is not."""
    path = layout.api_environment
    try:
        written = parse(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        written = {}  # everything may be exported, as the guide says
    except OSError as error:
        raise ConfigurationFault(f"Cannot read {path}: {error.strerror}.") from error
    except UnicodeDecodeError as error:
        raise ConfigurationFault(f"{path} is not UTF-8.") from error
    for key in written:
        if key not in KNOWN:
            near = difflib.get_close_matches(key, KNOWN, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(KNOWN)}."
            raise ConfigurationFault(f"There is no variable {key} ({path}); {hint}")
    places = {
        "DB_PASSWORD_FILE": str(layout.database_password),
        "KEY_FILE": str(layout.key("api")),
        "CERT_FILE": str(layout.certificate("api")),
        "ROOT_CA_FILE": str(layout.root_certificate),
        "STATE_DIR": str(layout.token_secret.parent),
    }
    if layout.database_root.exists():
        places["DB_ROOT_CERT"] = str(layout.database_root)
    values = {**GUIDE, **places, **_access(layout), **{key: value for key, value in written.items() if value}}
    exported = os.environ if environment is None else environment
    kept = {key: exported[key] for key in KNOWN if key in exported}
    settings = Settings(values, str(path), kept)
    app_host(settings)
    _own_role(layout, settings)
    return settings


def _access(layout: Layout) -> dict[str, str]:
    """What the primary server's file told of the service database."""
    path = layout.database_access
    try:
        return parse(path.read_text(encoding="utf-8"), str(path))
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise ConfigurationFault(f"Cannot read {path}: {error.strerror}.") from error


def _own_role(layout: Layout, settings: Settings) -> None:
    """ConfigurationFault when another role is named than the one whose password the primary server's file brought."""
    role, named = _access(layout).get("DB_USER"), settings.text("DB_USER", "")
    if role and named != role and settings.path("DB_PASSWORD_FILE") == layout.database_password:
        raise ConfigurationFault(
            f"DB_USER is {named} ({settings.source}), but {layout.database_password} is the password of {role}, which"
            " rb_init --enroll-api made for this host: leave DB_USER out."
        )


def app_host(settings: Settings) -> str:
    """The name under which the API is called; ConfigurationFault when it can be neither a name nor an address."""
    host = settings.text("APP_HOST", "localhost")
    if not HOSTNAME.fullmatch(host) and not (":" in host and _ADDRESS.fullmatch(host)):
        raise ConfigurationFault(f"APP_HOST must be a host name or an IP address, not {host!r} ({settings.source}).")
    return host
