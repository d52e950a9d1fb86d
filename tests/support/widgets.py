"""A resource of its own table: what the kernel does, shown without any real family."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, UnsetType

from rubackup.api.each import each
from rubackup.api.resource import (
    CRUD,
    EVERYTHING,
    NOTHING,
    Action,
    Answer,
    Body,
    Call,
    Clause,
    Created,
    Later,
    Outcome,
    Page,
    Resource,
    Source,
)
from rubackup.api.writes import IDS_BODY
from rubackup.catalog.database import Connection
from rubackup.domain.errors import Conflict, Invalid
from rubackup.domain.permissions import Permission, Principal
from rubackup.services.change import Change
from support.api import Api

TABLE = """CREATE TABLE widgets (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL UNIQUE, size bigint NOT NULL DEFAULT 0,
    active boolean NOT NULL DEFAULT false, tags text[] NOT NULL DEFAULT '{}', made_at timestamptz, owner text
)"""
NOON = datetime(2024, 8, 19, 12, tzinfo=UTC)


class Widget(msgspec.Struct):
    """A row."""

    id: Annotated[int, Meta(description="Id.")]
    name: Annotated[str, Meta(description="Name.")]
    size: Annotated[int, Meta(description="Size in bytes.")]
    active: Annotated[bool, Meta(description="Whether it is on.")]
    tags: Annotated[list[str], Meta(description="Tags.")]
    made_at: Annotated[datetime | None, Meta(description="When it was made.")] = None
    owner: Annotated[str | None, Meta(description="Whose it is.")] = None


class NewWidget(msgspec.Struct):
    """The body of a creating call."""

    name: Annotated[str, Meta(description="Name.", min_length=1, max_length=20)]
    size: Annotated[int, Meta(description="Size in bytes.", ge=0)] = 0
    tasks: Annotated[int, Meta(description="How many tasks to pretend.")] = 0


class SecretWidget(NewWidget):
    """A body that holds a secret."""

    password: Annotated[str, Meta(description="A secret.")] = ""


class WidgetChange(msgspec.Struct):
    """The body of a change."""

    name: Annotated[str | UnsetType, Meta(description="Name.")] = UNSET
    made_at: Annotated[datetime | UnsetType | None, Meta(description="When it was made.")] = UNSET


class Question(msgspec.Struct):
    """A query."""

    word: Annotated[str, Meta(description="A word.")]
    times: Annotated[int, Meta(description="How often.", ge=1, le=5)] = 1
    loud: Annotated[bool, Meta(description="Whether loud.")] = False
    many: Annotated[list[int], Meta(description="Numbers.")] = []


class Heavier(msgspec.Struct):
    """What the list of widgets takes beside what every list takes."""

    heavier: Annotated[int, Meta(description="Only widgets of more bytes.", ge=0)] | None = None


async def narrow(_db: Connection, _principal: Principal, query: Heavier) -> Clause:
    """Widgets of more bytes than asked for."""
    return EVERYTHING if query.heavier is None else Clause("w.size > {}", (query.heavier,))


def scope(principal: Principal) -> Clause:
    """Own rows, unless everything is seen."""
    if principal.sees_everything:
        return Clause("true")
    return Clause("w.owner = {}", (principal.name,)) if principal.roles else NOTHING


async def create(change: Change, body: NewWidget) -> Created:
    """Insert a row."""
    row_id = await change.db.fetchval(
        "INSERT INTO widgets (name, size, owner) VALUES ($1, $2, $3) RETURNING id",
        body.name, body.size, change.principal.name,
    )  # fmt: skip
    return Created((row_id,), tuple(range(70, 70 + body.tasks)))


async def create_secret(call: Call) -> Created:
    """Insert a row that a secret came with."""
    return await create(call.change, call.body)


async def update(change: Change, row_id: int, body: WidgetChange) -> None:
    """Change what is given."""
    if body.name is not UNSET:
        await change.db.execute("UPDATE widgets SET name = $2 WHERE id = $1", row_id, body.name)
    if body.made_at is not UNSET:
        await change.db.execute("UPDATE widgets SET made_at = $2 WHERE id = $1", row_id, body.made_at)


async def delete(change: Change, ids: tuple[int, ...]) -> None:
    """Delete rows."""
    await change.db.execute("DELETE FROM widgets WHERE id = ANY($1::bigint[])", list(ids))


async def polish(call: Call) -> str:
    """An action on one row."""
    await call.change.db.execute("UPDATE widgets SET active = true WHERE id = $1", call.id)
    return f"Widget {call.id} shines."


async def fail(call: Call) -> None:
    """Change something, then fail with something that nobody foresaw."""
    await call.change.db.execute("UPDATE widgets SET active = true")
    raise RuntimeError("the secret cause")


async def refuse(_call: Call) -> None:
    """Refuse for a reason of the service's own."""
    raise Invalid(fields={"data.widget": "is not wanted."})


