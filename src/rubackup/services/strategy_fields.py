"""The keys of a strategy: one table gives the bodies, the row that is read, and the columns of the catalogue.

A strategy has three legs, one for each backup type; their keys differ by the prefix alone, and so they are made here.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Annotated, Any

import msgspec
from msgspec import NODEFAULT, UNSET, Meta, UnsetType

from rubackup.domain.names import NAME
from rubackup.services import cron, policy_fields
from rubackup.services.fields import Ref

NOBODY = "Nobody"
_described: Any = Annotated
"""Types that are put together at run time; a checker takes Annotated for an alias."""
LEGS = {"full": "full", "inc": "incremental", "diff": "differential"}
"""Prefix of each leg's keys, with the backup type whose copies it makes."""


class Form(Enum):
    """What a key holds, and so how it is checked and stored."""

    PLAIN = "plain"
    """The column has the key's name and value."""
    STATUS = "status"
    CRYPTO = "crypto"
    POOL = "pool"
    GROUP = "group"
    INTERVAL = "interval"
    CRON = "cron"
    CC = "cc"


@dataclass(frozen=True)
class Key:
    """A key of a strategy. `default` NODEFAULT: a new strategy must say it."""

    name: str
    form: Form
    type: Any
    meta: Meta
    default: Any = NODEFAULT

    @property
    def annotated(self) -> Any:
        """The type with its description, as a field of a body has it."""
        found: Any = _described[self.type, self.meta]
        return found | None if self.form is Form.INTERVAL else found

    @property
    def column(self) -> str:
        """The column of the catalogue that holds it."""
        match self.form:
            case Form.POOL:
                return self.name if self.name.endswith("_id") else f"{self.name}_id"
            case Form.GROUP:
                return f"{self.name}_group_id"
        return self.name


def _plain(name: str, kind: Any, default: Any, text: str, **limits: Any) -> Key:
    return Key(name, Form.PLAIN, kind, Meta(description=text, **limits), default)


def _interval(name: str, text: str) -> Key:
    return Key(name, Form.INTERVAL, str, Meta(description=f"{text}; empty or null: none.", max_length=100), "")


def _told(name: str, what: str) -> Iterator[Key]:
    yield Key(name, Form.GROUP, Ref, policy_fields.notify(what), NOBODY)
    yield Key(f"{name}_cc", Form.CC, str, policy_fields.copied(what), "")


def _leg(leg: str, backup_type: str) -> Iterator[Key]:
    yield _plain(f"{leg}_archive_enabled", bool, False, f"Whether the strategy makes {backup_type} copies.")
    yield _interval(
        f"{leg}_periodic_launch", f"How often {backup_type} copies are made, such as '1 day'; wins over the cron fields"
    )
    yield _interval(f"{leg}_storage_duration", f"How long {backup_type} copies are kept, such as '1 Years'")
    for field in cron.FIELDS:
        meta = Meta(description=f"{cron.meta(field).description} When {backup_type} copies are made.")
        yield Key(f"{leg}_{field}", Form.CRON, cron.Field, meta, None)
    yield _plain(
        f"{leg}_move_copy_flag", bool, False, f"Whether {backup_type} copies move to another pool after a while."
    )
    yield _interval(f"{leg}_move_copy_while", f"How long after their making {backup_type} copies move")
    pool = Meta(description=f"Pool that {backup_type} copies move to: name or id; null: none.")
    yield Key(f"{leg}_move_copy_pool", Form.POOL, Ref | None, pool, None)


def _second(leg: str, backup_type: str) -> Iterator[Key]:
    """Keys of ours: a second copy in another pool."""
    flag = f"{leg}_second_copy_flag"
    yield _plain(
        flag, bool, False, f"Whether a second copy of each {backup_type} copy is kept in {leg}_second_copy_pool."
    )
    yield _interval(
        f"{leg}_second_copy_while", f"Age at which the second copy of {backup_type} copies is made; none: at once"
    )
    pool = Meta(description=f"Pool of second copies of {backup_type} copies: name or id; null: none.")
    yield Key(f"{leg}_second_copy_pool", Form.POOL, Ref | None, pool, None)
    yield _interval(
        f"{leg}_second_copy_duration",
        f"How long second copies of {backup_type} copies are kept, such as '1 Years', counted from the backup",
    )


