"""Options of a command made from what a call takes, and the body made from what was given.

Every option is text at first: an empty one is not the same as one that was left out, and `null` is a value.
"""

from __future__ import annotations

import inspect
import json
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from rubackup.cli import paths
from rubackup.cli.rb import completion
from rubackup.cli.rb.filenames import as_listed, is_text
from rubackup.cli.rb.login import password
from rubackup.sdk.connection import ESCAPED
from rubackup.sdk.operations import BodyFacts, FieldFacts

_TRUE, _FALSE = frozenset({"yes", "true", "on"}), frozenset({"no", "false", "off"})
_METAVARS = {
    "string": "TEXT",
    "integer": "NUMBER",
    "number": "NUMBER",
    "boolean": "yes|no",
    "id": "NAME|ID",
    "json": "JSON",
}


def short_names(fields: Sequence[FieldFacts]) -> dict[str, str]:
    """Fields with their options' names: the object that all of a body is about is not named, where nothing else is meant."""
    prefixes = {f["name"].partition(".")[0] for f in fields if f["required"] and "." in f["name"]}
    if not any(f["required"] for f in fields):  # what is changed is what is made
        prefixes = {f["name"].partition(".")[0] for f in fields if "." in f["name"]}
        prefixes = {name for name in prefixes if not name.endswith("_extensions")}
    main = f"{next(iter(prefixes))}." if len(prefixes) == 1 else ""
    names = [f["name"] for f in fields]
    shortened = {n: n.removeprefix(main) for n in names if main and n.removeprefix(main) not in names}
    return {name: shortened.get(name, name) for name in names}


def flag(field: FieldFacts, name: str) -> str:
    """The option of a field. A secret is given by a file."""
    return f"--{name.replace('_', '-')}{'-file' if field.get('secret') else ''}"


def flags(query: Sequence[FieldFacts], body: BodyFacts | None) -> dict[str, str]:
    """Options by the names that the API has for their fields where it tells what is wrong."""
    found = {field["name"]: flag(field, field["name"]) for field in query}
    if body is not None:
        names = short_names(body["fields"])
        before = "data." if body["wrapped"] else ""
        found |= {f"{before}{field['name']}": flag(field, names[field["name"]]) for field in body["fields"]}
    return found


def parameter(name: str) -> str:
    """The Python name of an option's value."""
    return "field_" + name.replace(".", "__").replace("-", "_")


def options(fields: Sequence[FieldFacts], names: Mapping[str, str]) -> list[inspect.Parameter]:
    """Typer's parameters for these fields."""
    return [_option(field, names[field["name"]]) for field in fields]


def _option(field: FieldFacts, name: str) -> inspect.Parameter:
    notes = [field.get("text", "")]
    if field.get("choices"):
        notes.append(f"One of: {', '.join(str(c) for c in field['choices'])}.")
    if field.get("secret"):
        notes.append("File with it, -: standard input; asked for when it is needed and left out.")
    if field.get("nullable") and "null:" not in field.get("text", ""):
        notes.append("null: none.")
    if (default := field.get("default")) is not None:
        shown = ("no", "yes")[default] if isinstance(default, bool) else default
        notes.append(f"Unless given: {shown}.")
    if field.get("many"):
        notes.append("May repeat.")
    if field["required"]:
        notes.append("Required.")
    told = typer.Option(
        flag(field, name), metavar="FILE" if field.get("secret") else _METAVARS[field["type"]],
        help=" ".join(note for note in notes if note), show_default=False,
        autocompletion=None if field.get("secret") else completion.field(field),
        parser=paths.path_text if field.get("secret") else None,
    )  # fmt: skip
    kind: Any = list[str] | None if field.get("many") else str | None
    return inspect.Parameter(
        parameter(field["name"]), inspect.Parameter.KEYWORD_ONLY, default=None, annotation=Annotated[kind, told]
    )


def value(field: FieldFacts, name: str, text: str) -> Any:
    """The value that a text means for a field; a wrong usage names the option and says what is allowed."""
    if not is_text(text):
        raise typer.BadParameter(f"{as_listed(text)} is not UTF-8. {ESCAPED}", param_hint=flag(field, name))
    if text == "null" and field.get("nullable"):
        return None
    kind = field["type"]
    try:
        if kind == "integer" or (kind == "id" and text.isascii() and text.isdigit()):
            return int(text)
        if kind == "number":
            return float(text)
        if kind == "json":
            return json.loads(text)
    except ValueError:
        allowed = {"integer": "an integer", "number": "a number", "json": "JSON"}[kind]
        raise typer.BadParameter(f"{text} is not {allowed}.", param_hint=flag(field, name)) from None
    if kind == "boolean":
        if text.lower() not in _TRUE | _FALSE:
            raise typer.BadParameter(f"{text} is not yes or no.", param_hint=flag(field, name))
        return text.lower() in _TRUE
    return text


def given(fields: Sequence[FieldFacts], names: Mapping[str, str], values: Mapping[str, Any]) -> dict[str, Any]:
    """Fields that were given, by their dotted names."""
    found: dict[str, Any] = {}
    for field in fields:
        text = values.get(parameter(field["name"]))
        if text is None or text == []:
            continue
        name = names[field["name"]]
        if field.get("secret"):
            found[field["name"]] = password(text, name)
        elif field.get("many"):
            found[field["name"]] = [value(field, name, one) for one in text]
        else:
            found[field["name"]] = value(field, name, text)
    return found


def body(facts: BodyFacts, values: Mapping[str, Any], data: str | None) -> Any:
    """What is sent: a file's JSON (`-`: standard input), with what the options say put in."""
    names = short_names(facts["fields"])
    fields = given(facts["fields"], names, values)
    tree: Any = read_json(data) if data else ([{}] if facts["rows"] and fields else {})
    if facts["wrapped"] and isinstance(tree, dict) and set(tree) == {"data"}:
        tree = tree["data"]
    if facts["rows"] and isinstance(tree, dict):
        tree = [tree]
    for row in tree if facts["rows"] else [tree]:
        for name, one in fields.items():
            _put(row, name.split("."), one)
        _ask_secrets(facts, names, row, asked=bool(fields or data))
    return {"data": tree} if facts["wrapped"] else tree


def _ask_secrets(facts: BodyFacts, names: Mapping[str, str], row: dict[str, Any], *, asked: bool) -> None:
    for field in facts["fields"]:
        if (
            field.get("secret")
            and field["required"]
            and field["name"] not in row
            and (asked or len(facts["fields"]) == 1)
        ):
            row[field["name"]] = password("", names[field["name"]].replace("_", " ").capitalize(), new=True)


def _put(tree: dict[str, Any], path: list[str], value: Any) -> None:
    for name in path[:-1]:
        tree = tree.setdefault(name, {})
    tree[path[-1]] = value


def read_json(file: str) -> Any:
    """The JSON of a file or of standard input."""
    try:
        return json.loads(sys.stdin.read() if file == "-" else Path(file).read_text(encoding="utf-8"))
    except OSError as error:
        raise typer.BadParameter(f"{file}: {error.strerror}.", param_hint="--data") from error
    except ValueError as error:
        raise typer.BadParameter(f"{file} is no JSON: {error}.", param_hint="--data") from error
