"""LEFT JOINs that a statement does not ask for are left out."""

from __future__ import annotations

import pytest

from rubackup.api._joins import pruned
from rubackup.api.columns import columns_of
from rubackup.resources import RESOURCES

TABLE = "a x LEFT JOIN b y ON y.id = x.b_id LEFT JOIN c z ON z.id = y.c_id LEFT JOIN (SELECT p.id FROM d p) w ON w.id = x.id"


@pytest.mark.parametrize(
    ("expressions", "wanted"),
    [
        (["x.id"], "a x"),
        (["x.id", "y.name"], "a x LEFT JOIN b y ON y.id = x.b_id"),
        (["z.name = $1"], "a x LEFT JOIN b y ON y.id = x.b_id LEFT JOIN c z ON z.id = y.c_id"),
        (["lower(w.id)"], "a x LEFT JOIN (SELECT p.id FROM d p) w ON w.id = x.id"),
    ],
)
def test_only_asked_joins_stay(expressions: list[str], wanted: str) -> None:
    """A join stays for what asks it, and for the joins that stand on it."""
    assert pruned(TABLE, expressions) == wanted


def test_what_is_no_simple_left_join_stays() -> None:
    """Inner joins can take rows away; nothing is guessed."""
    inner = "a x JOIN b y ON y.id = x.b_id"
    mixed = "a x LEFT JOIN b y ON y.id = x.b_id JOIN c z ON z.id = y.c_id"

    assert pruned(inner, ["x.id"]) == inner
    assert pruned(mixed, ["x.id"]) == mixed


def test_every_declared_alias_is_found_again() -> None:
    """For each column of each list, the tables that its expression names are in the clause."""
    for resource in RESOURCES:
        if resource.source is None or resource.row is None:
            continue
        for column in columns_of(resource.row, resource.source).values():
            whole = pruned(resource.source.table, [" ".join(resource.source.columns.values()), resource.source.key])
            part = pruned(resource.source.table, [column.sql, resource.source.key])
            assert len(part) <= len(whole), (resource.path, column.name)
