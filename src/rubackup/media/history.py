"""Which catalogue a pool has known: by that a media server notices that the catalogue was set back, or is another one.

Each take-over of a leading server has a number and a random name, its term. A catalogue that was restored from a dump of an
earlier term does not know the last one that the pool has seen. Each contact of the server with a pool has a number, one more
than the pool confirmed last; a catalogue that was restored from an older dump of the same term has a lower one. From then on
nothing is deleted or collected in the pool until an administrator has reconciled both. Kept in a file of the pool's metadata;
a pool that has lost it has to be reconciled, too, unless it is new to the catalogue and holds nothing.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import msgspec

from rubackup.domain.errors import StorageFault

log = logging.getLogger(__name__)
FILE = "catalogue"
LATE: Final = 2
"""Orders may overtake each other: so much lower the number of a contact may be than that of the one before."""
Term = tuple[int, str]


class Seen(msgspec.Struct, frozen=True):
    """The last term that a pool has seen of the catalogue that it belongs to."""

    epoch: int
    term: str
    reconciled: bool = True
    contact: int = 0
    """Number of the last contact."""
    name: str = ""
    """What the catalogue called the pool last."""


class Standing(NamedTuple):
    """Whether a pool belongs to the catalogue of the servers, and the number of the last contact."""

    reconciled: bool
    contact: int


KNOWN: Final = Standing(reconciled=True, contact=0)
UNKNOWN: Final = Standing(reconciled=False, contact=0)
_seen = msgspec.json.Decoder(Seen)
_NOTHING = Seen(0, "", reconciled=False)


class History:
    """The files of all pools below a folder."""

    def __init__(self, metadata: Path) -> None:
        self._metadata = metadata

    def meet(
        self,
        pool: str,
        terms: list[Term],
        *,
        reconciled: bool,
        contact: int = 0,
        folders: Sequence[Path] = (),
        others: Sequence[Callable[[], bool]] = (),
        name: str = "",
    ) -> Standing:
        """Whether the pool with this uuid belongs to a catalogue with these terms, oldest first, and keep the newest.

        `reconciled`: an administrator says that it does. `contact`: number of this contact. `folders`: the pool's storages;
        `others` tell of those that are no folders whether anything lies there. `name`: what the catalogue calls it.
        StorageFault when it cannot be kept.
        """
        file = self._metadata / pool / FILE
        old = _read(file)
        if not terms:
            return Standing(old is None or old.reconciled, old.contact if old else 0)
        if old is None:
            fits = contact <= 1 and not any(map(_holds_files, folders)) and not any(holds() for holds in others)
        else:
            fits = old.reconciled and (old.epoch, old.term) in terms and contact >= old.contact - LATE
        if not (fits or reconciled):
            new = msgspec.structs.replace(old or _NOTHING, reconciled=False)
            log.error("pool %s does not know this catalogue: nothing is deleted until it was reconciled", pool)
        else:
            new = Seen(*terms[-1], contact=max(contact, old.contact if old and fits else 0))
        new = msgspec.structs.replace(new, name=name or (old.name if old else ""))
        if new != old:
            _write(file, new)
        return Standing(new.reconciled, new.contact)

    def name(self, pool: str) -> str:
        """What the pool with this uuid was called last; '' when that is not known."""
        found = _read(self._metadata / pool / FILE)
        return found.name if found else ""

    def meet_again(self, pool: str, contact: int) -> Standing:
        """As `meet`, for a catalogue that has told its terms on this connection."""
        file = self._metadata / pool / FILE
        old = _read(file)
        if old is None:  # lost: `meet` decides
            return UNKNOWN
        if old.reconciled and contact < old.contact - LATE:
            log.error("pool %s knows a later state of this catalogue: nothing is deleted until it was reconciled", pool)
            new = msgspec.structs.replace(old, reconciled=False)
        else:
            new = msgspec.structs.replace(old, contact=max(contact, old.contact)) if old.reconciled else old
        if new != old:
            _write(file, new)
        return Standing(new.reconciled, new.contact)


def _holds_files(folder: Path) -> bool:
    """Whether packs or manifests lie in a storage; one that cannot be read may hold some."""
    for name in ("packs", "manifests"):
        try:
            if any(files for _, _, files in os.walk(folder / name, onerror=_raise)):
                return True
        except FileNotFoundError:
            continue
        except OSError:
            return True
    return False


def _raise(error: OSError) -> None:
    raise error


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