def _keys() -> Iterator[Key]:
    yield _plain("name", str, NODEFAULT, "Name of the strategy; unique.", min_length=1, max_length=128, pattern=NAME)
    yield Key("status", Form.STATUS, str, policy_fields.STATUS, "wait")
    yield Key("pool_id", Form.POOL, Ref, Meta(description="Pool that stores the copies: name or id."))
    yield Key("crypto", Form.CRYPTO, str, Meta(description="A name of crypto."), "nocrypt")
    yield _plain(
        "storage_capacity", int, 0, "Storage that the strategy's copies may take, in gigabytes; 0: no limit.",
        ge=0, le=2**40,
    )  # fmt: skip
    yield _plain("description", str, "", "Free text.", max_length=4096)
    yield _plain(
        "validity_start_period", dt.datetime | None, None, "When the strategy begins to act; null: when it was made."
    )
    yield _plain("validity_end_period", dt.datetime | None, None, "When the strategy ends to act; null: never.")
    yield _plain("verify_flag", bool, False, "Whether copies are verified again and again.")
    yield _interval("verify_interval", "Interval between verifications of a copy, such as '1 day'")
    yield _plain(
        "auto_delete_obsoleted_copy_flag", bool, False, "Whether copies whose time is over are deleted by themselves."
    )
    yield Key(
        "inform_when_obsoleted_copy", Form.GROUP, Ref, policy_fields.notify("when the time of a copy is over"), NOBODY
    )
    yield _plain("client_delete_flag", bool, False, "Whether clients may delete the strategy's copies of theirs.")
    for leg, backup_type in LEGS.items():
        yield from _leg(leg, backup_type)
    yield from _told("notify_normal", "when a task of the strategy ended well")
    yield from _told("notify_exception", "when a task of the strategy failed")
    yield from _told("notify_verify", "when a verification of the strategy's copies ended")
    yield from _told("notify_strategy_validity", "before the strategy ends")
    yield from _told("notify_end_storage_capacity", "when the storage of the strategy is used up")
    for name in policy_fields.KEEPS:
        yield Key(name, Form.PLAIN, int, policy_fields.keep(name), 0)
    for leg, backup_type in LEGS.items():
        yield from _second(leg, backup_type)


KEYS = {key.name: key for key in _keys()}
"""Every key of the bodies: those of the guide in its order, then ours."""

SCHEDULE = frozenset(
    {"validity_start_period", "validity_end_period"}
    | {f"{leg}_{part}" for leg in LEGS for part in ("archive_enabled", "periodic_launch", *cron.FIELDS)}
)
"""Columns that say when copies are made; changing one begins the schedule anew."""

NewStrategy = msgspec.defstruct(
    "NewStrategy",
    [
        (key.name, key.annotated) if key.default is NODEFAULT else (key.name, key.annotated, key.default)
        for key in KEYS.values()
    ],
    kw_only=True,
    namespace={"__doc__": "A strategy to be made."},
    module=__name__,
)
StrategyChange = msgspec.defstruct(
    "StrategyChange",
    [(key.name, key.annotated | UnsetType, UNSET) for key in KEYS.values()],
    kw_only=True,
    namespace={"__doc__": "What to change of a strategy."},
    module=__name__,
)


def _row() -> Iterator[tuple[str, Any]]:
    yield "id", Annotated[int, Meta(description="Id of the strategy.")]
    for key in KEYS.values():
        kind = {Form.INTERVAL: str, Form.POOL: str, Form.GROUP: str}.get(key.form, key.type)
        optional = key.form is Form.POOL and key.default is None
        text = Meta(description=(key.meta.description or "").replace(": name or id", ""))
        yield key.name, Annotated[kind | None if optional else kind, text]
        if key.form in {Form.POOL, Form.GROUP}:
            what = "pool" if key.form is Form.POOL else "user group"
            yield f"{key.name}_ref", Annotated[int | None if optional else int, Meta(description=f"Id of that {what}.")]
    yield "created_at", Annotated[dt.datetime, Meta(description="When the strategy was made.")]


StrategyRow = msgspec.defstruct(
    "StrategyRow", list(_row()), kw_only=True, namespace={"__doc__": "A strategy."}, module=__name__
)


def row_columns(alias: str) -> dict[str, str]:
    """The SQL of each field of the row over the table with this alias."""
    columns = {"id": f"{alias}.id"}
    for key in KEYS.values():
        column = f"{alias}.{key.column}"
        match key.form:
            case Form.POOL:
                columns[key.name] = f"(SELECT x.pool_name FROM pools x WHERE x.id = {column})"  # noqa: S608 - a column of the code
            case Form.GROUP:
                columns[key.name] = f"(SELECT x.name FROM user_groups x WHERE x.id = {column})"  # noqa: S608 - a column of the code
            case _:
                columns[key.name] = column
        if key.form in {Form.POOL, Form.GROUP}:
            columns[f"{key.name}_ref"] = column
    return columns | {"created_at": f"{alias}.created_at"}
