"""Single files of copies: who may have them, links that stand for that right for some minutes, and what is noted.

The rights are those to restore the copy. A link is signed with a key made of the token secret; it names one file and
whoever made it, whose rights of the moment are checked again when it is used.
"""

from __future__ import annotations

import base64
import datetime as dt
import hmac
import time
from collections.abc import Callable
from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.catalog.database import Connection, Database
from rubackup.domain.errors import Forbidden, Invalid, Unauthenticated
from rubackup.domain.permissions import Permission, Principal
from rubackup.services import api_tokens, client_pools, key_holders, record_history, scopes
from rubackup.services.change import Change
from rubackup.services.fields import Row
from rubackup.services.ports import FilePart, Hosts
from rubackup.services.principals import USER_COLUMNS, principal_of
from rubackup.services.repository import record_of

LINK_SECONDS = 300
MAX_LINK = 64 << 10
_MAC_BYTES = 32
_GROUP, _MEDIA = "coalesce(c.group_id, r.client_group_id)", "p.media_server_id"
_OWN = """
SELECT 1 FROM repository r LEFT JOIN clients c ON c.id = r.client_id JOIN pools p ON p.id = r.pool_id
WHERE r.id = $1 AND """
_USER = f"""
SELECT {USER_COLUMNS} FROM users u WHERE u.id = $1 AND EXISTS (
    SELECT 1 FROM token_families f
    WHERE f.family = $2 AND f.user_id = u.id AND f.revoked_at IS NULL AND f.ends_at > $3)"""  # noqa: S608 - constant


class WantedFile(msgspec.Struct, kw_only=True):
    """A file of a copy."""

    path: Annotated[
        str,
        Meta(description="Absolute path of a regular file, as the file list shows it.", min_length=1, max_length=32768),
    ]


class FileLink(msgspec.Struct, frozen=True, kw_only=True):
    """A link that opens one file without a login."""

    url: Annotated[str, Meta(description="Path and query of the link, below the address of the API.")]
    expires_at: Annotated[
        dt.datetime, Meta(description=f"When it stops to open: {LINK_SECONDS} seconds after it was made.")
    ]
    size_bytes: Annotated[int, Meta(description="Size of the file in bytes.")]


class Link(msgspec.Struct, array_like=True, frozen=True):
    """What a link says."""

    record_id: int
    path: str
    user_id: int
    token_id: int
    """The API token that it was made with; 0 for a session."""
    session: str
    """The login session that it was made in; '' for a token."""
    expires_at: int


_links = msgspec.msgpack.Decoder(Link)


async def downloadable(change: Change, record_id: int, path: str) -> Row:
    """The copy whose file is wanted, with the rights of a restore.

    Invalid for a path that cannot be a file's, NotFound, Forbidden for a copy that the caller may only see,
    Unavailable for an encrypted one while its client, which has the key, is offline; Conflict for one in a client's own pool.
    """
    if not path.startswith("/") or path.endswith("/") or {".", ".."} & set(path.split("/")) or "\0" in path:
        raise Invalid(fields={"path": "must be the absolute path of a file, without '.' and '..'."})
    record = await record_of(change, record_id)
    limit = scopes.work(change.principal, _GROUP, _MEDIA, write=True)
    if not await change.db.fetchval(_OWN + limit.numbered(2), record_id, *limit.values):
        raise Forbidden(f"The copy {record_id} may be seen, not restored from.")
    client_pools.refuse_others(record["pool_type"])
    key_holders.check(record)
    return record


async def part(hosts: Hosts, record: Row, path: str, offset: int, length: int) -> FilePart:
    """A range of the file, asked of the media server, or of the client that has an encrypted copy's key.

    No connection of the catalogue should be held meanwhile.
    """
    uuid = record["uuid"].replace("-", "")
    if record["key_id"]:
        return await hosts.read_encrypted_file(record["client_hwid"], record["pool_id"], uuid, path, offset, length)
    return await hosts.read_file(record["media_hwid"], record["pool_id"], uuid, path, offset, length)


async def note(change: Change, record: Row, path: str, text: str) -> None:
    """A line of the repository's log that says who had which bytes of which file."""
    change.row_ids.append(record["id"])
    await record_history.note(
        change.db, [record["id"]], "downloaded", f"{path}: {text}", user_name=change.principal.name
    )


class FileLinks:
    """Makes links and opens them."""

    def __init__(self, database: Database, secret: bytes, now: Callable[[], float] = time.time) -> None:
        self._database = database
        self._key = hmac.digest(secret, b"file link", "sha256")
        self._now = now

    def make(self, principal: Principal, record_id: int, path: str) -> tuple[str, dt.datetime]:
        """The text of a link, and when it expires."""
        expires = int(self._now()) + LINK_SECONDS
        link = Link(record_id, path, principal.user_id, principal.token_id, principal.session, expires)
        body = msgspec.msgpack.encode(link)
        return _text(self._mac(body) + body), dt.datetime.fromtimestamp(expires, dt.UTC)

    async def open(self, text: str, address: str) -> tuple[Principal, Link]:
        """Who made the link, with the rights of this moment, and what it opens.

        Unauthenticated when it was not made here, was changed, has expired, or its maker, token or session is gone.
        """
        link = self._read(text)
        if link.expires_at <= self._now():
            raise Unauthenticated
        async with self._database.connection() as db:
            principal = await self._maker(db, link, address)
        if principal is None:
            raise Unauthenticated
        return principal, link

    def _read(self, text: str) -> Link:
        try:
            data = base64.urlsafe_b64decode(text.encode("ascii") + b"=" * (-len(text) % 4))
        except ValueError as error:
            raise Unauthenticated from error
        if _text(data) != text:  # one link has one text, though base64 is read with padding and other characters too
            raise Unauthenticated
        body = data[_MAC_BYTES:]
        if not hmac.compare_digest(data[:_MAC_BYTES], self._mac(body)):
            raise Unauthenticated
        return _links.decode(body)

    async def _maker(self, db: Connection, link: Link, address: str) -> Principal | None:
        if link.token_id:
            found = await api_tokens.find_by_id(db, link.token_id, address)
            return found if found is not None and found.user_id == link.user_id else None
        now = dt.datetime.fromtimestamp(self._now(), dt.UTC)
        row = await db.fetchrow(_USER, link.user_id, link.session, now)
        return None if row is None else principal_of(row, address, link.session)

    def _mac(self, body: bytes) -> bytes:
        return hmac.digest(self._key, body, "sha256")


def _text(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def permit(principal: Principal) -> None:
    """Forbidden when no role of the caller allows a restore any more."""
    if not principal.may(Permission.RESTORE):
        raise Forbidden(f"The role of the user does not allow this; it would need: {Permission.RESTORE.value}")
