"""One system for all tests of this folder that do not break it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from support.system import System, running


@pytest.fixture(scope="session")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    """A running system in a state folder of its own; its client has the folder `nas` beside it for a storage of that name."""
    folder = tmp_path_factory.mktemp("system")
    (folder / "nas").mkdir(mode=0o700)
    with running(folder / "state", environment={"CLIENT_DEFINED_STORAGES": f"nas={folder / 'nas'}"}) as found:
        yield found
