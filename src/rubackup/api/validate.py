"""Checks a decoded body or query against a struct and gathers every error at once.

msgspec stops at the first error and names it in its own terms; a form with three wrong
fields needs three sentences. This walks the type that `msgspec.inspect` describes, names
unknown, missing and wrong keys by their dotted path, and leaves the building to msgspec.
"""

from __future__ import annotations

import functools
import re
import uuid
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import tzinfo
from typing import Any, TypeVar

import msgspec
from msgspec import inspect as types

from rubackup.api.instants import parse_given
from rubackup.domain import names
from rubackup.domain.errors import Invalid

INT_MIN, INT_MAX = -(2**63), 2**63 - 1
MAX_ERRORS, MAX_NAME = 100, 100
"""An answer stays small, however many wrong keys of whatever length a body has."""
_TRUE = frozenset({"true", "yes", "1", "on"})
_FALSE = frozenset({"false", "no", "0", "off"})
_BAD = object()
S = TypeVar("S", bound=msgspec.Struct)


@functools.cache
def struct_type(struct: type[msgspec.Struct]) -> types.StructType:
    """What msgspec knows of a struct, looked up once."""
    found = types.type_info(struct)
    assert isinstance(found, types.StructType)
    return found


@functools.cache
def key_names(struct: type[msgspec.Struct]) -> frozenset[str]:
    """Every key that an object of the struct may hold, at whatever depth."""
    found: set[str] = set()
    for one in struct_type(struct).fields:
        found |= {one.encode_name}.union(*(key_names(inner) for inner in structs_in(one.type)))
    return frozenset(found)


def structs_in(kind: types.Type) -> Iterator[type[msgspec.Struct]]:
    """The structs that a field may hold, alone or in a list."""
    for one in members(kind):
        if isinstance(one, types.StructType):
            yield one.cls
        elif isinstance(one, types.ListType | types.VarTupleType):
            yield from structs_in(one.item_type)


def bare(kind: types.Type) -> types.Type:
    """The type without its description."""
    while isinstance(kind, types.Metadata):
        kind = kind.type
    return kind


def members(kind: types.Type) -> tuple[types.Type, ...]:
    """The types that a field may have; one unless it is a union."""
    kind = bare(kind)
    return tuple(bare(t) for t in kind.types) if isinstance(kind, types.UnionType) else (kind,)


def describe(kind: types.Type) -> str:
    """What a value of the type may be, to follow `must be`."""
    return " or ".join(dict.fromkeys(_describe_one(t) for t in members(kind)))


def _describe_one(kind: types.Type) -> str:
    match kind:
        case types.IntType():
            low, high = _bounds(kind)
            return f"an integer from {low} to {high}"
        case types.StrType():
            length = _length(kind.min_length, kind.max_length, "characters")
            return f"a string{length}{names.MEANINGS.get(kind.pattern or '', '')}"
        case types.ListType() | types.VarTupleType() | types.SetType():
            length = _length(kind.min_length, kind.max_length, "items")
            return f"a list{length}, each item being {describe(kind.item_type)}"
        case types.LiteralType():
            return "one of: " + ", ".join(str(v) for v in kind.values)
        case types.EnumType():
            return "one of: " + ", ".join(str(m.value) for m in kind.cls)
        case _:
            return _WORDS.get(type(kind), "of another type")


_WORDS: dict[type, str] = {
    types.BoolType: "true or false",
    types.FloatType: "a number",
    types.NoneType: "null",
    types.DateTimeType: "an ISO 8601 instant of the years 1970 to 8999, such as 2024-08-19T19:20:28+03:00",
    types.UUIDType: "a UUID",
    types.DictType: "an object",
    types.StructType: "an object",
    types.AnyType: "anything",
}


def _length(low: int | None, high: int | None, unit: str) -> str:
    if low and high:
        return f" of {low} to {high} {unit}"
    if high is not None:
        return f" of at most {high} {unit}"
    return f" of at least {low} {unit}" if low else ""


