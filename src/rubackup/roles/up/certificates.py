"""The state's PKI: a root, an issuing CA, and leaves for this machine's server and API.

Client and media server get theirs by enrolling, as on any other host.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rubackup.roles import authority
from rubackup.roles.authority import HWID_BYTES
from rubackup.roles.up.state import State


def hwid(state: State, role: str) -> str:
    """The hardware id of a role on this machine, random at first and then kept."""
    return state.keep_text(state.root / "keys" / role / "hwid", secrets.token_hex(HWID_BYTES[role]))


def make_certificates(state: State, api_names: Sequence[str]) -> None:
    """Make what is missing, and new leaves for server and API."""
    keys = state.root / "keys"
    root = authority.keep_root(keys / "rootCA/serverRootCAKey.key", state.root_certificate)
    issuing = authority.keep_issuing(keys / "server/issuingCAKey.key", keys / "server/issuingCACert.crt", lambda: root)
    for role, names in _leaves(api_names):
        authority.write_leaf(issuing, role, hwid(state, role), *_paths(state, role), names)


def are_due(state: State, api_names: Sequence[str], now: datetime | None = None) -> bool:
    """Whether a leaf of server or API has to be made anew, as two thirds of its life are over."""
    leaves = [(_paths(state, role), names) for role, names in _leaves(api_names)]
    return not all(authority.covers(chain, key, names, now) for (key, chain), names in leaves)


def _leaves(api_names: Sequence[str]) -> tuple[tuple[str, Sequence[str]], ...]:
    return (("server", ()), ("api", api_names))


def _paths(state: State, role: str) -> tuple[Path, Path]:
    folder = state.root / "keys" / role
    return folder / f"{role}Key.key", folder / f"{role}Cert.crt"
