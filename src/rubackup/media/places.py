"""Where the storages of pools are, by kind: locations for the chunk store, and what has to be asked of a place before it is one.

Only here the sealed key of a bucket is opened, with the media server's own key. Design: `docs/design/pools.md`, Storages of each kind.
"""

from __future__ import annotations

import logging
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Final

from rubackup.agent.folders import Ground
from rubackup.chunkstore.backends.base import Backend
from rubackup.chunkstore.backends.block.device import FileDevice
from rubackup.chunkstore.backends.block.prepare import format_on, superblocks
from rubackup.chunkstore.backends.opening import open_backend
from rubackup.chunkstore.backends.s3.location import Bucket
from rubackup.chunkstore.locations import Device, Folder, Location, Unopened
from rubackup.chunkstore.storage import MARKER, parse_marker
from rubackup.domain.errors import Busy, Conflict, Invalid, NotFound, RubackupError, StorageFault
from rubackup.domain.sealing import CLOUD_SECRET, unseal
from rubackup.media.devices import carried, check_device
from rubackup.wire.messages import (
    BucketConfig,
    BucketProbed,
    DeviceFormatted,
    FormatDevice,
    ProbeBucket,
    StorageConfig,
)

log = logging.getLogger(__name__)
if TYPE_CHECKING:
    from rubackup.chunkstore.backends.s3.client import Client

SPOOL: Final = "spool"
"""Folder of a pool's metadata for what is on its way to buckets."""
PROBE_SECONDS: Final = 4.0
"""So long requests of a probe are repeated: who asked is answered within 10 s."""
_REGION: Final = "us-east-1"
"""Signatures need one, and object storages that have none take this."""
_NEW_KEY: Final = "The secret key of {} cannot be opened with the media server's key: give secret_key again."
_FIELDS: Final = {
    "UntrustedCertificate": "ca_file",
    "InvalidAccessKeyId": "access_key",
    "SignatureDoesNotMatch": "secret_key",
    "ExpiredToken": "access_key",
    "InvalidToken": "access_key",
    "AccessDenied": "access_key",
    "NoSuchBucket": "bucket",
    "PermanentRedirect": "region",
    "AuthorizationHeaderMalformed": "region",
}
"""Which field is wrong, by the code of the object storage."""


