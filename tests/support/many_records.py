"""Pools with so many small records that no session could write them in time: sealed lists of files, laid out as sessions leave them."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

from blake3 import blake3

from rubackup.chunkstore import seals
from rubackup.chunkstore.locations import Folder
from rubackup.chunkstore.manifest import Header, ManifestWriter, Summary
from rubackup.chunkstore.pool import Pool, SealedRecord
from support.chunkstore import POOL, record_id, write_tree

CLIENTS, CHAIN = 200, 10
BEGUN_NS, BETWEEN_NS = 1_700_000_000_000_000_000, 1_000_000_000


def scattered(number: int) -> str:
    """Ids as real ones are: in no order of time."""
    return record_id((number + 1) * 0x9E3779B97F4A7C15F39CC0605CEDC835 % 2**128)


def owner(number: int) -> str:
    """Whose the record of this number is."""
    return f"{number % CLIENTS:016x}"


def parent(number: int) -> str:
    """Each client has chains of ten."""
    return scattered(number - CLIENTS) if number // CLIENTS % CHAIN else ""


def fill(vault: Path, count: int, name: Callable[[int], str] = scattered) -> None:
    """Make an empty folder a pool of so many records of empty files; nothing of its metadata is left."""
    metadata = vault.with_name(vault.name + ".metadata")
    vault.mkdir(mode=0o700, exist_ok=True)
    metadata.mkdir()
    Pool.open(uuid=POOL, metadata=metadata, storages=[Folder(vault)], reserve_bytes=0, level=1).close()
    shutil.rmtree(metadata)
    (vault / "manifests").mkdir(mode=0o700, exist_ok=True)
    for number in range(count):
        (vault / seals.manifest_name(name(number))).write_bytes(_manifest(number, name(number)))


def _manifest(number: int, record: str) -> bytes:
    kind = "incremental" if parent(number) else "full"
    parts: list[bytes] = []
    header = Header(
        record,
        parent(number),
        owner(number),
        "File system",
        f"/data/{number % 50}",
        kind,
        5,
        (32 << 10, 128 << 10, 512 << 10, 0),
        "",
    )
    writer = ManifestWriter(parts.append, header, None)
    write_tree(writer, {"/data/empty": b""}, lambda _: [])
    writer.finish(Summary(files=1, size_bytes=number))
    stream = b"".join(parts)
    sealed = SealedRecord(
        record=record, parent=parent(number), owner=owner(number), task_id=number, fence=7, resource_type="File system",
        resource=f"/data/{number % 50}", backup_type=kind, files=1, files_failed=0, size_bytes=number, stored_bytes=0,
        sealed_at_ns=BEGUN_NS + number * BETWEEN_NS,
    )  # fmt: skip
    return stream + seals.seal_bytes(sealed, len(stream), blake3(stream).digest())
