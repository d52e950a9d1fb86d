"""Cuts a stream at places that its content decides (FastCDC, version 2020).

Equal content gives equal chunks wherever it stands in a file. The cut points are part of
what is stored: golden ones are kept in the tests. Design: `docs/design/chunkstore.md`.
"""

from __future__ import annotations

from typing import Final

from pyfastcdc import FastCDC

KIB: Final = 1024
MAX_SEED: Final = 2**63 - 1
"""pyfastcdc 0.3.1 shifts the seed left by one within 64 bits."""


class Chunker:
    """Finds the lengths of chunks. Not to be shared by threads."""

    def __init__(
        self, minimum: int = 32 * KIB, average: int = 128 * KIB, maximum: int = 512 * KIB, seed: int = 0
    ) -> None:
        if not 0 <= seed <= MAX_SEED:
            raise ValueError(f"seed must be from 0 to {MAX_SEED}")
        self.minimum, self.average, self.maximum, self.seed = minimum, average, maximum, seed
        self._cdc = FastCDC(average, min_size=minimum, max_size=maximum, normalized_chunking=1, seed=seed)

    def cut(self, data: memoryview, *, final: bool) -> list[int]:
        """The lengths of the complete chunks at the front of `data`.

        What they do not cover must come first in the next call, followed by more of the stream;
        with `final` they cover everything. The cut points do not depend on how the stream was handed over.
        """
        lengths = [chunk.length for chunk in self._cdc.cut_buf(data)]
        # The last chunk ends where the buffer ends, which says nothing about the stream, unless it cannot grow.
        if not final and lengths and lengths[-1] != self.maximum:
            lengths.pop()
        return lengths
