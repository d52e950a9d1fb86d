"""The catalogue of a state that does not run, for the length of a block."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator

from rubackup.roles.up import catalogue
from rubackup.roles.up.postgres import EmbeddedPostgres
from rubackup.roles.up.state import State, runtime_folder


@contextlib.contextmanager
def own(state: State) -> Iterator[catalogue.Catalogue]:
    """The catalogue of a state that this process has locked; an embedded PostgreSQL runs for the length of the block."""
    found = catalogue.chosen(state, os.environ)
    if found is not None:
        yield found
        return
    with runtime_folder(state) as runtime:
        server = EmbeddedPostgres(state.root, runtime)
        server.start()
        try:
            yield catalogue.embedded(state, server.address())
        finally:
            server.stop()
