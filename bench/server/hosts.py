"""Certificates of many hosts, signed by the installation's issuing CA, and their rows in the catalogue.

The hosts of one process share a key, which saves making ten thousand; each has a certificate of its own.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rubackup.wire import pki

GROUPS = 50

_GROUPS = "INSERT INTO client_groups (name, description) SELECT 'bench ' || i, '' FROM generate_series(1, $1) i"
_CLIENTS = """
WITH made AS (
    INSERT INTO clients (hwid, hostname, group_id, csr_pem, fingerprint, certificate_serial, certificate_not_after)
    SELECT h.hwid, h.hostname, g.id, '', h.fingerprint, h.serial, h.not_after
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[]) WITH ORDINALITY
        AS h (hwid, hostname, fingerprint, serial, not_after, n)
    JOIN (SELECT id, row_number() OVER (ORDER BY id) AS r FROM client_groups WHERE name LIKE 'bench %') g
        ON g.r = h.n % $6 + 1
    RETURNING id
)
INSERT INTO client_presence (client_id) SELECT id FROM made"""
_MEDIA = """
WITH made AS (
    INSERT INTO media_servers (hwid, hostname, csr_pem, fingerprint, certificate_serial, certificate_not_after)
    SELECT hwid, hostname, '', fingerprint, serial, not_after
    FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::timestamptz[])
        AS h (hwid, hostname, fingerprint, serial, not_after)
    RETURNING id, hostname
), present AS (
    INSERT INTO media_presence (media_server_id) SELECT id FROM made
), pool AS (
    INSERT INTO pools (pool_name, pool_type, media_server_id) SELECT 'pool of ' || hostname, 'File system', id FROM made
    RETURNING id, media_server_id
)
INSERT INTO storage_local_catalogs (path, pool_id, media_server_id) SELECT '/bench/' || id, id, media_server_id FROM pool"""
_ISSUED = """
INSERT INTO issued_certificates (serial, role, hwid, not_after)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[])"""


@dataclass(frozen=True)
class Host:
    """A host that has a certificate."""

    role: str
    hwid: str
    hostname: str
    files: pki.TlsFiles
    serial: str
    not_after: dt.datetime
    fingerprint: str

    def row(self) -> dict[str, Any]:
        """What the catalogue needs of it."""
        return {
            "role": self.role, "hwid": self.hwid, "hostname": self.hostname, "fingerprint": self.fingerprint,
            "serial": self.serial, "not_after": self.not_after.isoformat(),
        }  # fmt: skip


def client_hwid(number: int) -> str:
    """16 hex digits."""
    return f"be{number:014x}"


def media_hwid(number: int) -> str:
    """64 hex digits."""
    return f"be{number:062x}"


def make(folder: Path, issuing: pki.Authority, root: Path, role: str, numbers: range) -> list[Host]:
    """Certificates for these, in files."""
    key, csr = folder / f"{role}.key", folder / f"{role}.csr"
    if not key.exists():
        pki.write_private(key, pki.new_key_pem())
        csr.write_bytes(pki.make_csr(key.read_bytes(), "bench"))
    now, found = dt.datetime.now(dt.UTC), []
    for number in numbers:
        hwid = client_hwid(number) if role == "client" else media_hwid(number)
        issued = pki.issue(issuing, csr.read_bytes(), role=role, hwid=hwid, now=now)
        chain = folder / f"{role}-{number}.crt"
        chain.write_bytes(issued.chain_pem)
        files = pki.TlsFiles(key=key, chain=chain, root=root)
        name = f"bench-{role}-{number}"
        found.append(Host(role, hwid, name, files, issued.serial, issued.not_after, issued.fingerprint))
    return found


async def enter(db: Any, rows: list[dict[str, Any]]) -> None:
    """Write them into the catalogue, as authorising them would have done; a pool for each media server."""
    if not await db.fetchval("SELECT EXISTS (SELECT 1 FROM client_groups WHERE name LIKE 'bench %')"):
        await db.execute(_GROUPS, GROUPS)
    for role, statement, more in (("media", _MEDIA, []), ("client", _CLIENTS, [GROUPS])):
        some = [row for row in rows if row["role"] == role]
        columns = [[row[name] for row in some] for name in ("hwid", "hostname", "fingerprint", "serial")]
        ends = [dt.datetime.fromisoformat(row["not_after"]) for row in some]
        await db.execute(statement, *columns, ends, *more)
        await db.execute(_ISSUED, columns[3], [role] * len(some), columns[0], ends)
