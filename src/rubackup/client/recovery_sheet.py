"""The recovery sheet: master keys as text that survives paper, and is checked line by line when it is typed in again.

A key is four lines of four groups of four hex digits; a fifth group is the first two bytes of the BLAKE3 of the line's
number and its eight bytes. The key's id stands above and has to fit in the end.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable

from blake3 import blake3

from rubackup.chunkstore.keys import MASTER_BYTES, MasterKey
from rubackup.domain.errors import Invalid

MAX_SHEET_CHARACTERS = 1 << 20
_LINE_BYTES = 8
_LINES = MASTER_BYTES // _LINE_BYTES
_ID = re.compile(r"\s*key\s+id\s*:\s*([0-9a-f]{32})\s*")
_LINE = re.compile(r"\s*([1-9]\d*)[.:]?((?:\s+[0-9a-f]{4}){5})\s*")

_HEAD = """\
RUBACKUP: RECOVERY SHEET

Host: {host}
Date: {date}

Whoever has this sheet can read the encrypted copies of this host. Without the keys below NOBODY can read them: neither the
administrator of the backup server nor the maker of the program. Print it, and keep it away from the host and from its backups.

To use it: type the lines of a key, with its `Key id:` line above them, into a file, and run on the host that is to restore

    rubackup client --state FOLDER key import FILE

(or with --socket, or `key --master-key PATH`, where the client was not started by `rubackup up`). Spaces do not matter. The last group of each line is its checksum.
"""


def sheet(keys: Iterable[tuple[MasterKey, bytes, str]], host: str, today: dt.date) -> str:
    """The sheet of these keys: each with its bytes and what it is for, such as 'current'."""
    parts = [_HEAD.format(host=host, date=today.isoformat())]
    for key, secret, use in keys:
        lines = [_line(number, secret) for number in range(1, _LINES + 1)]
        parts.append("\n".join([f"Key id: {key.id.hex()}", f"Use: {use}", "", *lines, ""]))
    return "\n".join(parts)


def _line(number: int, secret: bytes) -> str:
    part = secret[(number - 1) * _LINE_BYTES : number * _LINE_BYTES]
    text = part.hex() + _check(number, part)
    return f"  {number}  " + " ".join(text[at : at + 4] for at in range(0, len(text), 4))


def _check(number: int, part: bytes) -> str:
    return blake3(bytes([number]) + part).digest(length=2).hex()


def read(text: str) -> list[bytes]:
    """The keys of a sheet; Invalid names the line that is wrong or missing, never what stands in it."""
    if len(text) > MAX_SHEET_CHARACTERS:
        raise Invalid("A recovery sheet is not that long.")
    keys: list[bytes] = []
    wanted, parts = "", b""
    for at, raw in enumerate(text.lower().splitlines(), 1):
        if found := _ID.fullmatch(raw):
            _complete(wanted, parts)
            wanted, parts = found[1], b""
        elif found := _LINE.fullmatch(raw):
            number = len(parts) // _LINE_BYTES + 1
            if not wanted or number > _LINES or int(found[1]) != number:
                raise Invalid(f"Line {at} of the sheet is out of place: line {number} of a key was expected.")
            data = bytes.fromhex("".join(found[2].split()))
            if data[_LINE_BYTES:].hex() != _check(number, data[:_LINE_BYTES]):
                raise Invalid(f"Line {at} of the sheet (line {number} of the key {wanted}) has a wrong checksum.")
            parts += data[:_LINE_BYTES]
            if len(parts) == MASTER_BYTES:
                _complete(wanted, parts)
                keys.append(parts)
                wanted, parts = "", b""
        elif wanted and raw.strip() and not raw.strip().startswith("use:"):
            raise Invalid(
                f"Line {at} of the sheet cannot be read: a number and five groups of four hex digits are expected."
            )
    _complete(wanted, parts)
    if not keys:
        raise Invalid("There is no key in this sheet: it has a line `Key id: ...` and four numbered lines.")
    return keys


def _complete(wanted: str, parts: bytes) -> None:
    """Invalid when the key that was begun has lines missing, or is another than its id says."""
    if wanted and len(parts) != MASTER_BYTES:
        raise Invalid(f"The key {wanted} has only {len(parts) // _LINE_BYTES} of {_LINES} lines.")
    if wanted and MasterKey(parts).id.hex() != wanted:
        raise Invalid(f"The lines of the key {wanted} belong to another key.")