def _bounds(kind: types.IntType) -> tuple[int, int]:
    low = kind.ge if kind.ge is not None else kind.gt + 1 if kind.gt is not None else INT_MIN
    high = kind.le if kind.le is not None else kind.lt - 1 if kind.lt is not None else INT_MAX
    return max(low, INT_MIN), min(high, INT_MAX)


@dataclass
class _Walk:
    """One pass over a value: `errors` by dotted path; the result has aware instants in it."""

    loose: bool = False
    zone: tzinfo | None = None
    ignored: frozenset[str] = frozenset()
    errors: dict[str, str] = field(default_factory=dict)

    def note(self, path: str, sentence: str) -> None:
        """Gather an error; what is beyond the limit is left for the caller's next attempt."""
        if len(self.errors) < MAX_ERRORS:
            self.errors[path] = sentence

    def value(self, kind: types.Type, value: Any, path: str) -> Any:
        """The value as msgspec may take it; an error is noted under `path`."""
        options = members(kind)
        if len(options) > 1:
            return self._union(kind, options, value, path)
        one = options[0]
        if isinstance(one, types.StructType):
            return self._struct(one, value, path)
        if isinstance(one, types.ListType | types.VarTupleType | types.SetType):
            return self._list(one, value, path)
        if isinstance(one, types.DictType) and isinstance(value, dict):
            return {k: self.value(one.value_type, v, _join(path, str(k))) for k, v in value.items()}
        accepted = self._leaf(one, value)
        if accepted is _BAD:
            self.note(path, f"must be {describe(kind)}.")
        return accepted

    def _union(self, kind: types.Type, options: Sequence[types.Type], value: Any, path: str) -> Any:
        """The first member that fits; with one object or list among them its own errors are told."""
        if value is None and any(isinstance(o, types.NoneType) for o in options):
            return None
        trials: list[_Walk] = []
        for option in options:
            trial = _Walk(self.loose, self.zone, self.ignored)
            accepted = trial.value(option, value, path)
            if not trial.errors:
                return accepted
            trials.append(trial)
        deep = [t for t in trials if set(t.errors) != {path}]
        self.errors.update(deep[0].errors if deep else {path: f"must be {describe(kind)}."})
        return _BAD

    def _struct(self, kind: types.StructType, value: Any, path: str) -> Any:
        if not isinstance(value, dict):
            self.note(path or "body", "must be an object.")
            return _BAD
        known = {f.encode_name: f for f in kind.fields}
        for name in value:
            if name not in known and _join(path, name) not in self.ignored:
                self.note(_join(path, name), f"is unknown; known here: {', '.join(sorted(known))}.")
        result: dict[str, Any] = {}
        for name, field_ in known.items():
            if name in value:
                result[name] = self.value(field_.type, value[name], _join(path, name))
            elif field_.required:
                self.note(_join(path, name), f"is required; it must be {describe(field_.type)}.")
        return result

    def _list(self, kind: types.ListType | types.VarTupleType | types.SetType, value: Any, path: str) -> Any:
        if not isinstance(value, list):
            if not self.loose:
                self.note(path, f"must be {describe(kind)}.")
                return _BAD
            value = [value]
        if not (kind.min_length or 0) <= len(value) <= (INT_MAX if kind.max_length is None else kind.max_length):
            self.note(path, f"must be {describe(kind)}.")
            return _BAD
        return [self.value(kind.item_type, item, _join(path, str(n))) for n, item in enumerate(value)]

    def _leaf(self, kind: types.Type, value: Any) -> Any:
        check = _LEAVES.get(type(kind))
        return value if check is None else check(self, kind, value)

    def integer(self, kind: types.IntType, value: Any) -> Any:
        """Within its bounds; from text in a query."""
        if self.loose and isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,19}", value):
            value = int(value)
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        low, high = _bounds(kind)
        return value if type(value) is int and low <= value <= high else _BAD

    def number(self, _kind: types.FloatType, value: Any) -> Any:
        """A number; from text in a query."""
        if self.loose and isinstance(value, str):
            try:
                value = float(value)
            except ValueError:
                return _BAD
        return value if isinstance(value, int | float) and not isinstance(value, bool) else _BAD

    def boolean(self, _kind: types.BoolType, value: Any) -> Any:
        """True or false; in a query also yes, no, on, off, 1, 0."""
        if self.loose and isinstance(value, str):
            return parse_bool(value) if parse_bool(value) is not None else _BAD
        return value if isinstance(value, bool) else _BAD

    def text(self, kind: types.StrType, value: Any) -> Any:
        """A string of the allowed length and form."""
        if not isinstance(value, str) or (kind.pattern and not re.search(kind.pattern, value)):
            return _BAD
        return value if (kind.min_length or 0) <= len(value) <= (kind.max_length or INT_MAX) else _BAD

    def instant(self, _kind: types.DateTimeType, value: Any) -> Any:
        """An aware instant."""
        found = parse_given(value, self.zone) if isinstance(value, str) else None
        return _BAD if found is None else found

    def identifier(self, _kind: types.UUIDType, value: Any) -> Any:
        """A UUID in text."""
        try:
            return str(uuid.UUID(value)) if isinstance(value, str) else _BAD
        except ValueError:
            return _BAD

    def literal(self, kind: types.LiteralType, value: Any) -> Any:
        """One of the listed values."""
        return value if any(value == v and type(value) is type(v) for v in kind.values) else _BAD

    def member(self, kind: types.EnumType, value: Any) -> Any:
        """The value of a member."""
        return value if any(value == m.value for m in kind.cls) else _BAD


