"""Tape Cartridges. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from rubackup.sdk.api._shared import Ids
from rubackup.sdk.caller import Answer, Family, Page, segment


class CartridgeChange(TypedDict):
    """What to change of a cartridge."""

    volume_tag: NotRequired[str]
    """What stands on the cartridge's label now; empty: as it was."""
    description: NotRequired[str]
    """Free text."""


class CartridgeRow(TypedDict):
    """A cartridge, with where a robot saw it last."""

    id: int
    """Id of the cartridge."""
    type: str
    """A name of tape_types."""
    pool: str
    """Name of the pool whose copies it may hold."""
    pool_ref: int
    """Id of that pool."""
    media_server: str
    """Host name of the pool's media server."""
    media_server_ref: int
    """Id of that media server."""
    volume_tag: str
    """What stands on its label."""
    description: str
    """Free text."""
    tape_library: int | None
    """Id of the library that it is in; null: in none."""
    slot: int | None
    """Id of the slot that it lies in; null: in none."""
    element_address: int | None
    """Element of that slot or drive, as the robot counts."""
    tape_drive: int | None
    """Id of the drive that it is in; null: in none."""
    copies: int
    """How many copies it holds."""
    created_at: str
    """When it was registered."""


class NewCartridge(TypedDict):
    """A cartridge to be registered."""

    type: str
    """A name of tape_types; must fit the label's end, such as L9."""
    pool: int | str
    """Pool of the type Tape library: name or id."""
    volume_tag: str
    """Volume tag: what stands on the cartridge's label."""
    description: NotRequired[str]
    """Free text."""


ListColumn = Literal[
    "id", "type", "pool", "pool_ref", "media_server", "media_server_ref", "volume_tag", "description",
    "tape_library", "slot", "element_address", "tape_drive", "copies", "created_at",
]  # fmt: skip


class TapeCartridges(Family):
    """Tape Cartridges."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[CartridgeRow]]:
        """List: Tape Cartridges. Permission: See media servers, pools and storages."""
        return self._call(
            "GET",
            "/tape_cartridges",
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
    ) -> Iterator[CartridgeRow]:
        """Every row, page by page behind a cursor."""
        return self._rows(
            "/tape_cartridges", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data}
        )

    def create(self, data: NewCartridge, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Create: Tape Cartridges. Permission: Edit media servers, pools and storages."""
        return self._call(
            "POST", "/tape_cartridges", body={"data": data}, idempotency_key=idempotency_key, repeatable=True
        )

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Tape Cartridges. Permission: Edit media servers, pools and storages."""
        return self._call(
            "DELETE", "/tape_cartridges", body=body, if_match=if_match, idempotency_key=idempotency_key, repeatable=True
        )

    def read(self, row_id: int) -> Answer[CartridgeRow]:
        """Read one: Tape Cartridges. Permission: See media servers, pools and storages."""
        return self._call("GET", f"/tape_cartridges/{segment(row_id)}")

    def update(
        self, row_id: int, data: CartridgeChange, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Change one: Tape Cartridges. Permission: Edit media servers, pools and storages."""
        return self._call(
            "PATCH",
            f"/tape_cartridges/{segment(row_id)}",
            body={"data": data},
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )
