"""Whether a row of the catalogue is the row of the record that it names."""

from __future__ import annotations

from rubackup.chunkstore.pool import SealedRecord
from rubackup.wire.messages import RecordFacts


def differences(facts: RecordFacts | None, sealed: SealedRecord) -> list[str]:
    """A sentence for each fact that the catalogue has otherwise than the sealed record."""
    if facts is None:
        return []
    pairs = {
        "client_hwid": (facts.client_hwid, sealed.owner),
        "resource_type": (facts.resource_type, sealed.resource_type),
        "resource": (facts.resource, sealed.resource),
        "backup_type": (facts.backup_type, sealed.backup_type),
        "files": (facts.files, sealed.files),
        "size_bytes": (facts.size_bytes, sealed.size_bytes),
    }
    return [
        f"The catalogue is wrong about record {sealed.record}: {name} is {told!r} there, and {real!r} in the pool."
        for name, (told, real) in pairs.items()
        if told != real
    ]
