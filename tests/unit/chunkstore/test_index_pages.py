"""The pages of LMDB files: whole ones are called whole, and each bit that a writer would follow is told when it is flipped."""

from __future__ import annotations

import random
import struct
from pathlib import Path

import lmdb
import pytest

from rubackup.chunkstore._index_pages import check
from rubackup.chunkstore._lmdb import Environment

PAGE = 4096
ROWS = 300


def _written(folder: Path) -> Path:
    """Several databases, rows that came and went, big values, and lists of free pages."""
    dice = random.Random(5)
    with lmdb.open(str(folder), map_size=1 << 28, max_dbs=8, sync=False) as env:
        names = [env.open_db(name) for name in (b"chunks", b"records", b"empty")]
        for turn in range(6):
            with env.begin(write=True) as txn:
                for _ in range(ROWS):
                    txn.put(dice.randbytes(32), dice.randbytes(24), db=names[0])
                for _ in range(20):
                    txn.put(dice.randbytes(16), bytes(2 * dice.randrange(1, 4_000)), db=names[1])
            with env.begin(write=True) as txn:
                for key in [key for key, _ in txn.cursor(names[turn % 2])][:: turn + 2]:
                    txn.delete(key, db=names[turn % 2])
    return folder / "data.mdb"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file that nobody has open."""
    return _written(tmp_path / "index")


def _page_kind(data: bytes, page: int) -> int:
    return int(struct.unpack_from("=H", data, page * PAGE + 10)[0])


def _used(file: Path) -> set[int]:
    """Numbers of branches and leaves of the newest state."""
    data = file.read_bytes()
    newest = max((data[at : at + PAGE] for at in (0, PAGE)), key=lambda page: struct.unpack_from("=Q", page, 144)[0])
    waiting = [struct.unpack_from("=Q", newest, 40 + turn * 48 + 40)[0] for turn in (0, 1)]
    found: set[int] = set()
    while waiting:
        page = waiting.pop()
        if page == (1 << 64) - 1:
            continue
        found.add(page)
        for place in _places(data, page):
            low, high, bits, size = struct.unpack_from("=HHHH", data, page * PAGE + place)
            if _page_kind(data, page) == 1:
                waiting.append(low | high << 16 | bits << 32)
            elif bits == 2:
                waiting.append(struct.unpack_from("=Q", data, page * PAGE + place + 8 + size + 40)[0])
    return found


def _places(data: bytes, page: int) -> tuple[int, ...]:
    lower = struct.unpack_from("=H", data, page * PAGE + 12)[0]
    return struct.unpack_from(f"={(lower - 16) // 2}H", data, page * PAGE + 16)


def test_whole_files_are_called_whole(file: Path, tmp_path: Path) -> None:
    """With every kind of page, and an empty one."""
    data = file.read_bytes()
    kinds = {_page_kind(data, page) for page in range(len(data) // PAGE)}
    with lmdb.open(str(tmp_path / "fresh"), map_size=1 << 20):
        pass

    assert {1, 2, 4, 8} <= kinds
    assert check(file) == ""
    assert check(tmp_path / "fresh" / "data.mdb") == ""


def test_every_change_leaves_a_whole_file(tmp_path: Path) -> None:
    """Many small transactions, as of a media server, with one that reads beside, which keeps old pages from being used again:
    the list of what is free then has branches, too.
    """
    dice, kept = random.Random(1), []
    file = tmp_path / "index" / "data.mdb"
    with lmdb.open(str(tmp_path / "index"), map_size=1 << 28, max_dbs=4, sync=False) as env:
        chunks = env.open_db(b"chunks")
        reading = env.begin()
        for turn in range(400):
            with env.begin(write=True) as txn:
                for _ in range(dice.randrange(40)):
                    kept.append(dice.randbytes(dice.choice((4, 32, 36))))
                    txn.put(kept[-1], dice.randbytes(dice.choice((0, 24, 24, 3000))), db=chunks)
                for _ in range(min(len(kept), dice.randrange(40))):
                    txn.delete(kept.pop(dice.randrange(len(kept))), db=chunks)
                if turn % 7 == 0:
                    for key in kept[:20]:
                        txn.put(key, bytes(dice.randrange(9000)), db=chunks)
            if turn % 9 == 0:
                assert check(file) == "", turn
        reading.abort()
    data = file.read_bytes()
    root = struct.unpack_from("=Q", data, _newest(data) * PAGE + 80)[0]

    assert _page_kind(data, root) == 1
    assert check(file) == ""


def test_each_bit_that_is_followed_is_told(file: Path) -> None:
    """Headers of pages but what is unused in them, places of nodes, and heads of nodes."""
    whole = file.read_bytes()
    dice = random.Random(2)
    spots = []
    for page in sorted(_used(file)):
        places = _places(whole, page)
        spots += [page * PAGE + at for at in (*range(8), *range(10, 16))]
        spots += [page * PAGE + 16 + at for at in range(2 * len(places))]
        for place in places:
            big = _page_kind(whole, page) == 2 and whole[page * PAGE + place + 4] & 1
            # How many bytes of its last page a big value has is told by nothing else.
            spots += [page * PAGE + place + at for at in range(4 if big else 0, 8)]
    silent = []
    for at in dice.sample(spots, 150):
        data = bytearray(whole)
        data[at] ^= 1 << dice.randrange(8)
        file.write_bytes(data)
        if not check(file):
            silent.append((at // PAGE, at % PAGE))

    assert silent == []


@pytest.mark.parametrize(
    ("field", "at"),
    [("pages' size", 40), ("depth of main", 94), ("entries of main", 120), ("root of free", 80)],
)
def test_what_the_first_pages_tell_is_held_against_the_others(file: Path, field: str, at: int) -> None:
    """A bit in both of them, so that none is right."""
    data = bytearray(file.read_bytes())
    for page in (0, PAGE):
        data[page + at + 1] ^= 1
    file.write_bytes(data)

    assert check(file), field


def test_a_free_page_that_is_used_is_told(file: Path) -> None:
    """The next transaction would write over it."""
    data = bytearray(file.read_bytes())
    used = sorted(_used(file))
    root = struct.unpack_from("=Q", data, (0 if _newest(data) == 0 else PAGE) + 80)[0]
    place = _places(bytes(data), root)[0]
    _, _, bits, size = struct.unpack_from("=HHHH", data, root * PAGE + place)
    assert bits == 0
    count = struct.unpack_from("=Q", data, root * PAGE + place + 8 + size)[0]
    assert count
    struct.pack_into("=Q", data, root * PAGE + place + 8 + size + 8, used[0])
    file.write_bytes(data)

    assert check(file) == f"page {used[0]} is used twice"


def _newest(data: bytes) -> int:
    first, second = (struct.unpack_from("=Q", data, at + 144)[0] for at in (0, PAGE))
    return 0 if first >= second else 1


def _used_pages(data: bytes) -> int:
    """How many pages there are by the newest of the first two."""
    return int(struct.unpack_from("=Q", data, _newest(data) * PAGE + 136)[0]) + 1


@pytest.mark.parametrize("pages", [0, 0.1, 1, 2])
def test_a_file_that_was_cut_is_told(file: Path, pages: float) -> None:
    """To nothing, within the first page, and behind it."""
    file.write_bytes(file.read_bytes()[: int(pages * PAGE)])

    assert check(file)


def test_a_file_without_one_page_that_is_used_is_told(file: Path) -> None:
    """The last branch or leaf; and one behind which the first pages say that there is none."""
    whole = file.read_bytes()
    file.write_bytes(whole[: max(_used(file)) * PAGE])
    assert check(file).startswith("there is no page")
    data = bytearray(whole)
    for at in (0, PAGE):
        struct.pack_into("=Q", data, at + 136, 5)
    file.write_bytes(data)

    assert check(file).startswith("there is no page")


def test_a_file_may_end_before_pages_that_were_never_written(tmp_path: Path) -> None:
    """A transaction took them and gave them back: LMDB counts them, and they are free."""
    folder = tmp_path / "index"
    file, dice, kept = folder / "data.mdb", random.Random(0), []
    with lmdb.open(str(folder), map_size=1 << 28, max_dbs=4, sync=False) as env:
        chunks = env.open_db(b"chunks")
        for _ in range(5):
            with env.begin(write=True) as txn:
                new = []
                for _ in range(dice.randrange(300)):
                    new.append(dice.randbytes(dice.choice((4, 32))))
                    txn.put(new[-1], bytes(dice.choice((0, 24, 3000, 9000))), db=chunks)
                dice.shuffle(new)
                for key in new[: int(len(new) * dice.random())]:
                    txn.delete(key, db=chunks)
                kept += new
                for _ in range(min(len(kept), dice.randrange(300))):
                    txn.delete(kept.pop(dice.randrange(len(kept))), db=chunks)
    assert file.stat().st_size < _used_pages(file.read_bytes()) * PAGE
    assert check(folder / "data.mdb") == ""
    opened = Environment(folder, ("chunks",), 1 << 20)
    opened.close()

    assert not opened.damaged


def test_a_last_page_that_cannot_be_is_told(file: Path) -> None:
    """Far behind the end of the file."""
    data = bytearray(file.read_bytes())
    for page in (0, PAGE):
        data[page + 136 + 6] ^= 1
    file.write_bytes(data)

    assert "the last page is" in check(file)
