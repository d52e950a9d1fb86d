"""One system for all tests of this folder that do not break it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.system import System, running


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A running system in a state folder of its own."""
    with running(tmp_path_factory.mktemp("system") / "state") as found:
        yield found
