"""How busy servers and media servers are: samples of the hosts, kept up to a number for each.

Samples come in batches, and each batch removes what is over in the same statement, so the table
stays as large as `max_system_monitoring_records` says.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence

import msgspec

from rubackup.catalog.database import Connection, Database
from rubackup.services import configuration

FIGURES = (
    "general_cpu_usage", "server_cpu_usage", "general_ram_usage", "server_ram_usage", "general_ram_usage_m",
    "server_ram_usage_m", "general_io_usage_r", "general_io_usage_w", "server_io_usage_r", "server_io_usage_w",
    "general_net_usage_r", "general_net_usage_w", "load_average",
)  # fmt: skip
"""Columns of a sample, in the order in which hosts report them."""
ONLINE_SECONDS = 60
"""A server that has not been seen for so long counts as offline."""

_COLUMNS = ("hwid", "hostname", "server_type", "timestamp_before", "timestamp_after", *FIGURES)
_TYPES = ("text", "text", "text", "timestamptz", "timestamptz", *("float8" for _ in FIGURES))
_STORE = f"""
WITH added AS (
    INSERT INTO system_monitoring ({", ".join(_COLUMNS)})
    SELECT * FROM unnest({", ".join(f"${n}::{kind}[]" for n, kind in enumerate(_TYPES, 2))})
    RETURNING hwid
), hosts AS (SELECT hwid, count(*) AS fresh FROM added GROUP BY hwid)
DELETE FROM system_monitoring m USING hosts h
WHERE m.hwid = h.hwid AND m.id <= (
    SELECT o.id FROM system_monitoring o WHERE o.hwid = h.hwid
    ORDER BY o.id DESC OFFSET greatest($1 - h.fresh, 0) LIMIT 1)"""  # noqa: S608 - names of the code
_SEEN = "UPDATE servers SET seen_at = now() WHERE hwid = $1"
_MEDIA_NAMES = "SELECT hwid, hostname FROM media_servers WHERE hwid = ANY ($1::text[])"


class Sample(msgspec.Struct, frozen=True):
    """What one host measured between two instants; `figures` in the order of FIGURES."""

    hwid: str
    hostname: str
    server_type: str
    before: dt.datetime
    after: dt.datetime
    figures: tuple[float, ...]


class Limits(msgspec.Struct, frozen=True):
    """How often hosts measure, and how much is kept of each."""

    period_seconds: int
    records: int


async def limits(database: Database) -> Limits:
    """What is configured now."""
    async with database.connection() as db:
        return await _limits(db)


async def _limits(db: Connection) -> Limits:
    return Limits(
        await configuration.number(db, "monitoring_period"),
        await configuration.number(db, "max_system_monitoring_records"),
    )


async def store(database: Database, server_hwid: str, samples: Sequence[Sample]) -> Limits:
    """Keep samples, remove what is over, note that this server lives; the limits to go on with.

    Samples of media servers that are not in the catalogue any more are dropped.
    """
    async with database.transaction() as db:
        await db.execute(_SEEN, server_hwid)
        found = await _limits(db)
        kept = _newest(await _known(db, samples), found.records)
        if kept:
            rows = [(s.hwid, s.hostname, s.server_type, s.before, s.after, *s.figures) for s in kept]
            await db.execute(_STORE, found.records, *map(list, zip(*rows, strict=True)))
        return found


async def _known(db: Connection, samples: Sequence[Sample]) -> list[Sample]:
    media = {s.hwid for s in samples if s.server_type == "media server"}
    if not media:
        return list(samples)
    names = {row["hwid"]: row["hostname"] for row in await db.fetch(_MEDIA_NAMES, list(media))}
    return [
        msgspec.structs.replace(s, hostname=names[s.hwid]) if s.hwid in media else s
        for s in samples
        if s.hwid not in media or s.hwid in names
    ]


def _newest(samples: Sequence[Sample], records: int) -> list[Sample]:
    """The last `records` of each host, in their order."""
    seen: dict[str, int] = {}
    kept = []
    for sample in reversed(samples):
        seen[sample.hwid] = seen.get(sample.hwid, 0) + 1
        if seen[sample.hwid] <= records:
            kept.append(sample)
    return kept[::-1]
