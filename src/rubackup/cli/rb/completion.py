"""What a shell completes: words of the description, and names of rows that the API has now."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from rubackup.cli.rb.access import connect
from rubackup.cli.rb.tools import TOOLS, Tool, keys_of, tool_of
from rubackup.sdk import SdkError, condition
from rubackup.sdk.operations import FieldFacts

Completer = Callable[[str], list[str]]
_LOOKUP = re.compile(r"\b[Aa] name of (\w+)")
_TOOLS = {
    "pool": "pools", "client": "clients", "client group": "client_group", "user group": "user_groups", "user": "users",
    "media server": "media_servers", "strategy": "strategies",
}  # fmt: skip
_KIND = re.compile(rf"(?:The )?({'|'.join(sorted(_TOOLS, key=len, reverse=True))})\b", re.IGNORECASE)
"""How the description of a field that takes a name or an id begins."""
SOME = 50
"""How many names are offered."""
SECONDS = 3.0
"""How long the API may take; who types waits for it."""


def of(words: Sequence[str]) -> Completer:
    """Words of a list; of several joined by commas the last one is completed."""

    def complete(incomplete: str) -> list[str]:
        done, comma, last = incomplete.rpartition(",")
        return [f"{done}{comma}{word}" for word in words if word.startswith(last)]

    return complete


def field(facts: FieldFacts) -> Completer | None:
    """What can be given for a field, where that is known: its choices, or the names that the API has now."""
    choices = [str(c) for c in facts.get("choices", ())] + (["yes", "no"] if facts["type"] == "boolean" else [])
    if choices:
        return of(choices)
    text = facts.get("text", "")
    if (named := _LOOKUP.search(text)) and (tool := tool_of(named[1])):
        return names(tool)
    if facts["type"] == "id" and (said := _KIND.match(text)):
        name = _TOOLS[said[1].lower()]
        return names(TOOLS[name], "client" if name == "clients" else "")
    return None


def names(tool: Tool, column: str = "") -> Completer:
    """Names of a family's rows, or ids where nothing names them. Nothing at all when the API is not to be had."""

    def complete(incomplete: str) -> list[str]:
        key = column or next(iter(keys_of(tool)), "id")
        query = {"limit": SOME, "sort_by": key}
        if incomplete and key != "id":
            query["filter_data"] = condition(key, "~", incomplete)
        try:
            with connect(timeout_seconds=SECONDS, patience_seconds=0) as api:
                rows = api.call("GET", f"/{tool.family}", query=query).data["items"]
        except SdkError:  # a shell that completes has nowhere to tell it
            return []
        return [text for row in rows if (text := str(row[key])).startswith(incomplete)]

    return complete
