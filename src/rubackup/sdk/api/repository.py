"""Repository. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from rubackup.sdk.api._shared import Extension, Extensions, Ids
from rubackup.sdk.caller import Answer, Family, Page, Stream, segment


class Dependant(TypedDict):
    """A copy of a chain: one that was asked for, or one that builds on it."""

    root_id: int
    """The copy that was asked for."""
    id: int
    """The copy that builds on it; itself for the first."""
    parent_id: int | None
    """The copy that this one builds on."""
    depth: int
    """How many steps lie between it and the root; 0 for the root."""
    backup_type: str
    """A name of backup_types."""
    client: str
    """The client as `hostname (hwid)`."""
    resource_type: str
    """A name of resource_types."""
    resource: str
    """What was backed up."""
    pool: str
    """The pool that stores the copy."""
    created_at: str
    """When the copy was made."""


class FileLink(TypedDict):
    """A link that opens one file without a login."""

    url: str
    """Path and query of the link, below the address of the API."""
    expires_at: str
    """When it stops to open: 300 seconds after it was made."""
    size_bytes: int
    """Size of the file in bytes."""


class NewRestore(TypedDict):
    """A restore. Extension objects may stand inside `restore_task`, as the guide prints them, or beside it."""

    restore_task: RestoreTask
    """The restore."""
    module_extensions: NotRequired[Extension]
    """Parameters of the resource type's module."""
    common_modules_extensions: NotRequired[Extension]
    """Parameters that every module knows."""


class RecordChange(TypedDict):
    """How long a copy is kept."""

    store_until: NotRequired[str | None]


class RecordIds(TypedDict):
    """Copies of the repository."""

    ids: list[int]
    """Ids of copies."""


class RecordRow(TypedDict):
    """A copy."""

    id: int
    """Id of the copy."""
    uuid: str
    """The copy's name in its pool."""
    parent_id: int | None
    """The copy that this one builds on, while it is there."""
    parent_uuid: str | None
    """The parent's name in its pool."""
    copied_from: int | None
    """The copy that this one was copied or moved from; a moved one is not there any more."""
    chain_broken: bool
    """Whether a copy that it builds on was deleted; it restores all the same."""
    rule_id: int | None
    """The rule of the global schedule that made it."""
    strategy_rule_id: int | None
    """The rule of a strategy that made it."""
    task: int
    """Number of the task that made it."""
    rule: str | None
    """Name of the rule that made it; null when there is none any more."""
    rule_ref: int | None
    """Id of that rule, also of one that was deleted."""
    client: str
    """The client as `hostname (hwid)`, as it was called then."""
    client_ref: int | None
    """Id of the client; null when it was deleted."""
    client_hwid: str
    """Hardware id of the client: 16 hex digits."""
    pool: str
    """Name of the pool that stores it."""
    pool_ref: int
    """Id of the pool."""
    media_server: str
    """Host name of the media server that stores it."""
    media_server_ref: int
    """Id of the media server."""
    resource_type: str
    """A name of resource_types."""
    resource: str
    """What was backed up."""
    backup_type: str
    """A name of backup_types."""
    crypto: str
    """A name of crypto."""
    key_id: str
    """Which key of the client opens it, 32 hex digits; empty when it is in clear."""
    archiving: bool
    """Whether it is an archive: nothing builds on it."""
    file_list: bool
    """Whether its files may be listed."""
    size_bytes: int
    """Size of what was backed up in bytes."""
    stored_bytes: int
    """What it added to the pool in bytes, compressed."""
    files: int
    """How many files and folders it holds."""
    files_failed: int
    """How many files could not be read; the task log names them."""
    created_at: str
    """When it was made."""
    store_until: str | None
    """When it may be deleted by itself."""
    locked_until: str | None
    """Until when nobody can delete it."""
    verification_status: str
    """A name of verification_status."""
    verified_at: str | None
    """When it was verified last."""
    unavailable: str
    """Folders of its pool that are away and that it needs: it cannot be read until they are back; empty: none."""


class RestoreTask(TypedDict):
    """Where a copy goes, and what of it."""

    target_client: int | str
    """Client that writes the files: `hostname (hwid)` or id."""
    destination_path: NotRequired[str]
    """Absolute folder below which files land at their full original path; not with data_deployment."""
    data_deployment: NotRequired[bool]
    """Whether files go back to where they were."""
    granular_restore_files: NotRequired[list[str]]
    """Absolute paths to restore, folders with all below; [] or [""]: everything."""
    overwrite: NotRequired[Literal["always", "if_changed", "never"]]
    """What happens to files that are there already."""
    priority: NotRequired[int]
    """Higher runs first."""
    module_extensions: NotRequired[Extension]
    """Parameters of the resource type's module."""
    common_modules_extensions: NotRequired[Extension]
    """Parameters that every module knows."""


