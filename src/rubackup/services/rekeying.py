"""A known host gets another key, because an administrator says so: the one that it had is lost.

A hardware id is no secret, so nothing of this happens by itself, and what an administrator sees when he looks is not what
he may get a moment later: he names the key that he means by its fingerprint.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated, Any

from msgspec import Meta

from rubackup.domain.errors import Conflict, Forbidden, Invalid
from rubackup.services import admission, host_log, scopes
from rubackup.services.change import Change
from rubackup.services.host_log import Happened

REPLACE_KEY = Annotated[
    bool,
    Meta(
        description="Whether the key takes the place of the one of the host that is known under this hardware id, which "
        "lost it. What belongs to the host stays; certificates of the other key are revoked. Needs `fingerprint`."
    ),
]
FINGERPRINT = Annotated[
    str,
    Meta(description="Fingerprint of the one key that is meant: another one is refused. Empty: any.", max_length=128),
]

_HOST = "SELECT id, hwid, hostname, fingerprint, {group} AS group_id FROM {family} WHERE hwid = $1 FOR UPDATE"
_TAKE = """
UPDATE {family} h SET csr_pem = u.csr_pem, fingerprint = u.fingerprint, os_type = u.os_type, os_version = u.os_version,
    package_version = u.package_version, certificate_serial = NULL, certificate_not_after = NULL {more}
FROM unauthorised_{family} u WHERE h.id = $1 AND u.id = $2"""
_NAMES = {
    "client": {"family": "clients", "group": "group_id", "more": ""},
    "media": {"family": "media_servers", "group": "NULL::bigint", "more": ", data_endpoint = u.data_endpoint"},
}
_HOW = "If it lost its key, compare fingerprints, then give replace_key and fingerprint."


@dataclass(frozen=True)
class Expected:
    """What the administrator says of the key; `fingerprint` is '' when he names none."""

    replace_key: bool = False
    fingerprint: str = ""

    def check(self, hosts: int) -> None:
        """Invalid unless one host is meant where a key is named, and a key is named where one is replaced."""
        if self.replace_key and not self.fingerprint:
            raise Invalid(fields={"data.fingerprint": "is required with replace_key: the key that takes the place."})
        if self.fingerprint and hosts != 1:
            raise Invalid(fields={"data.fingerprint": "is the key of one host: authorise one at a time."})

    def fits(self, row: Any) -> bool:
        """Whether the waiting row has the key that is meant."""
        return not self.fingerprint or row["fingerprint"].casefold() == self.fingerprint.casefold()


def taken(hwid: str) -> Conflict:
    """The refusal of a waiting key whose hardware id is known, when nobody said that it replaces the other."""
    return Conflict(f"The hardware id {hwid} is already authorised with another key. {_HOW}", hwid=hwid)


async def replace(change: Change, role: str, waiting: Any) -> int:
    """Give the known host the key that waits in this row, which goes; the host's id.

    Certificates of the old key are revoked, which ends its connections; what belongs to the host stays. Conflict when
    no host is known under the hardware id; Forbidden when it is a client of a group that is not the caller's.
    """
    db, names = change.db, _NAMES[role]
    known = await db.fetchrow(_HOST.format(**names), waiting["hwid"])
    if known is None:
        raise Conflict(f"No host is known under the hardware id {waiting['hwid']}: authorise it without replace_key.")
    of_group = role == "client" and known["group_id"] in change.principal.client_group_ids
    if not of_group and not scopes.changes_all(change.principal):
        raise Forbidden("The client with this hardware id is not of your groups.")
    host_id: int = known["id"]
    family, old, new = names["family"], known["fingerprint"], waiting["fingerprint"]
    await db.execute(_TAKE.format(**names), host_id, waiting["id"])
    await admission.revoke(db, role, known["hwid"], f"{admission.REPLACED}{change.principal.name}")
    await db.execute(f"DELETE FROM unauthorised_{family} WHERE id = $1", waiting["id"])  # noqa: S608 - one of _NAMES
    text = f"With the key {new}, in place of {old}, whose certificates are revoked."
    await host_log.note(db, role, [host_id], Happened.AUTHORISED, text, user=change.principal.name)
    change.before = [*(change.before or []), {name: known[name] for name in ("id", "hwid", "hostname", "fingerprint")}]
    await change.event("deleted", f"unauthorised_{family}", waiting["id"])
    scope = {"client_group_id": known["group_id"]} if role == "client" else {"media_server_id": host_id}
    await change.event("changed", family, host_id, **scope, data={"fingerprint": new, "replaced": old})
    return host_id
