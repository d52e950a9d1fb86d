"""API tokens: what scripts use instead of a login."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

import msgspec
from msgspec import Meta

from rubackup.api.resource import EVERYTHING, LOG, Action, Answer, Body, Call, Clause, Op, Resource, Source
from rubackup.api.rows import Rows
from rubackup.domain.permissions import Permission, Principal, Role
from rubackup.services import api_tokens


class TokenRow(msgspec.Struct, kw_only=True):
    """An API token; its text was shown when it was made."""

    id: Annotated[int, Meta(description="Id of the token.")]
    name: Annotated[str, Meta(description="What the token is for.")]
    user: Annotated[str, Meta(description="Name of the user that the token stands for.")]
    user_ref: Annotated[int, Meta(description="Id of that user.")]
    prefix: Annotated[str, Meta(description="How the token begins.")]
    roles: Annotated[list[str], Meta(description="Roles of the token, as far as its user has them still.")]
    client_groups: Annotated[
        list[str] | None, Meta(description="Names of the client groups that it covers; null: all of its user.")
    ]
    client_groups_ref: Annotated[list[int] | None, Meta(description="Ids of these groups.")]
    media_servers: Annotated[
        list[str] | None, Meta(description="Host names of the media servers that it covers; null: all of its user.")
    ]
    media_servers_ref: Annotated[list[int] | None, Meta(description="Ids of these media servers.")]
    strategies: Annotated[
        list[int] | None, Meta(description="Ids of the strategies that it covers; null: all of its user.")
    ]
    created_at: Annotated[datetime, Meta(description="When it was made.")]
    expires_at: Annotated[datetime | None, Meta(description="When it ends; null: never.")]
    last_used_at: Annotated[datetime | None, Meta(description="When it was used last, to the minute; null: never.")]


class MadeToken(TokenRow, kw_only=True):
    """A token that was just made."""

    token: Annotated[str, Meta(description="The token itself, for `Authorization: Bearer`. It is shown this once.")]


def _named(ids: str, table: str, name: str) -> str:
    found = f"SELECT x.{name} FROM {table} x WHERE x.id = ANY (t.{ids}) ORDER BY x.id"  # noqa: S608 - declared
    return f"CASE WHEN t.{ids} IS NOT NULL THEN ARRAY({found}) END"


def _scope(principal: Principal) -> Clause:
    """Own tokens; a superuser sees, and may revoke, everybody's."""
    if Role.SUPERUSER in principal.roles:
        return EVERYTHING
    return Clause("t.user_id = {}", (principal.user_id,))


_OWN = ("id", "name", "prefix", "roles", "created_at", "expires_at", "last_used_at")
_SOURCE = Source(
    "api_tokens t JOIN users u ON u.id = t.user_id", "t.id",
    {
        **{one: f"t.{one}" for one in _OWN},
        "user": "u.username",
        "user_ref": "t.user_id",
        "client_groups": _named("client_group_ids", "client_groups", "name"),
        "client_groups_ref": "t.client_group_ids",
        "media_servers": _named("media_server_ids", "media_servers", "hostname"),
        "media_servers_ref": "t.media_server_ids",
        "strategies": "t.strategy_ids",
    },
    frozenset({"id", "user_ref"}),
)  # fmt: skip


async def _create(call: Call) -> MadeToken:
    token_id, text = await api_tokens.create(call.change, call.body)
    row = (await Rows(_SOURCE, TokenRow).fetch(call.change.db, [token_id]))[token_id]
    call.change.row_ids.append(token_id)
    call.change.after = msgspec.to_builtins(row)
    return MadeToken(**msgspec.structs.asdict(row), token=text)


TOKENS = Resource(
    path="tokens",
    name="Tokens",
    tag="Tokens",
    summary="API tokens: what scripts use instead of a login",
    read=Permission.OWN_TOKENS,
    write=Permission.OWN_TOKENS,
    row=TokenRow,
    source=_SOURCE,
    ops=LOG | Op.DELETE | Op.BULK_DELETE,
    scope=_scope,
    delete=api_tokens.delete,
    actions=(
        Action(
            "POST", "", "Make an API token; the answer shows it this once", Permission.OWN_TOKENS, _create,
            answer=Answer.OBJECT, row=MadeToken, status=201, operation_id="create_tokens", replayable=False,
            body=Body(
                api_tokens.NewToken,
                example={
                    "data": {
                        "name": "nightly report", "roles": ["auditor"], "expires_at": "2030-01-01T00:00:00+00:00",
                    }
                },
            ),
            message="Resource with name 'Tokens' was created successfully!",
        ),
    ),
)  # fmt: skip
