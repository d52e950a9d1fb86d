"""Whether the API has what it needs to serve: certificate, root, password. A new leaf where this host can sign one."""

from __future__ import annotations

from pathlib import Path

from rubackup.roles import authority
from rubackup.roles.installed.config_file import read_hwid
from rubackup.roles.installed.environment import app_host
from rubackup.roles.installed.layout import Layout
from rubackup.roles.installed.owners import give_to_owner_of, readable
from rubackup.roles.settings import ConfigurationFault, Settings
from rubackup.wire import pki


def renew(layout: Layout, role: str, names: tuple[str, ...] = ()) -> bool:
    """Whether a new leaf was signed: an API's old one lacks a name, or two thirds of its life are over.

    Only where the issuing CA lies; the caller may read it.
    """
    key, chain = layout.key(role), layout.certificate(role)
    needed = [*authority.own_names(), *names] if role == "api" else []
    if authority.covers(chain, key, needed):
        return False
    issuing = pki.Authority(key_pem=layout.issuing_key.read_bytes(), cert_pem=layout.issuing_certificate.read_bytes())
    authority.write_leaf(issuing, role, read_hwid(role, layout), key, chain, names)
    for path in (key, chain):
        give_to_owner_of(path.parent, path)
    return True


def prepare_api(layout: Layout, settings: Settings) -> bool:
    """Sign a leaf that has APP_HOST, where this process may; whether it did."""
    own = settings.path("CERT_FILE") == layout.certificate("api")
    if not own or not readable(layout.issuing_key) or not layout.hwid("api").exists():
        return False
    return renew(layout, "api", (app_host(settings),))


def require_api(settings: Settings) -> None:
    """ConfigurationFault with one sentence that says what is missing, and how to get it."""
    host = app_host(settings)
    chain = settings.path("CERT_FILE")
    missing = [path for path in _needed(settings) if not path.exists()]
    bring = (
        f"run rb_init --enroll-api {host} on the primary server,"
        " bring the file that it writes here, and run rubackup_api --enroll FILE"
    )
    if missing:
        raise ConfigurationFault(f"There is no {missing[0]}: {bring} (on the primary server itself: rb_init).")
    if host.lower() not in authority.names_of(chain):
        raise ConfigurationFault(f"The certificate {chain} is not for APP_HOST {host}: {bring}.")


def _needed(settings: Settings) -> tuple[Path, ...]:
    keys = ("KEY_FILE", "CERT_FILE", "ROOT_CA_FILE", "DB_PASSWORD_FILE")
    return tuple(settings.path(key) for key in keys)
