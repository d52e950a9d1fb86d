"""Which catalogue a pool has known: by that a media server notices that the catalogue was set back, or is another one.

Each take-over of a leading server has a number and a random name, its term. A catalogue that was restored from an older
dump does not know the last term that the pool has seen; from then on nothing is deleted or collected in the pool until an
administrator has reconciled both. Kept in a file of the pool's metadata.
"""

from __future__ import annotations

import logging
import os
from pathlib import Path

import msgspec

from rubackup.domain.errors import StorageFault

log = logging.getLogger(__name__)
FILE = "catalogue"
Term = tuple[int, str]


class Seen(msgspec.Struct, frozen=True):
    """The last term that a pool has seen of the catalogue that it belongs to."""

    epoch: int
    term: str
    reconciled: bool = True


_seen = msgspec.json.Decoder(Seen)
_NOTHING = Seen(0, "", reconciled=False)


class History:
    """The files of all pools below a folder."""

    def __init__(self, metadata: Path) -> None:
        self._metadata = metadata

    def meet(self, pool: str, terms: list[Term], *, reconciled: bool) -> bool:
        """Whether the pool with this uuid belongs to a catalogue with these terms, oldest first, and keep the newest.

        `reconciled`: an administrator says that it does. StorageFault when it cannot be kept.
        """
        file = self._metadata / pool / FILE
        old = _read(file)
        if not terms:
            return old is None or old.reconciled
        fits = old is None or (old.reconciled and (old.epoch, old.term) in terms)
        if not (fits or reconciled):
            new = msgspec.structs.replace(old or _NOTHING, reconciled=False)
            log.error("pool %s does not know this catalogue: nothing is deleted until it was reconciled", pool)
        else:
            new = Seen(*terms[-1])
        if new != old:
            _write(file, new)
        return new.reconciled


def _read(file: Path) -> Seen | None:
    try:
        return _seen.decode(file.read_bytes())
    except FileNotFoundError:
        return None
    except msgspec.DecodeError:
        return _NOTHING  # it belonged to some catalogue; nobody knows which
    except OSError as error:
        raise StorageFault(f"{file}: {error.strerror or error}.") from error


def _write(file: Path, seen: Seen) -> None:
    temporary = file.with_suffix(".tmp")
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        with temporary.open("wb") as out:
            out.write(msgspec.json.encode(seen))
            out.flush()
            os.fsync(out.fileno())
        temporary.rename(file)
        folder = os.open(file.parent, os.O_RDONLY | os.O_DIRECTORY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        raise StorageFault(f"{file}: {error.strerror or error}.") from error
