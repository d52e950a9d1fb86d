"""Clients. Made by scripts/generate-client from docs/openapi.json. Do not edit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NotRequired, TypedDict

from rubackup.sdk.api._shared import Ids, LookupRow
from rubackup.sdk.caller import Answer, Family, Page, segment


class ClientChange(TypedDict):
    """What to change of a client."""

    group_id: NotRequired[int | str]
    """Client group: name or id."""
    lsf_flag: NotRequired[bool]
    """Whether backups that the client's own tools start go to `ls_pool`, and to no other pool."""
    ls_pool: NotRequired[int | str | None]
    lrl_flag: NotRequired[bool]
    """Whether the client's own tools may see its rules and make requests about them."""
    storage_capacity: NotRequired[int]
    """Storage that the client's copies may take, in gigabytes; 0: no limit."""
    max_tasks: NotRequired[int]
    """How many of its tasks are at work at a time; 0: as many as the client takes (PARALLEL_TASKS)."""
    description: NotRequired[str]
    """Free text."""
    centralized_restore: NotRequired[bool]
    """Whether restores to the client may be ordered through the API; false: only its own tools restore."""
    client_side_backup: NotRequired[bool]
    """Whether the client's own tools may start backups."""
    client_side_restore: NotRequired[bool]
    """Whether the client's own tools may start restores."""


class ClientIds(TypedDict):
    """Clients that wait for authorisation."""

    clients_ids: list[int]
    """Ids of unauthorised clients: all of them or none."""
    replace_key: NotRequired[bool]
    """Whether the key takes the place of the one of the host that is known under this hardware id, which lost it. What belongs to the host stays; certificates of the other key are revoked. Needs `fingerprint`."""
    fingerprint: NotRequired[str]
    """Fingerprint of the one key that is meant: another one is refused. Empty: any."""


class ClientLeaf(TypedDict):
    """A client in the tree."""

    id: int
    """Id of the client."""
    hostname: str
    """Host name."""
    hwid: str
    """Hardware id: 16 hex digits."""
    online: bool
    """Whether it is connected."""


class ClientRow(TypedDict):
    """An authorised client."""

    id: int
    """Id of the client."""
    client: str
    """The client as other resources name it: `hostname (hwid)`."""
    hostname: str
    """Host name."""
    hwid: str
    """Hardware id: 16 hex digits."""
    group_id: str
    """Name of the client group."""
    group_id_ref: int
    """Id of the client group."""
    description: str
    """Free text."""
    online: bool
    """Whether it is connected."""
    last_online: str | None
    """When it came or went last."""
    os_type: str
    """A name of os_types."""
    os_version: str
    """Version of the operating system."""
    package_version: str
    """Version of the client's software."""
    resource_types: list[str]
    """What it can back up, names of resource_types."""
    ciphers: list[str]
    """What it can encrypt with, names of crypto."""
    key_ids: list[str]
    """Which keys of encrypted copies it holds, the current one first."""
    lsf_flag: bool
    """Whether backups that its own tools start go to `ls_pool`."""
    ls_pool: str | None
    """Name of the pool for backups that its own tools start."""
    ls_pool_ref: int | None
    """Id of that pool."""
    lrl_flag: bool
    """Whether its own tools may see its rules and make requests about them."""
    storage_capacity: int
    """Limit for its copies in gigabytes; 0: none."""
    max_tasks: int
    """How many of its tasks are at work at a time; 0: as many as it takes."""
    centralized_restore: bool
    """Whether restores to it may be ordered through the API."""
    client_side_backup: bool
    """Whether its own tools may start backups."""
    client_side_restore: bool
    """Whether its own tools may start restores."""
    fingerprint: str
    """SHA-256 fingerprint of its key."""
    certificate_not_after: str | None
    """When its certificate ends."""
    authorised_at: str
    """When it was authorised."""


class ClientsTree(TypedDict):
    """A page of client groups with a page of clients each."""

    client_groups: list[GroupNode]
    """A page of groups, by name."""
    client_groups_total: int
    """How many groups match."""
    client_groups_page: int
    """Which page this is."""
    client_groups_limit: int
    """Groups a page."""


