"""Which folders hosts clear by themselves, as far as their names tell."""

from __future__ import annotations

import pytest

from rubackup.domain.pools import cleared


@pytest.mark.parametrize("path", ["/tmp", "/tmp/x/y", "/run/x", "/var/tmp/x", "/dev/shm", "/var/run/rubackup"])
def test_they_are_named(path: str) -> None:
    """With the key that names another place."""
    assert cleared(path).startswith("Hosts empty /")
    assert "emergency_storage_local_catalog" in cleared(path)


@pytest.mark.parametrize("path", ["", "/opt/rubackup/var/emergency", "/tmpfs/x", "/srv/tmp/x", "/var/running"])
def test_lasting_ones_are_not(path: str) -> None:
    """Names that only look alike neither."""
    assert cleared(path) == ""
