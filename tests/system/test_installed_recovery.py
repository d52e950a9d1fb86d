"""An installed server that is lost, and comes back from one file: keys, settings, role, database, catalogue."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from rubackup.catalog.database import DatabaseAddress
from support.databases import execute
from support.installed import SUPERUSER_PASSWORD, Installation
from support.system import eventually

NAME = "recovered"


@pytest.fixture
def site(tmp_path: Path, postgres: DatabaseAddress) -> Iterator[Installation]:
    """A primary server, set up by rb_init, whose services do not run."""
    installation = Installation.lay(tmp_path / "opt")
    installation.init_primary(tmp_path, postgres, NAME)
    installation.set_ports(postgres, NAME)
    try:
        yield installation
    finally:
        installation.stop_all()
        execute(postgres, f"DROP DATABASE IF EXISTS {NAME} WITH (FORCE)", f"DROP ROLE IF EXISTS {NAME}")


def value(site: Installation, postgres: DatabaseAddress, query: str) -> Any:
    """The first value of a query, asked as the role with the password that the installation has."""

    async def run() -> Any:
        password = site.layout.database_password.read_text().strip()
        connection = await asyncpg.connect(
            host=postgres.host, port=postgres.port, user=NAME, password=password, database=NAME
        )
        try:
            return await connection.fetchval(query)
        finally:
            await connection.close()

    return asyncio.run(run())


def _keys(root: Path) -> dict[str, bytes]:
    """Contents of all files below keys but the secret of sessions, which is in no backup."""
    files = (path for path in sorted(root.glob("keys/**/*")) if path.is_file() and path.name != "token-secret")
    return {str(path.relative_to(root)): path.read_bytes() for path in files}


def test_a_lost_server_comes_back_from_one_file(site: Installation, tmp_path: Path, postgres: DatabaseAddress) -> None:
    """On a host with nothing but the packages; its hosts are recognised, and what must not be replaced unasked is not."""
    phrase, safe, root = tmp_path / "phrase", tmp_path / "safe", site.layout.root
    phrase.write_text("a passphrase of some length\n")
    phrase.chmod(0o600)
    safe.mkdir()
    dedicated = (
        "INSERT INTO api_hosts VALUES ('api.example', 'aa', 'role', '1', now() + interval '9 days') RETURNING name"
    )
    assert value(site, postgres, dedicated) == "api.example"
    said = site.run("rubackup", "backup-catalogue", "--to", str(safe), "--with-keys", "--passphrase-file", str(phrase))
    (file,) = safe.iterdir()
    before = _keys(root)
    config = site.layout.config_file.read_text()
    media = value(site, postgres, "SELECT hwid FROM media_servers")
    shutil.rmtree(root)
    execute(postgres, f"DROP DATABASE {NAME} WITH (FORCE)", f"DROP ROLE {NAME}")

    fresh = Installation.lay(root)
    packaged = fresh.layout.api_environment.read_bytes()
    restore = ["restore-catalogue", str(file), "--passphrase-file", str(phrase), "-X", str(tmp_path / "admin")]
    admin = ["--db-admin", postgres.user]
    refused = fresh.run("rubackup", *restore, *admin, status=1)
    assert "no certificates yet" in refused
    assert "--with-keys" in refused
    restored = fresh.run("rubackup", *restore, *admin, "--with-keys", "--replace")
    assert "servers refuse it: rb_init --enroll-api api.example." in restored
    assert "it is back: rb_init --expel-api api.example." in restored

    after = _keys(root)
    kept = {path: after.pop(path) for path in tuple(after) if path.startswith("keys/replaced/")}
    assert after == before
    assert [path.split("/", 3)[3] for path in kept] == ["etc/rubackup_api.env"]  # the fresh package's
    assert [*kept.values()] == [packaged]
    assert site.layout.config_file.read_text() == config
    assert {site.layout.key(role).stat().st_mode & 0o777 for role in ("server", "api", "media", "client")} == {0o600}
    assert value(fresh, postgres, "SELECT hwid FROM media_servers") == media
    assert "Keys              in it" in said
    assert SUPERUSER_PASSWORD.encode() not in file.read_bytes()
    site.running = fresh.running
    fresh.start("server")
    fresh.start("media")
    online = "SELECT count(*) FROM media_presence WHERE online"
    eventually(lambda: value(fresh, postgres, online), 30)
    used = fresh.run("rubackup", *restore, *admin, "--replace", status=1)
    assert "is in use: rubackup_server" in used


@pytest.mark.skipif(not os.environ.get("RECOVERY"), reason="RECOVERY is not set: scripts/nightly recovery")
def test_another_installation_is_not_made_this_one(
    site: Installation, tmp_path: Path, postgres: DatabaseAddress
) -> None:
    """Without its keys its hosts would not be recognised; --other-ca says that they are lost."""
    other, name = Installation.lay(tmp_path / "other"), f"{NAME}_other"
    other.init_primary(tmp_path, postgres, name)
    try:
        other.set_ports(postgres, name)
        site.run("rubackup", "backup-catalogue", "--to", str(tmp_path / "f.rbcat"))
        restore = ["restore-catalogue", str(tmp_path / "f.rbcat"), "--replace"]
        refused = other.run("rubackup", *restore, status=1)
        assert "here is another installation" in refused
        other.run("rubackup", *restore, "--other-ca")
    finally:
        execute(postgres, f"DROP DATABASE {name} WITH (FORCE)", f"DROP ROLE {name}")
