"""Rows by their names: what an administrator types instead of an id."""

from __future__ import annotations

from rubackup.cli.rb.filenames import as_listed, is_text
from rubackup.cli.rb.status import NotFound, naming
from rubackup.cli.rb.tools import Tool, keys_of
from rubackup.sdk import Client, Misused, condition

ENOUGH = 10


def find(api: Client, tool: Tool, name: str) -> int:
    """The id of the row of this id or name; NotFound, or Misused when several have the name."""
    if name.isascii() and name.isdigit():
        return int(name)
    if not is_text(name):
        raise Misused(f"{as_listed(name)} is not UTF-8, as every name in {tool.family} is.")
    keys = keys_of(tool)
    for key in keys:
        query = {"filter_data": condition(key, "=", name), "limit": ENOUGH}
        with naming({"filter_data": "ROW"}):
            rows = api.call("GET", f"/{tool.family}", query=query).data["items"]
        if len(rows) == 1:
            return int(rows[0]["id"])
        if rows:
            ids = ", ".join(str(row["id"]) for row in rows)
            raise Misused(f"Several of {tool.family} have {key} {name}: name one of them by its id ({ids}).")
    known = f"has the {' or '.join(keys)} {name}" if keys else f"can be named by {name}: give its id"
    raise NotFound(f"Nothing in {tool.family} {known}.")


def client_name(api: Client, tool: Tool, name: str) -> str | int:
    """A client as the API takes it: its id or `hostname (hwid)`, found by either part, too."""
    return name if name.endswith(")") else find(api, tool, name)