_LEAVES: dict[type, Callable[[_Walk, Any, Any], Any]] = {
    types.IntType: _Walk.integer,
    types.FloatType: _Walk.number,
    types.BoolType: _Walk.boolean,
    types.StrType: _Walk.text,
    types.DateTimeType: _Walk.instant,
    types.UUIDType: _Walk.identifier,
    types.LiteralType: _Walk.literal,
    types.EnumType: _Walk.member,
    types.NoneType: lambda _walk, _kind, value: value if value is None else _BAD,
    types.DictType: lambda _walk, _kind, value: value if isinstance(value, dict) else _BAD,
}


def _join(path: str, name: str) -> str:
    return f"{path}.{name[:MAX_NAME]}" if path else name[:MAX_NAME]


def parse_bool(text: str) -> bool | None:
    """yes, no, true, false and the like, in any case; None for anything else."""
    word = text.strip().lower()
    return True if word in _TRUE else False if word in _FALSE else None


def build(struct: type[S], value: Any, path: str, *, zone: tzinfo | None = None, ignored: Iterable[str] = ()) -> S:
    """The struct that a decoded JSON object says; Invalid with every wrong field under its dotted path."""
    walk = _Walk(zone=zone, ignored=frozenset(ignored))
    return _convert(walk, struct, value, path)


def build_query(struct: type[S], query: dict[str, list[str]], *, zone: tzinfo | None = None) -> S:
    """The struct that a query says; a parameter may be repeated only where its field is a list."""
    walk = _Walk(loose=True, zone=zone)
    fields = {f.encode_name: f for f in struct_type(struct).fields}
    value: dict[str, Any] = {}
    for name, given in query.items():
        many = name in fields and any(isinstance(t, types.ListType) for t in members(fields[name].type))
        value[name] = given if many else given[0]
        if len(given) > 1 and not many:
            walk.errors[name] = "may be given once."
    return _convert(walk, struct, value, "")


def _convert(walk: _Walk, struct: type[S], value: Any, path: str) -> S:
    prepared = walk.value(struct_type(struct), value, path)
    if walk.errors:
        raise Invalid(fields=walk.errors)
    try:
        return msgspec.convert(prepared, struct)
    except msgspec.ValidationError as error:
        text = str(error)
        where = re.search(r" - at `\$\.?([^`]*)`", text)
        name = _join(path, where[1]) if where else path or "body"
        raise Invalid(fields={name: text.split(" - at ", maxsplit=1)[0] + "."}) from error
