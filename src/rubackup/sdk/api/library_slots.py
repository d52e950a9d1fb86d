"""Library Slots. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from rubackup.sdk.caller import Answer, Family, Page, segment


class CartridgeToErase(TypedDict):
    """A cartridge in a library that is to be erased."""

    library_id: int
    """Id of the tape library."""
    volume_tag: str
    """Volume tag of a cartridge in the library."""
    is_long_erase: NotRequired[bool]
    """Overwrite the whole tape, not only its beginning."""


class CartridgeToImport(TypedDict):
    """A cartridge that lies in an import/export slot."""

    library_id: int
    """Id of the tape library."""
    pool_name: int | str
    """Pool that the cartridge is for, of the type Tape library: name or id."""


class CartridgeToMove(TypedDict):
    """A cartridge in a library that is to lie elsewhere."""

    library_id: int
    """Id of the tape library."""
    volume_tag: str
    """Volume tag of a cartridge in the library."""
    slot_id: int
    """Id of an empty slot of the same library."""


class LibraryCartridge(TypedDict):
    """A cartridge in a library."""

    library_id: int
    """Id of the tape library."""
    volume_tag: str
    """Volume tag of a cartridge in the library."""


class SlotRow(TypedDict):
    """A slot of a tape library, as it was at the last synchronisation."""

    id: int
    """Id of the slot."""
    library_id: int
    """Id of its tape library."""
    media_server: str
    """Host name of its media server."""
    media_server_ref: int
    """Id of that media server."""
    element_address: int
    """Address of its element, as the robot counts."""
    slot_type: str
    """slot, or import_export where cartridges come and go."""
    is_full: bool
    """Whether a cartridge lies in it."""
    volume_tag: str
    """Label of that cartridge; empty without a readable one."""
    tape_cartridge: int | None
    """Id of that cartridge; null when it is not registered."""
    accessible: bool
    """Whether the robot can reach it."""
    problem: str
    """What is wrong with it, as a SCSI sense code; empty when nothing is."""
    updated_at: str
    """When the robot told this."""


ListColumn = Literal[
    "id", "library_id", "media_server", "media_server_ref", "element_address", "slot_type", "is_full",
    "volume_tag", "tape_cartridge", "accessible", "problem", "updated_at",
]  # fmt: skip


class LibrarySlots(Family):
    """Library Slots."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[SlotRow]]:
        """List: Library Slots. Permission: See media servers, pools and storages."""
        return self._call(
            "GET",
            "/library_slots",
            query={
                "page": page,
                "limit": limit,
                "sort_by": sort_by,
                "sort_order": sort_order,
                "filter_data": filter_data,
                "cursor": cursor,
            },
        )

    def all(
        self,
        *,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
    ) -> Iterator[SlotRow]:
        """Every row, page by page behind a cursor."""
        return self._rows("/library_slots", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data})

    def read(self, row_id: int) -> Answer[SlotRow]:
        """Read one: Library Slots. Permission: See media servers, pools and storages."""
        return self._call("GET", f"/library_slots/{segment(row_id)}")

    def check_ltfs(
        self, data: Sequence[LibraryCartridge], *, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Check cartridges for LTFS. Permission: Edit media servers, pools and storages."""
        return self._call(
            "PATCH", "/library_slots/check_ltfs", body={"data": data}, idempotency_key=idempotency_key, repeatable=True
        )

    def erase_cartridge(
        self, data: Sequence[CartridgeToErase], *, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Erase cartridges. Permission: Edit media servers, pools and storages."""
        return self._call(
            "PATCH",
            "/library_slots/erase_cartridge",
            body={"data": data},
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def export_cartridge(self, data: LibraryCartridge, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Put a cartridge into an import/export slot. Permission: Edit media servers, pools and storages."""
        return self._call(
            "PATCH",
            "/library_slots/export_cartridge",
            body={"data": data},
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def import_cartridge(
        self, data: CartridgeToImport, *, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Take a cartridge out of an import/export slot. Permission: Edit media servers, pools and storages."""
        return self._call(
            "PATCH",
            "/library_slots/import_cartridge",
            body={"data": data},
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def format_cartridge(
        self, data: Sequence[LibraryCartridge], *, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Format cartridges. Permission: Edit media servers, pools and storages."""
        return self._call(
            "PATCH",
            "/library_slots/format_cartridge",
            body={"data": data},
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def move_cartridge(self, data: CartridgeToMove, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Move a cartridge to another slot. Permission: Edit media servers, pools and storages."""
        return self._call(
            "PATCH",
            "/library_slots/move_cartridge",
            body={"data": data},
            idempotency_key=idempotency_key,
            repeatable=True,
        )
