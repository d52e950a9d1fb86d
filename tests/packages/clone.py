"""A later version of the product: a clone of the commit with two more migrations, made for a trial and thrown away."""

from __future__ import annotations

import subprocess
from pathlib import Path

NAME = "upgrade_trial"
PRE = f"ALTER TABLE servers ADD COLUMN {NAME} text;\n"
POST = f"UPDATE servers SET {NAME} = '' WHERE {NAME} IS NULL;\nALTER TABLE servers ALTER COLUMN {NAME} SET NOT NULL;\n"
MORE = (
    f"CREATE TABLE {NAME}_more (hwid text PRIMARY KEY);\nALTER TABLE servers ADD COLUMN {NAME}_more integer NOT NULL DEFAULT 0;\n",
    f"ALTER TABLE servers DROP COLUMN {NAME}_more;\n",
)
_MODULE = '''"""More columns."""

from rubackup.catalog.migrations.run import run

revision = "{revision}"
down_revision = "{before}"


def upgrade() -> None:
    """Run the SQL file of this revision."""
    run(revision)
'''
_INSERT = "INSERT INTO servers (hwid, hostname, package_version, issuing_key_hash) VALUES ($1, $2, $3, $4)"
_CHANGE = "issuing_key_hash = $4, started_at"


def newer(source: Path, target: Path) -> int:
    """Make it; the number of the last of its two new revisions.

    Its server fills the new column; a server of the commit could not add a row once the post file has run.
    """
    _git("clone", "--quiet", "--no-hardlinks", str(source), str(target))
    migrations = target / "src/rubackup/catalog/migrations"
    first = max(int(path.name[:4]) for path in migrations.glob("*_pre.sql")) + 1
    for number, files in ((first, (PRE, POST)), (first + 1, MORE)):
        for half, sql in zip(("pre", "post"), files, strict=True):
            revision, before = f"{number:04}_{half}", f"{number - 1:04}_{half}"
            (migrations / f"{revision}.sql").write_text(sql)
            (migrations / "versions" / f"r{revision}.py").write_text(_MODULE.format(revision=revision, before=before))
    presence = target / "src/rubackup/services/presence.py"
    text = presence.read_text()
    for old, new in (
        (_INSERT, f"INSERT INTO servers (hwid, hostname, package_version, issuing_key_hash, {NAME}) VALUES ($1, $2, $3, $4, $3)"),
        (_CHANGE, f"issuing_key_hash = $4, {NAME} = $3, started_at"),
    ):  # fmt: skip
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    presence.write_text(text)
    _git("-C", str(target), "add", "-A")
    who = ("-c", "user.name=trial", "-c", "user.email=trial@localhost")
    _git("-C", str(target), *who, "commit", "--quiet", "--message", "two more migrations")
    return first + 1


def _git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True, capture_output=True)
