"""`rubackup media`: what an administrator does on a media server's host while its process is stopped.

Exit status: 0 everything is whole, 1 refused, 2 wrong usage, 5 damage was found and named.
"""

from __future__ import annotations

import sys
import uuid
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Annotated

import typer

from rubackup.chunkstore.backends.block import rebuild
from rubackup.chunkstore.backends.opening import open_backend
from rubackup.chunkstore.digests import DigestSpec, available
from rubackup.chunkstore.hashes import recorded_spec
from rubackup.chunkstore.locations import Device, Folder, Location
from rubackup.chunkstore.pool import Pool, SealedRecord
from rubackup.chunkstore.storage import MARKER, parse_marker
from rubackup.cli import paths
from rubackup.cli.buckets import read_bucket
from rubackup.cli.output import plain
from rubackup.domain.errors import Corrupt, Invalid, NotFound, RubackupError, StorageFault

DAMAGED = 5

app = typer.Typer(no_args_is_help=True, help="Pools of a media server, while its process is stopped.")


@app.callback()
def _group() -> None:
    """A group of commands, also while it has one."""


@app.command()
def repair(
    metadata: Annotated[
        Path,
        typer.Option(
            "--metadata",
            help="Folder of the pool's index; an empty one is filled from the storages.",
            parser=paths.path,
        ),
    ],
    storage: Annotated[
        list[Path] | None, typer.Argument(help="Every folder or block device of the pool.", parser=paths.path)
    ] = None,
    bucket: Annotated[
        list[Path] | None,
        typer.Option(
            "--bucket",
            help="A file, for each bucket of the pool, in JSON: endpoint, bucket, prefix, access_key, secret_key.",
            parser=paths.path,
        ),
    ] = None,
    rebuild_index: Annotated[
        bool, typer.Option("--rebuild-index", help="Set the index aside and fill another from the storages.")
    ] = False,
    verify: Annotated[bool, typer.Option("--verify", help="Read and hash every chunk of every copy.")] = False,
    give_up: Annotated[
        bool,
        typer.Option(
            "--give-up-lost", help="With --verify: make damaged manifests anew also where parts are lost for ever."
        ),
    ] = False,
    lost: Annotated[
        str,
        typer.Option(
            "--give-up-storage",
            help="A folder of the pool that is lost for good: do not wait for it; fills the index anew.",
        ),
    ] = "",
) -> None:
    """Repair a pool as its media server does at each start, and report what is in it and what is damaged."""
    try:
        places = [*map(location, storage or ()), *(read_bucket(file, metadata) for file in bucket or ())]
        pool = Pool.open(
            uuid=str(uuid.UUID(bytes=pool_of(places))),
            metadata=metadata,
            storages=places,
            reserve_bytes=0,
            level=None,
            rebuild_index=rebuild_index or bool(lost),
            digest=recorded(places),
        )
        if lost:
            with closed_on_error(pool):
                pool.give_up_storage(lost)
    except RubackupError as error:
        print(f"rubackup: {error.message}", file=sys.stderr)
        raise typer.Exit(1) from error
    try:
        pool.put_back()
        damaged = report(pool, verify=verify, give_up=give_up)
    finally:
        pool.close()
    if damaged:
        raise typer.Exit(DAMAGED)


@contextmanager
def closed_on_error(pool: Pool) -> Iterator[None]:
    """Close a pool that cannot be used."""
    try:
        yield
    except BaseException:
        pool.close()
        raise


def pool_of(storages: Sequence[Location]) -> bytes:
    """The pool that all storages belong to, by their markers; StorageFault names one that does not."""
    found: dict[bytes, str] = {}
    for place in storages:
        with closing(open_backend(place)) as backend:
            try:
                marker = parse_marker(backend.read(MARKER, 0, backend.size(MARKER)))
            except NotFound as error:
                raise StorageFault(f"{place.label} is no storage of a pool: it has no marker.") from error
        if marker is None:
            raise StorageFault(f"The marker {place.label}/{MARKER} is damaged.")
        found[marker[0]] = place.label
    if len(found) > 1:
        raise StorageFault(f"The storages belong to different pools: {', '.join(found.values())}.")
    if not found:
        raise Invalid("Give every storage of the pool: folders and block devices as they are, buckets by --bucket.")
    return next(iter(found))