class Places:
    """Those of one media server. Safe for threads."""

    def __init__(self, metadata: Path, ground: Ground, key: Path | None = None) -> None:
        """`key`: file with the private key of the media server's certificate request."""
        self._metadata = metadata
        self._ground = ground
        self._key = key

    def location(self, storage: StorageConfig, pool: str) -> Location:
        """Where a storage of the pool with this uuid is."""
        if storage.bucket is not None:
            try:
                return self._bucket(storage.bucket, pool)
            except Invalid as error:
                return Unopened(storage.path, error.message or _NEW_KEY.format(storage.path))
        if storage.device is None:
            return Folder(Path(storage.path))
        if not storage.device.uuid:
            return Unopened(
                storage.path,
                f"The device {storage.path} was never made ready for the pool: delete it there, and add it again.",
            )
        return Device(Path(storage.path), storage.device.workers, storage.device.uuid)

    def _bucket(self, config: BucketConfig, pool: str) -> Bucket:
        """Invalid when the sealed key cannot be opened."""
        where = "/".join(part for part in (config.endpoint, config.bucket, config.prefix) if part)
        try:
            pem = self._key.read_bytes() if self._key else b""
            secret = unseal(pem, config.secret_sealed, CLOUD_SECRET + pool.encode()).decode()
        except (Invalid, OSError, ValueError) as error:
            raise Invalid(_NEW_KEY.format(where)) from error
        return Bucket(
            endpoint=config.endpoint,
            bucket=config.bucket,
            access_key=config.access_key,
            secret_key=secret,
            spool=self._metadata / pool / SPOOL,
            region=config.region or _REGION,
            prefix=config.prefix,
            ca_file=Path(config.ca_file) if config.ca_file else None,
            object_lock=config.object_lock,  # type: ignore[arg-type]
            conditional_put=config.conditional_writes,
            conditional_multipart=config.conditional_parts,
        )

    def tidy(self, pool: str, locations: Sequence[Location]) -> None:
        """Remove what is left in the pool's spool of buckets that left it: no record needs it."""
        kept = {one.spool_folder for one in locations if isinstance(one, Bucket)}
        spool = self._metadata / pool / SPOOL
        if any(isinstance(one, Unopened) for one in locations) or not spool.is_dir():
            return
        for folder in spool.iterdir():
            if folder not in kept:
                try:
                    shutil.rmtree(folder)
                except OSError as error:
                    log.warning("%s stays: %s", folder, error.strerror or error)

    def holders(self, storages: list[StorageConfig], pool: str) -> list[Callable[[], bool]]:
        """For each device and bucket: whether packs or manifests lie there, or may."""
        return [
            lambda storage=storage: _holds_files(self.location(storage, pool))  # type: ignore[misc]
            for storage in storages
            if storage.device is not None or storage.bucket is not None
        ]

    def format_device(self, asked: FormatDevice) -> DeviceFormatted:
        """Make a device an empty storage. Everything is looked at before anything is written; Invalid, Conflict.

        A device with a storage of this pool is left as it is: it comes back with what lies on it.
        """
        found = check_device(asked.path, asked.taken)
        if found.in_use:
            raise Conflict(f"{asked.path} is in use: {found.in_use}.")
        if found.same_as:
            raise Conflict(f"{asked.path} is, holds or lies on {found.same_as}, which a pool uses already.")
        if found.kind == "file":
            self._refuse_own(Path(found.real_path))
        try:
            device = FileDevice(Path(asked.path))
        except Busy as error:
            raise Conflict(error.message) from error
        except StorageFault as error:
            raise Invalid(error.message) from error
        try:  # nobody else can take it from here on
            carries, pool = carried(device.read, device.size_bytes)
            if not pool or pool != asked.pool:
                if carries and not asked.overwrite:
                    raise Conflict(
                        f"{asked.path} carries {carries}; set overwrite_file_system to take it all the same."
                    )
                format_on(device, overwrite=True)
            return DeviceFormatted(uuid=superblocks(device)[0][0].uuid.hex())
        finally:
            device.close()

    def _refuse_own(self, file: Path) -> None:
        for own in self._ground.own:
            if own.resolve() in file.parents:
                raise Invalid(f"lies in {own}, where the media server keeps its own state and keys.")

    def probe_bucket(self, asked: ProbeBucket) -> BucketProbed:
        """What a bucket can do, and whose marker lies there."""
        config = asked.bucket
        if config.ca_file and not Path(config.ca_file).is_file():
            return _refused("ca_file", f"There is no file {config.ca_file} on the media server.")
        try:
            where = self._bucket(config, asked.pool)
        except Invalid as error:
            return _probed_invalid(error)
        # Its libraries take 40 MiB, which a media server without buckets need not have.
        from rubackup.chunkstore.backends.s3.client import Client  # noqa: PLC0415
        from rubackup.chunkstore.backends.s3.probe import probe  # noqa: PLC0415
        from rubackup.chunkstore.backends.s3.retry import Patience  # noqa: PLC0415

        patience = Patience(total_seconds=PROBE_SECONDS)
        try:
            facts = probe(where, patience)
            pool = _marked(Client(where, patience))
        except RubackupError as error:
            code = next((one for one in _FIELDS if f"({one})" in error.message), "")
            return _refused(_FIELDS.get(code, "endpoint"), error.message)
        except OSError as error:
            return _refused(
                "ca_file", f"The certificates in {config.ca_file} cannot be read: {error.strerror or error}."
            )
        problems = [(field, text) for field, _, text in (one.partition(": ") for one in facts.problems(where))]
        return BucketProbed(
            problems=problems,
            notes=facts.notes(where),
            conditional_writes=facts.conditional_put,
            conditional_parts=facts.conditional_multipart,
            versioning=facts.versioning,
            lockable=facts.object_lock,
            clock_ahead_seconds=facts.clock_ahead_seconds,
            pool=pool,
        )


def _refused(field: str, text: str) -> BucketProbed:
    return BucketProbed(problems=[(field, text)], notes=[])


def _probed_invalid(error: Invalid) -> BucketProbed:
    """The fields of a location that cannot be one; without any, the key could not be opened."""
    problems = [(str(field), str(text)) for field, text in error.fields.items()]
    return BucketProbed(problems=problems or [("secret_key", error.message)], notes=[])


def _marked(client: Client) -> str:
    """The pool whose marker lies in the bucket; '' when there is none."""
    try:
        marker = parse_marker(client.read(MARKER, 0, 128))
    except NotFound:
        return ""
    return marker[0].hex() if marker else ""


def _open(location: Location) -> Backend:
    """Its backend; one of a bucket does not try for long."""
    if not isinstance(location, Bucket):
        return open_backend(location)
    from rubackup.chunkstore.backends.s3.backend import S3Backend  # noqa: PLC0415
    from rubackup.chunkstore.backends.s3.retry import Patience  # noqa: PLC0415

    return S3Backend(location, Patience(total_seconds=PROBE_SECONDS))


def _holds_files(location: Location) -> bool:
    try:
        backend = _open(location)
    except RubackupError:
        return True
    try:
        return any(next(backend.list(folder), None) is not None for folder in ("packs", "manifests"))
    except RubackupError:
        return True
    finally:
        backend.close()
