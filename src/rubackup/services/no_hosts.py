"""Hosts that cannot be asked: where the services run without a connection to any."""

from __future__ import annotations

from collections.abc import Sequence

from rubackup.domain.errors import Unavailable
from rubackup.services.ports import (
    BucketPlace,
    BucketReport,
    CopyEntry,
    Destination,
    Device,
    DeviceFacts,
    FilePart,
    FolderEntry,
    HeldPool,
    PoolRecordsFound,
    RecordsPage,
    Resource,
    StorageNeed,
    TapeDevice,
    TapeElement,
)


def _silent(hwid: str) -> Unavailable:
    return Unavailable(f"Host {hwid} does not answer.")


class NoHosts:
    """`services.ports.Hosts` of a place where none is online: every question ends as Unavailable."""

    async def list_filesystem(self, client_hwid: str, path: str) -> list[FolderEntry]:  # noqa: ARG002 - the port's
        """Nobody answers."""
        raise _silent(client_hwid)

    async def check_destinations(self, client_hwid: str, paths: Sequence[str]) -> list[Destination]:  # noqa: ARG002
        """Nobody answers."""
        raise _silent(client_hwid)

    async def list_block_devices(self, client_hwid: str, path: str) -> list[Device]:  # noqa: ARG002
        """Nobody answers."""
        raise _silent(client_hwid)

    async def list_resources(self, client_hwid: str, resource_type: str, secret_method: int) -> list[Resource]:  # noqa: ARG002
        """Nobody answers."""
        raise _silent(client_hwid)

    async def list_encrypted(
        self, client_hwid: str, pool_id: int, record_uuid: str, path: str, page: int, limit: int  # noqa: ARG002
    ) -> tuple[list[CopyEntry], int]:  # fmt: skip
        """Nobody answers."""
        raise _silent(client_hwid)

    async def list_record(
        self, media_hwid: str, pool_id: int, record_uuid: str, path: str, page: int, limit: int, kept: str = ""  # noqa: ARG002
    ) -> tuple[list[CopyEntry], int]:  # fmt: skip
        """Nobody answers."""
        raise _silent(media_hwid)

    async def read_encrypted_file(self, client_hwid: str, *_asked: object) -> FilePart:
        """Nobody answers."""
        raise _silent(client_hwid)

    async def read_file(self, media_hwid: str, *_asked: object) -> FilePart:
        """Nobody answers."""
        raise _silent(media_hwid)

    async def check_folder(self, media_hwid: str, path: str, pool_uuid: str, *, existing: bool = False) -> None:  # noqa: ARG002
        """Nobody answers."""
        raise _silent(media_hwid)

    async def storage_need(self, media_hwid: str, pool_id: int, storage_id: int) -> StorageNeed:  # noqa: ARG002
        """Nobody answers."""
        raise _silent(media_hwid)

    async def pool_records(self, media_hwid: str, pool_id: int, kept_of: str = "") -> PoolRecordsFound:  # noqa: ARG002
        """Nobody answers."""
        raise _silent(media_hwid)

    async def pool_page(self, media_hwid: str, pool_id: int, page: RecordsPage) -> PoolRecordsFound:  # noqa: ARG002
        """Nobody answers."""
        raise _silent(media_hwid)

    async def held_pools(self, media_hwid: str) -> list[HeldPool]:
        """Nobody answers."""
        raise _silent(media_hwid)

    async def check_device(self, media_hwid: str, path: str, taken: Sequence[tuple[str, str]]) -> DeviceFacts:  # noqa: ARG002
        """Nobody answers."""
        raise _silent(media_hwid)

    async def format_device(self, media_hwid: str, *_asked: object, overwrite: bool) -> str:  # noqa: ARG002
        """Nobody answers."""
        raise _silent(media_hwid)

    async def probe_bucket(self, media_hwid: str, pool_uuid: str, bucket: BucketPlace) -> BucketReport:  # noqa: ARG002
        """Nobody answers."""
        raise _silent(media_hwid)

    async def scan_tape(self, media_hwid: str) -> list[TapeDevice]:
        """Nobody answers."""
        raise _silent(media_hwid)

    async def tape_elements(
        self, media_hwid: str, device: str, scsi_path: str = "", serial: str = ""  # noqa: ARG002
    ) -> tuple[TapeDevice, list[TapeElement]]:  # fmt: skip
        """Nobody answers."""
        raise _silent(media_hwid)
