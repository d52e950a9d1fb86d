"""Certificates and a superuser for API processes."""

from __future__ import annotations

from pathlib import Path

import pytest

from rubackup.catalog.database import DatabaseAddress
from support.api import password_hash
from support.api_process import Authority
from support.databases import execute


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    """Certificates in the test's folder."""
    return Authority(tmp_path)


@pytest.fixture
def superuser(database: DatabaseAddress) -> DatabaseAddress:
    """A catalogue with the guide's superuser."""
    sql = "INSERT INTO users (username, password_hash, group_id, is_superuser) VALUES ('rubackup', '{}', 1, true)"
    execute(database, sql.format(password_hash()))
    return database
