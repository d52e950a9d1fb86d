"""`rb repository delete`: copies, and those that go with them, which are told before and after."""

from __future__ import annotations

from collections.abc import Sequence
from http import HTTPStatus
from typing import Annotated

import typer

from rubackup.cli import output
from rubackup.cli.rb import completion
from rubackup.cli.rb.access import connect
from rubackup.cli.rb.generic import IfMatch, Json, Yes, confirm
from rubackup.cli.rb.names import find
from rubackup.cli.rb.tools import TOOLS
from rubackup.sdk import Client, Refused, SdkError
from rubackup.sdk.api.repository import RecordRow

REPOSITORY = TOOLS["repository"]
AT_ONCE = 1000
"""How many copies the API takes in a question."""
SOME = 20
"""How many copies are named."""


def delete(
    which: Annotated[list[str], typer.Argument(
        metavar="COPY", help="Ids or uuids; all or none.", autocompletion=completion.names(REPOSITORY))],
    yes: Yes = False,
    if_match: IfMatch = "",
    json: Json = False,
) -> None:  # fmt: skip
    """Delete copies. Those that build on them go with them while repository_remove_chain is yes (as it is unless changed),
    archives excepted; it is told which.
    """
    if len(which) > 1 and if_match:
        raise typer.BadParameter("name one copy only.", param_hint="--if-match")
    with connect() as api:
        ids = list(dict.fromkeys(find(api, REPOSITORY, name) for name in which))
        building = _building_on(api, ids)
        if not yes:
            confirm(f"Delete {_named(ids)}?{_warning(api, building)}", yes=False)
        if len(ids) == 1:
            answer = api.repository.delete(ids[0], if_match=if_match or None)
        else:
            answer = api.repository.delete_many({"ids": ids})
        gone = _gone(api, building)
    if json:
        told = {"message": answer.message, "id": None, "tasks": [], "deleted": [*ids, *(gone or ())], "with_them": gone}
        output.as_json(told)
        return
    print(output.plain(answer.message))
    if gone:
        them = "it" if len(ids) == 1 else "them"
        print(f"With {them} went what builds on {them}: {_named(gone)}.")


def _gone(api: Client, building: Sequence[int]) -> list[int] | None:
    """Those that are not there any more; None when that cannot be found out, which says nothing of the deletion itself."""
    try:
        return [one for one in building if _row(api, one) is None]
    except SdkError as error:
        typer.echo(
            f"What was named is deleted; whether what builds on it is, too, is not known: {output.plain(error.message)}",
            err=True,
        )
        return None


def _building_on(api: Client, ids: Sequence[int]) -> list[int]:
    """Copies that would go with these: all that build on them but archives."""
    chain: set[int] = set()
    for start in range(0, len(ids), AT_ONCE):
        asked = list(ids[start : start + AT_ONCE])
        chain |= {row["id"] for row in api.repository.deletion_reference_chain({"ids": asked}).data["items"]}
    found = sorted(chain - set(ids))
    return [one for one in found if (row := _row(api, one)) is not None and not row["archiving"]]


def _warning(api: Client, building: Sequence[int]) -> str:
    """What a question adds about copies that build on those."""
    if not building:
        return ""
    try:
        removes = api.global_configuration.read().data["repository_remove_chain"] == "yes"
    except Refused as refused:
        if refused.status != HTTPStatus.FORBIDDEN:
            raise
        return f" What builds on it may go, too (repository_remove_chain): {_named(building)}."
    if removes:
        return f" What builds on it goes, too (repository_remove_chain): {_named(building)}."
    return f" What builds on it stays, and restores by itself: {_named(building)}."


def _named(ids: Sequence[int]) -> str:
    more = f" and {len(ids) - SOME} more" if len(ids) > SOME else ""
    count = "copy" if len(ids) == 1 else f"{len(ids)} copies:"
    return f"{count} {', '.join(map(str, ids[:SOME]))}{more}"


def _row(api: Client, copy: int) -> RecordRow | None:
    """A copy; None when there is none."""
    try:
        return api.repository.read(copy).data
    except Refused as refused:
        if refused.status != HTTPStatus.NOT_FOUND:
            raise
        return None