async def echo(call: Call) -> Page:
    """Answer with what was asked."""
    return Page([call.query], 1)


async def relay(_call: Call) -> Later:
    """Ask somebody, then look something up with the answer."""

    async def ask() -> int:
        return 40

    async def then(change: Change, said: int) -> Page:
        return Page([Question(word=str(await change.db.fetchval("SELECT $1::int + 2", said)))], 1)

    return Later(ask, then)


async def by_word(call: Call) -> str:
    """Take a word out of the path."""
    return f"word {call.path_value}"


async def several(call: Call) -> str:
    """Take a list."""
    return ",".join(b.name for b in call.body)


async def shine(call: Call) -> list[Outcome]:
    """Polish each by itself; a name that begins with x refuses after it was changed."""

    async def one(change: Change, row_id: int) -> str:
        name = await change.db.fetchval("UPDATE widgets SET active = true WHERE id = $1 RETURNING name", row_id)
        if name.startswith("x"):
            raise Conflict(f"{name} does not shine.")
        return f"{name} shines."

    return await each(call, one)


BODY = Body(NewWidget, example={"data": {"name": "one"}})
WIDGETS = Resource(
    path="widgets",
    name="Widgets",
    tag="Widgets",
    summary="Things to try the kernel with",
    read=Permission.READ_CLIENTS,
    write=Permission.WRITE_CLIENTS,
    row=Widget,
    source=Source(
        "widgets w", "w.id",
        {f: f"w.{f}" for f in ("id", "name", "size", "active", "tags", "made_at", "owner")},
        frozenset({"id", "name"}),
    ),
    ops=CRUD,
    scope=scope,
    list_query=Heavier,
    narrow=narrow,
    create=create, create_body=BODY,
    update=update, update_body=Body(WidgetChange),
    delete=delete,
    actions=(
        Action("POST", "{id}/polish", "Polish", Permission.WRITE_CLIENTS, polish),
        Action(
            "POST", "secret", "Create with a secret", Permission.WRITE_CLIENTS, create_secret,
            answer=Answer.CREATED, body=Body(SecretWidget),
        ),
        Action(
            "POST", "shine", "Shine", Permission.WRITE_CLIENTS, shine, answer=Answer.EACH, body=IDS_BODY
        ),
        Action(
            "DELETE", "shine", "Shine without a word", Permission.WRITE_CLIENTS, shine,
            answer=Answer.EACH, body=IDS_BODY, status=204,
        ),
        Action("POST", "fail", "Fail", Permission.WRITE_CLIENTS, fail),
        Action("POST", "refuse", "Refuse", Permission.WRITE_CLIENTS, refuse),
        Action(
            "GET", "echo", "Echo", Permission.READ_CLIENTS, echo,
            answer=Answer.LIST, query=Question, row=Question, mutates=False,
        ),
        Action(
            "GET", "relay", "Relay", Permission.READ_CLIENTS, relay, answer=Answer.LIST, row=Question, mutates=False
        ),
        Action("DELETE", "{status}", "By word", Permission.WRITE_CLIENTS, by_word, word="Any word."),
        Action(
            "PATCH", "", "Several", Permission.WRITE_CLIENTS, several, body=Body(NewWidget, many=True)
        ),
    ),
)  # fmt: skip


def fill(api: Api, count: int, owner: str = "rubackup") -> list[int]:
    """So many widgets: names w0.., sizes repeating, every third without an instant."""
    rows: list[Any] = [
        (f"w{n}", n % 4, n % 2 == 0, [f"t{n % 3}"], NOON + timedelta(hours=n) if n % 3 else None, owner)
        for n in range(count)
    ]
    return [
        api.fetch(
            """INSERT INTO widgets (name, size, active, tags, made_at, owner)
               VALUES ($1, $2, $3, $4, $5, $6) RETURNING id""",
            *row,
        )[0]["id"]
        for row in rows
    ]
