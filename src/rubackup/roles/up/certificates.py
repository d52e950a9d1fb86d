"""The state's PKI: a root, an issuing CA, and leaves for this machine's server and API.

Client and media server get theirs by enrolling, as on any other host.
"""

from __future__ import annotations

import secrets
from collections.abc import Sequence

from rubackup.roles import authority
from rubackup.roles.authority import HWID_BYTES
from rubackup.roles.up.state import State


def hwid(state: State, role: str) -> str:
    """The hardware id of a role on this machine, random at first and then kept."""
    return state.keep_text(state.root / "keys" / role / "hwid", secrets.token_hex(HWID_BYTES[role]))


def make_certificates(state: State, api_names: Sequence[str]) -> None:
    """Make what is missing, and new leaves for server and API, which thereby never expire between starts."""
    keys = state.root / "keys"
    root = authority.keep_root(keys / "rootCA/serverRootCAKey.key", state.root_certificate)
    issuing = authority.keep_issuing(keys / "server/issuingCAKey.key", keys / "server/issuingCACert.crt", lambda: root)
    for role, names in (("server", ()), ("api", api_names)):
        folder = keys / role
        authority.write_leaf(
            issuing, role, hwid(state, role), folder / f"{role}Key.key", folder / f"{role}Cert.crt", names
        )
