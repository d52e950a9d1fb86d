"""What a shell completes: words of the description, and names of rows that the API has now."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence

from rubackup.cli.rb.access import connect
from rubackup.cli.rb.tools import Tool, keys_of
from rubackup.sdk import SdkError, condition

Completer = Callable[[str], list[str]]
SOME = 50
_PLAIN = re.compile(r"[\w./:@%+,-]+")
"""What a shell takes without quotes: others it would take for something else."""


def of(words: Sequence[str]) -> Completer:
    """Words of a list; of several joined by commas the last one is completed."""

    def complete(incomplete: str) -> list[str]:
        done, comma, last = incomplete.rpartition(",")
        return [f"{done}{comma}{word}" for word in words if word.startswith(last)]

    return complete


def names(tool: Tool) -> Completer:
    """Names of a family's rows, or ids where nothing names them. Nothing at all when the API is not to be had."""

    def complete(incomplete: str) -> list[str]:
        key = next(iter(keys_of(tool)), "id")
        query = {"limit": SOME, "sort_by": key}
        if incomplete and key != "id":
            query["filter_data"] = condition(key, "~", incomplete)
        try:
            with connect(timeout_seconds=3.0) as api:
                rows = api.call("GET", f"/{tool.family}", query=query).data["items"]
        except SdkError:  # a shell that completes has nowhere to tell it
            return []
        found = [str(row[key]) for row in rows]
        return [text for text in found if text.startswith(incomplete) and _PLAIN.fullmatch(text)]

    return complete
