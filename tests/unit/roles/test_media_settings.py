"""What the media server's settings say of its collections."""

from __future__ import annotations

import pytest

from rubackup.roles.host import safety
from rubackup.roles.settings import ConfigurationFault, Settings


@pytest.mark.parametrize(("told", "grace"), [({}, 900), ({"GC_GRACE_SECONDS": "0"}, 0)])
def test_the_grace_is_a_setting(told: dict[str, str], grace: int) -> None:
    """A quarter of an hour unless somebody says otherwise."""
    assert safety(Settings(told, "media.env")).grace_seconds == grace


@pytest.mark.parametrize("told", ["-1", "604801", "soon"])
def test_a_wrong_grace_is_named(told: str) -> None:
    """The error names the key; a process with it does not start."""
    with pytest.raises(ConfigurationFault, match="GC_GRACE_SECONDS must be a whole number"):
        safety(Settings({"GC_GRACE_SECONDS": told}, "media.env"))