class ClientsTreeQuery(TypedDict):
    """Which groups and clients are wanted."""

    clients: NotRequired[list[GroupPage]]
    """Pages of clients by group; the first page for groups not named."""
    client_groups_page: NotRequired[int]
    """Page, from 1."""
    client_groups_limit: NotRequired[int]
    """Entries a page."""
    filter_clients_hostname: NotRequired[str]
    """Part of a host name, any case."""


class GroupNode(TypedDict):
    """A client group in the tree."""

    id: int
    """Id of the group."""
    name: str
    """Name of the group."""
    shared: bool
    """Whether copies may be restored to other clients of the group."""
    description: str
    """Free text."""
    clients: list[ClientLeaf]
    """A page of its clients."""
    clients_total: int
    """How many clients match."""
    clients_page: int
    """Which page this is."""
    clients_limit: int
    """Clients a page."""


class GroupPage(TypedDict):
    """Which clients of a group are wanted."""

    client_group_id: int
    """Id of the group."""
    clients_limit: NotRequired[int]
    """Entries a page."""
    clients_page: NotRequired[int]
    """Page, from 1."""


ListColumn = Literal[
    "id", "client", "hostname", "hwid", "group_id", "group_id_ref", "description", "online", "last_online",
    "os_type", "os_version", "package_version", "lsf_flag", "ls_pool", "ls_pool_ref", "lrl_flag",
    "storage_capacity", "max_tasks", "centralized_restore", "client_side_backup", "client_side_restore",
    "fingerprint", "certificate_not_after", "authorised_at",
]  # fmt: skip


class Clients(Family):
    """Clients."""

    def list(
        self,
        *,
        page: int | None = None,
        limit: int | None = None,
        sort_by: ListColumn | None = None,
        sort_order: Literal["asc", "desc"] | None = None,
        filter_data: str | Sequence[str] | None = None,
        cursor: str | None = None,
    ) -> Answer[Page[ClientRow]]:
        """List: Clients. Permission: See clients and client groups."""
        return self._call(
            "GET",
            "/clients",
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
    ) -> Iterator[ClientRow]:
        """Every row, page by page behind a cursor."""
        return self._rows("/clients", {"sort_by": sort_by, "sort_order": sort_order, "filter_data": filter_data})

    def delete_many(
        self, body: Ids, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete several, all or none: Clients. Permission: Edit and delete clients."""
        return self._call(
            "DELETE", "/clients", body=body, if_match=if_match, idempotency_key=idempotency_key, repeatable=True
        )

    def read(self, row_id: int) -> Answer[ClientRow]:
        """Read one: Clients. Permission: See clients and client groups."""
        return self._call("GET", f"/clients/{segment(row_id)}")

    def update(
        self, row_id: int, data: ClientChange, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Change one: Clients. Permission: Edit and delete clients."""
        return self._call(
            "PATCH",
            f"/clients/{segment(row_id)}",
            body={"data": data},
            if_match=if_match,
            idempotency_key=idempotency_key,
            repeatable=True,
        )

    def delete(
        self, row_id: int, *, if_match: str | None = None, idempotency_key: str | None = None
    ) -> Answer[dict[str, Any]]:
        """Delete one: Clients. Permission: Edit and delete clients."""
        return self._call(
            "DELETE", f"/clients/{segment(row_id)}", if_match=if_match, idempotency_key=idempotency_key, repeatable=True
        )

    def authorize(self, data: ClientIds, *, idempotency_key: str | None = None) -> Answer[dict[str, Any]]:
        """Authorise clients that wait. Permission: Authorise clients."""
        return self._call(
            "POST", "/clients/authorize", body={"data": data}, idempotency_key=idempotency_key, repeatable=True
        )

    def tree(self, data: ClientsTreeQuery) -> Answer[ClientsTree]:
        """Client groups with their clients. Permission: See clients and client groups."""
        return self._call("POST", "/clients/tree", body={"data": data})

    def resource_type(self, row_id: int) -> Answer[Page[LookupRow]]:
        """What a client can back up. Permission: See clients and client groups."""
        return self._call("GET", f"/clients/{segment(row_id)}/resource_type")