class WantedFile(TypedDict):
    """A file of a copy."""

    path: str
    """Absolute path of a regular file, as the file list shows it."""


ListColumn = Literal[
    "id", "uuid", "parent_id", "parent_uuid", "copied_from", "chain_broken", "rule_id", "strategy_rule_id", "task",
    "rule", "rule_ref", "client", "client_ref", "client_hwid", "pool", "pool_ref", "media_server",
    "media_server_ref", "resource_type", "resource", "backup_type", "crypto", "key_id", "archiving", "file_list",
    "size_bytes", "stored_bytes", "files", "files_failed", "created_at", "store_until", "locked_until",
    "verification_status", "verified_at", "unavailable",
]  # fmt: skip


class Repository(Family):
    """Repository."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[RecordRow]]:
        """List: Repository. Permission: See the repository of copies."""
        return self._call(
            "GET",
            "/repository",
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
    ) -> Iterator[RecordRow]:
        """Every row, page by page behind a cursor."""
        return self._rows("/repository", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data})

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Repository. Permission: Verify, copy, move, delete and prolong copies."""
        return self._call(
            "DELETE", "/repository", body=body, if_match=if_match, idempotency_key=idempotency_key, repeatable=True
        )

    def read(self, row_id: int) -> Answer[RecordRow]:
        """Read one: Repository. Permission: See the repository of copies."""
        return self._call("GET", f"/repository/{segment(row_id)}")

    def update(
        self, row_id: int, data: RecordChange, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Change one: Repository. Permission: Verify, copy, move, delete and prolong copies."""
        return self._call(
            "PATCH",
            f"/repository/{segment(row_id)}",
            body={"data": data},
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Repository. Permission: Verify, copy, move, delete and prolong copies."""
        return self._call(
            "DELETE",
            f"/repository/{segment(row_id)}",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def restoring(
        self, row_id: int, data: NewRestore, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Restore a copy. Permission: Restore copies."""
        return self._call(
            "POST",
            f"/repository/{segment(row_id)}/restoring",
            body={"data": data},
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def verification(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Read a copy again and compare every checksum. Permission: Verify, copy, move, delete and prolong copies."""
        return self._call(
            "POST",
            f"/repository/{segment(row_id)}/verification",
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def copying(
        self, row_id: int, *, pool: str, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Copy a copy into another pool. Permission: Verify, copy, move, delete and prolong copies."""
        return self._call(
            "POST",
            f"/repository/{segment(row_id)}/copying",
            query={"pool": pool},
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def moving(
        self, row_id: int, *, pool: str, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Move a copy into another pool. Permission: Verify, copy, move, delete and prolong copies."""
        return self._call(
            "POST",
            f"/repository/{segment(row_id)}/moving",
            query={"pool": pool},
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def file(self, row_id: int, *, path: str, range: str | None = None, if_range: str | None = None) -> Stream:
        """Download a file of a copy. Permission: Restore copies."""
        return self._stream(
            "GET",
            f"/repository/{segment(row_id)}/file",
            query={"path": path},
            headers={"Range": range, "If-Range": if_range},
        )

    def file_link(self, row_id: int, data: WantedFile) -> Answer[FileLink]:
        """Make a link that opens a file of a copy for some minutes, without a login. Permission: Restore copies."""
        return self._call("POST", f"/repository/{segment(row_id)}/file_link", body={"data": data})

    def linked_file(self, *, link: str, range: str | None = None, if_range: str | None = None) -> Stream:
        """Download what a link opens."""
        return self._stream(
            "GET", "/repository/linked_file", query={"link": link}, headers={"Range": range, "If-Range": if_range}
        )

    def deletion_reference_chain(self, body: RecordIds) -> Answer[Page[Dependant]]:
        """The copies that build on these. Permission: See the repository of copies."""
        return self._call("POST", "/repository/deletion_reference_chain", body=body)

    def extension(self, *, resource_type: str | None = None) -> Answer[Extensions]:
        """Extension parameters of restores. Permission: See the repository of copies."""
        return self._call("GET", "/repository/extension", query={"resource_type": resource_type})
