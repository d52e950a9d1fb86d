"""SQL of `services.enrolment`: clients and media servers have the same columns where it matters."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Table:
    """The statements for one role. `wait` and `seen` take the facts that the host told of itself."""

    family: str
    find: str
    known: str
    sign: str
    count: str
    of_hwid: str
    of_all: str
    seen: str
    wait: str


_FIND = "SELECT id, certificate_serial FROM FAMILY WHERE hwid = $1 AND fingerprint = $2 FOR UPDATE"
_KNOWN = "SELECT id FROM FAMILY WHERE hwid = $1"
_SIGN = "UPDATE FAMILY SET certificate_serial = $2, certificate_not_after = $3, csr_pem = $4 WHERE id = $1"
_COUNT = "SELECT count(*) AS hosts, count(*) FILTER (WHERE hwid = $1) AS keys FROM unauthorised_FAMILY"
_OF_HWID = "SELECT id, address, last_seen_at FROM unauthorised_FAMILY WHERE hwid = $1"
_OF_ALL = "SELECT id, address, last_seen_at FROM unauthorised_FAMILY"
_SEEN = """
UPDATE unauthorised_FAMILY SET last_seen_at = now(), hostname = $2, address = $3, os_type = $4, os_version = $5,
    package_version = $6, csr_pem = $7 /* more */
WHERE hwid = $1 AND fingerprint = $8 RETURNING id"""
_WAIT = """
INSERT INTO unauthorised_FAMILY (hwid, hostname, address, os_type, os_version, package_version, csr_pem, fingerprint
    /* more */)
SELECT $1, $2, $3, $4, $5, $6, $7, $8 /* value */
WHERE NOT EXISTS (SELECT 1 FROM FAMILY WHERE hwid = $1 AND fingerprint = $8)
ON CONFLICT (hwid, fingerprint) DO UPDATE SET last_seen_at = now() RETURNING id"""


def _table(family: str, seen: str = _SEEN, wait: str = _WAIT) -> Table:
    texts = (_FIND, _KNOWN, _SIGN, _COUNT, _OF_HWID, _OF_ALL, seen, wait)
    return Table(family, *(text.replace("FAMILY", family) for text in texts))


TABLES = {
    "client": _table("clients"),
    "media": _table(
        "media_servers",
        _SEEN.replace("/* more */", ", data_endpoint = $9"),
        _WAIT.replace("/* more */", ", data_endpoint").replace("/* value */", ", $9"),
    ),
}

SIGNS_WITH = "SELECT EXISTS (SELECT 1 FROM servers WHERE issuing_key_hash = $1)"
EVENT = """
INSERT INTO events (kind, family, row_id, client_group_id, media_server_id) VALUES ($1, $2, $3, $4, $5)"""

CLIENTS_WAITING = """
SELECT id, hwid, hostname, fingerprint FROM unauthorised_clients WHERE id = ANY ($1::bigint[]) ORDER BY id FOR UPDATE"""
CLIENT_FROM_WAITING = """
INSERT INTO clients (hwid, hostname, group_id, os_type, os_version, package_version, csr_pem, fingerprint)
SELECT hwid, hostname, $2, os_type, os_version, package_version, csr_pem, fingerprint
FROM unauthorised_clients WHERE id = $1
ON CONFLICT (hwid) DO NOTHING RETURNING id"""
CLIENT_PRESENCE = "INSERT INTO client_presence (client_id) VALUES ($1)"
CLIENT_RECORDS = """
UPDATE repository SET client_id = $1
WHERE client_id IS NULL AND client_hwid = $2 AND ($3 OR client_group_id = ANY ($4::bigint[]))"""
CLIENTS = """
SELECT id, hwid, hostname, fingerprint, group_id FROM clients WHERE id = ANY ($1::bigint[]) ORDER BY id FOR UPDATE"""
CLIENT_TASKS = """
SELECT id FROM task_queue WHERE client_id = ANY ($1::bigint[]) AND status <> ALL ($2::text[]) ORDER BY id"""
CLIENT_BACK = """
INSERT INTO unauthorised_clients (hwid, hostname, os_type, os_version, package_version, csr_pem, fingerprint)
SELECT hwid, hostname, os_type, os_version, package_version, csr_pem, fingerprint FROM clients WHERE id = $1
ON CONFLICT (hwid, fingerprint) DO UPDATE SET last_seen_at = now()"""

MEDIA_WAITING = """
SELECT id, hwid, hostname, fingerprint FROM unauthorised_media_servers WHERE hostname = $1 ORDER BY id FOR UPDATE"""
MEDIA_FROM_WAITING = """
INSERT INTO media_servers (hwid, hostname, os_type, os_version, package_version, data_endpoint, csr_pem, fingerprint)
SELECT hwid, hostname, os_type, os_version, package_version, data_endpoint, csr_pem, fingerprint
FROM unauthorised_media_servers WHERE id = $1
ON CONFLICT DO NOTHING RETURNING id"""
MEDIA_PRESENCE = "INSERT INTO media_presence (media_server_id) VALUES ($1)"
MEDIA_SERVERS = """
SELECT id, hwid, hostname, fingerprint FROM media_servers WHERE id = ANY ($1::bigint[]) ORDER BY id FOR UPDATE"""
MEDIA_IN_USE = """
SELECT m.id, m.hostname FROM media_servers m WHERE m.id = ANY ($1::bigint[]) AND (
    EXISTS (SELECT 1 FROM pools p WHERE p.media_server_id = m.id)
    OR EXISTS (SELECT 1 FROM task_queue t WHERE t.media_server_id = m.id AND t.status <> ALL ($2::text[])))
ORDER BY m.id"""
FORGET_MONITORING = "DELETE FROM system_monitoring WHERE hwid = $1"
MEDIA_BACK = """
INSERT INTO unauthorised_media_servers
    (hwid, hostname, os_type, os_version, package_version, data_endpoint, csr_pem, fingerprint)
SELECT hwid, hostname, os_type, os_version, package_version, data_endpoint, csr_pem, fingerprint
FROM media_servers WHERE id = $1
ON CONFLICT (hwid, fingerprint) DO UPDATE SET last_seen_at = now()"""