def recorded(storages: Sequence[Location]) -> DigestSpec | None:
    """Which hash the pool records of its chunks, by what lies beside its packs; None for none, or one that cannot run here."""
    for place in storages:
        with closing(open_backend(place)) as backend:
            found = recorded_spec(backend)
        if found is not None and found not in available():
            print(f"problem: the recorded hashes, {found.name} of {found.bits} bit, cannot be computed on this host")
            return None
        if found is not None:
            return found
    return None


def location(path: Path) -> Location:
    """A path as an administrator gives it: a folder, or else a block device."""
    return Folder(path) if path.is_dir() or not path.exists() else Device(path)


@app.command()
def rebuild_device(
    device: Annotated[
        Path, typer.Argument(help="A block device of a pool whose directory is damaged.", parser=paths.path)
    ],
    metafile: Annotated[
        Path | None, typer.Option("--metafile", help="The newest metafile of the device.", parser=paths.path)
    ] = None,
) -> None:
    """Make the directory of a block device anew: from what is left of it, from a metafile, from the packs on it."""
    try:
        told = rebuild(device, metafile.read_bytes() if metafile else b"")
    except RubackupError as error:
        print(f"rubackup: {error.message}", file=sys.stderr)
        raise typer.Exit(1) from error
    except OSError as error:
        print(f"rubackup: {metafile}: {error.strerror}.", file=sys.stderr)
        raise typer.Exit(1) from error
    for line in told:
        print(plain(line))


def report(pool: Pool, *, verify: bool, give_up: bool = False) -> bool:
    """Print problems and copies; whether anything is damaged."""
    for text in pool.repaired:
        print(f"repaired: {plain(text)}")
    for problem in pool.problems:
        print(f"problem: {plain(problem)}")
    usage = pool.usage()
    print(f"{usage.chunks} chunks, {usage.records} copies, {usage.used_bytes} bytes")
    damaged = bool(pool.problems)
    for record in sorted(pool.records(), key=lambda one: one.sealed_at_ns):
        print(
            f"copy {record.record} of {plain(record.resource)} of client {plain(record.owner)}: {record.files} files, "
            f"{record.size_bytes} bytes"
        )
        if verify:
            damaged |= _verify(pool, record, give_up=give_up)
    return damaged


def _verify(pool: Pool, record: SealedRecord, *, give_up: bool) -> bool:
    try:
        found = pool.verify(record.record, lambda *_: None, lambda: None)
    except Corrupt as error:
        print(f"  damaged: {plain(error.message)}")
        try:
            lost = pool.repair_manifest(record.record, lose=give_up)
            found = pool.verify(record.record, lambda *_: None, lambda: None)
        except (Corrupt, Invalid, NotFound) as reason:
            print(f"  not repaired: {plain(reason.message)}")
            return True
        print("  the manifest was made anew")
        for part in lost:
            print(f"  lost: {plain(part)}")
    flaws = list(found.flaws)
    for place in (*found.places, *flaws, *found.mended):
        print(f"  {plain(place)}")
    if found.seal:
        try:
            pool.repair_seal(record.record)
        except (Corrupt, Invalid, NotFound) as reason:
            print(f"  not repaired: {plain(reason.message)}")
        else:
            print("  the manifest was sealed anew")
            flaws.remove(found.seal)
    for name in found.damaged:
        print(f"  damaged file: {plain(name)}")
    if not found.damaged and not flaws:
        print("  whole")
    return bool(found.damaged or flaws)
