"""SQL for reading rows of a resource, built from its declaration; values are parameters, always."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import msgspec

from rubackup.api._joins import pruned
from rubackup.api.columns import Kind, columns_of, shown
from rubackup.api.estimates import Estimates
from rubackup.api.lists import EXACT_COUNT, ListQuery, list_answer, next_cursor
from rubackup.api.resource import EVERYTHING, Clause, Resource, Source
from rubackup.catalog.database import Connection


@dataclass
class Parameters:
    """The parameters of one statement."""

    values: list[Any] = field(default_factory=list)

    def bind(self, value: Any) -> str:
        """Add a value; its placeholder."""
        self.values.append(value)
        return f"${len(self.values)}"

    def clause(self, clause: Clause) -> str:
        """A clause with its `{}` replaced by placeholders."""
        parts = clause.sql.split("{}")
        if len(parts) != len(clause.values) + 1:
            raise ValueError(f"{clause.sql!r} has {len(parts) - 1} places for {len(clause.values)} values")
        filled = "".join(part + self.bind(v) for part, v in zip(parts, clause.values, strict=False))
        return filled + parts[-1]


@dataclass(frozen=True)
class Rows:
    """Reads the rows of one resource."""

    source: Source
    row: type[msgspec.Struct]

    @classmethod
    def of(cls, resource: Resource) -> Rows:
        """The reader of a resource that has a source."""
        assert resource.source is not None
        assert resource.row is not None
        return cls(resource.source, resource.row)

    @property
    def _fields(self) -> str:
        return ", ".join(f'{sql} AS "{name}"' for name, sql in self.source.columns.items())

    def _make(self, record: Any) -> msgspec.Struct:
        values = {name: record[name] for name in self.source.columns}
        for name in self._mixed:
            values[name] = shown(values[name])
        return self.row(**values)

    @functools.cached_property
    def _mixed(self) -> tuple[str, ...]:
        columns = columns_of(self.row, self.source).values()
        return tuple(column.name for column in columns if column.kind is Kind.MIXED)

    async def page(
        self, db: Connection, query: ListQuery, scope: Clause, estimates: Estimates | None = None
    ) -> dict[str, Any]:
        """One page in a total order, with the number of all matches: exact to 10,000, an estimate beyond.

        The page's ids come first, from as few tables as conditions and order need; only its rows are then
        joined and computed.
        """
        parameters = Parameters()
        where = [parameters.clause(scope), *(c.sql(parameters.bind) for c in query.conditions)]
        if query.after is not None:
            where.append(self._after(query, parameters))
        way = "DESC" if query.descending else "ASC"
        order = f"ORDER BY {query.sort.sql} {way}, {self.source.key} {way}"
        skipped = f" OFFSET {parameters.bind(query.offset)}::bigint" if query.offset else ""
        conditions = " AND ".join(f"({w})" for w in where)
        table = pruned(self.source.table, (conditions, order))
        ids = f"SELECT {self.source.key} FROM {table} WHERE {conditions} {order} LIMIT {query.limit + 1}{skipped}"  # noqa: S608 - declared
        records = await db.fetch(
            f"SELECT {self._fields}, {self.source.key} AS _key FROM {self.source.table}"  # noqa: S608 - declared
            f" WHERE {self.source.key} = ANY(ARRAY({ids})) AND ({parameters.clause(scope)}) {order}",
            *parameters.values,
        )
        shown = records[: query.limit]
        more = len(records) > query.limit
        total, estimate = await self._total(db, query, scope, len(shown), more=more, estimates=estimates or Estimates())
        cursor = next_cursor(query, shown[-1][query.sort.name], shown[-1]["_key"]) if more else None
        items = [self._make(record) for record in shown]
        return list_answer(items, total, estimate=estimate, page=query.page, limit=query.limit, cursor=cursor)

    async def _total(
        self, db: Connection, query: ListQuery, scope: Clause, shown: int, *, more: bool, estimates: Estimates
    ) -> tuple[int, bool]:
        """How many rows match; the last page of a numbered walk tells by itself."""
        ends_here = not more and query.after is None and (shown or not query.offset)
        return (query.offset + shown, False) if ends_here else await self._count(db, query, scope, estimates)

    def _after(self, query: ListQuery, parameters: Parameters) -> str:
        """Rows after the cursor. PostgreSQL puts nulls last when rising and first when falling."""
        assert query.after is not None
        sort, key = query.sort, self.source.key
        row_id = parameters.bind(query.after.id) + "::bigint"
        sign = "<" if query.descending else ">"
        if query.after.value is None:
            here = f"({sort.sql} IS NULL AND {key} {sign} {row_id})"
            return f"{here} OR {sort.sql} IS NOT NULL" if query.descending else here
        value = f"{parameters.bind(query.after.value)}::{sort.kind.value}"
        beyond = f"({sort.sql}, {key}) {sign} ({value}, {row_id})"
        return f"{beyond} OR {sort.sql} IS NULL" if sort.nullable and not query.descending else beyond

    async def _count(self, db: Connection, query: ListQuery, scope: Clause, estimates: Estimates) -> tuple[int, bool]:
        parameters = Parameters()
        where = " AND ".join(
            f"({w})" for w in (parameters.clause(scope), *(c.sql(parameters.bind) for c in query.conditions))
        )
        counted = f"SELECT 1 FROM {pruned(self.source.table, (where,))} WHERE {where}"  # noqa: S608 - declared
        question = counted, repr(parameters.values)
        if (known := estimates.get(question)) is not None:
            return known, True
        total = await db.fetchval(
            f"SELECT count(*) FROM ({counted} LIMIT {EXACT_COUNT + 1}) AS counted",  # noqa: S608 - declared
            *parameters.values,
        )
        if total <= EXACT_COUNT:
            return int(total), False
        plan = msgspec.json.decode(await db.fetchval(f"EXPLAIN (FORMAT JSON) {counted}", *parameters.values))
        estimate = max(int(plan[0]["Plan"]["Plan Rows"]), EXACT_COUNT + 1)
        estimates.put(question, estimate)
        return estimate, True

    async def fetch(
        self, db: Connection, ids: Sequence[int], scope: Clause = EVERYTHING, lock: str = ""
    ) -> dict[int, msgspec.Struct]:
        """The rows of these ids within the scope, by id; `lock` (UPDATE, NO KEY UPDATE) holds them to the end."""
        parameters = Parameters()
        wanted = parameters.bind(list(ids))
        where = f"{self.source.key} = ANY({wanted}::bigint[]) AND ({parameters.clause(scope)})"
        if lock and self.locked_alias:
            await db.execute(
                f"SELECT 1 FROM {self.source.table} WHERE {where}"  # noqa: S608 - declared
                f" ORDER BY {self._lock_order} FOR {lock} OF {self.locked_alias}",
                *parameters.values,
            )
        records = await db.fetch(
            f"SELECT {self._fields}, {self.source.key} AS _key FROM {self.source.table}"  # noqa: S608 - declared
            f" WHERE {where} ORDER BY {self.source.key}",
            *parameters.values,
        )
        return {record["_key"]: self._make(record) for record in records}

    @property
    def _lock_order(self) -> str:
        """By the id of what is locked, whoever locks it: in one order nobody waits in a circle."""
        return f"{self.source.lock}.id" if self.source.lock else self.source.key

    @property
    def locked_alias(self) -> str:
        """The alias of the table that a change locks, or '' for none."""
        if self.source.lock:
            return "" if self.source.lock == "-" else self.source.lock
        alias, dot, _ = self.source.key.partition(".")
        return alias if dot else self.source.table.split()[0]


def sort_default(resource: Resource) -> tuple[str, bool]:
    """The column that a list is sorted by unless told, and whether it falls."""
    assert resource.row is not None
    if resource.source is not None:
        return resource.source.order, resource.source.descending
    return next(iter(columns_of(resource.row, None))), False
