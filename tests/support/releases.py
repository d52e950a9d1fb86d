"""Releases that come after this code: chains of migrations with more revisions, and what their code does with the rows.

Each of them works with every state of the schema that it may find; the code before it does not once a post file has run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rubackup.catalog.indexes import declared
from rubackup.catalog.versions import OWN, Code

FIRST = OWN.newest() + 1
TABLE = "client_groups"
STEPS: Mapping[int, tuple[str, str]] = {
    FIRST: (
        f"ALTER TABLE {TABLE} ADD COLUMN title text;",
        f"UPDATE {TABLE} SET title = name WHERE title IS NULL; ALTER TABLE {TABLE} ALTER COLUMN title SET NOT NULL;",
    ),
    FIRST + 1: (
        f"ALTER TABLE {TABLE} ADD COLUMN weight integer NOT NULL DEFAULT 0;",
        f"ALTER TABLE {TABLE} ALTER COLUMN weight DROP DEFAULT;",
    ),
    FIRST + 2: (
        f"""CREATE TABLE group_notes (group_id bigint PRIMARY KEY REFERENCES {TABLE} ON DELETE CASCADE, note text NOT NULL);
        ALTER TABLE {TABLE} ADD COLUMN notes integer NOT NULL DEFAULT 0;""",
        f"ALTER TABLE {TABLE} ALTER COLUMN notes DROP DEFAULT;",
    ),
}
"""The pre and post file of each new revision."""
_MODULE = '''"""A revision for a trial."""

from rubackup.catalog.migrations.run import run

revision = "{number:04}_{half}"
down_revision = "{before:04}_{half}"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
'''


def chain(
    target: Path,
    steps: Mapping[int, tuple[str, str]],
    product: str,
    beside: int = OWN.beside,
    indexes: Mapping[str, str] | None = None,
) -> Code:
    """This code's migrations and those of `steps` in a folder of their own; `indexes` by revision."""
    (target / "versions").mkdir(parents=True)
    for path in OWN.folder.rglob("*"):
        if path.suffix in {".sql", ".py"}:
            (target / path.relative_to(OWN.folder)).symlink_to(path)
    for number, files in steps.items():
        for half, sql in zip(("pre", "post"), files, strict=True):
            (target / f"{number:04}_{half}.sql").write_text(sql, encoding="utf-8")
            module = _MODULE.format(number=number, half=half, before=number - 1)
            (target / f"versions/r{number:04}_{half}.py").write_text(module, encoding="utf-8")
    for revision, sql in (indexes or {}).items():
        (target / f"{revision}.indexes.sql").write_text(sql, encoding="utf-8")
    return Code(target, product, beside)


def whole(code: Code, revision: str) -> str:
    """A file with the indexes that are built before it, as statements of one transaction."""
    built = "".join(f"{one.plain};\n" for one in declared(code, revision))
    return built + (code.folder / f"{revision}.sql").read_text(encoding="utf-8")


@dataclass(frozen=True)
class Release:
    """A version of the product, as far as the catalogue is concerned."""

    code: Code
    _INSERT = (
        "INSERT INTO client_groups (name) VALUES ($1) RETURNING id",
        "INSERT INTO client_groups (name, title, weight) VALUES ($1, $1, 1) RETURNING id",
        "INSERT INTO client_groups (name, title, weight, notes) VALUES ($1, $1, 1, 1) RETURNING id",
    )

    @property
    def age(self) -> int:
        """0: this code; 1: two revisions later; 2: three."""
        return (0, 0, 1, 2)[self.code.newest() - FIRST + 1]

    async def work(self, db: Any, name: str) -> None:
        """Add a row and find it, as this release does."""
        async with db.transaction():
            number = await db.fetchval(self._INSERT[self.age], name)
            if self.age == 2:
                await db.execute("INSERT INTO group_notes (group_id, note) VALUES ($1, $2)", number, name)
        title = "name" if self.age == 0 else "coalesce(title, name)"
        assert await db.fetchval(f"SELECT {title} FROM client_groups WHERE id = $1", number) == name


def three(folder: Path) -> tuple[Release, Release, Release]:
    """This code, a release with two new revisions, and one after it with a third."""
    two = {number: files for number, files in STEPS.items() if number < FIRST + 2}
    return (
        Release(OWN),
        Release(chain(folder / "b", two, "3.0.0-1")),
        Release(chain(folder / "c", STEPS, "4.0.0-1")),
    )
