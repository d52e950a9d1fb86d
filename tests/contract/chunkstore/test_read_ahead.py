"""Where each read waits for a network several are under way, and who reads notices nothing but the time."""

from __future__ import annotations

import threading

import pytest

from rubackup.chunkstore import pack
from rubackup.chunkstore.backends.base import Capabilities
from rubackup.chunkstore.pool import Pool
from rubackup.domain.errors import Corrupt
from support.chunkstore import Client, Place, begin, noise, record_id, restore

FILES = {f"/file{number}": noise(3_000, number) for number in range(40)}
AT_ONCE = 4


class Far:
    """Reads of packs that answer only when so many are under way, or after a while when there are no more."""

    def __init__(self, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
        self._lock = threading.Lock()
        self._under_way = self.most = 0
        self._several = threading.Event()
        memory = place.memory()
        read = memory.read

        def slowly(name: str, offset: int, length: int) -> bytes:
            if not name.startswith("packs/") or length == pack.HEADER_BYTES:
                return read(name, offset, length)
            with self._lock:
                self._under_way += 1
                self.most = max(self.most, self._under_way)
                if self._under_way >= AT_ONCE:
                    self._several.set()
            self._several.wait(60)
            try:
                return read(name, offset, length)
            finally:
                with self._lock:
                    self._under_way -= 1

        monkeypatch.setattr(memory, "capabilities", Capabilities(reads_at_once=AT_ONCE))
        monkeypatch.setattr(memory, "read", slowly)


@pytest.fixture
def pool(place: Place, monkeypatch: pytest.MonkeyPatch) -> Pool:
    """A record in many groups of several packs."""
    monkeypatch.setattr(pack, "TARGET_BYTES", 30_000)
    pool = place.open()
    client = Client()
    for start in range(0, len(FILES), 4):
        client.backup(begin(pool, start + 1), dict(list(FILES.items())[start : start + 4]))
    client.backup(begin(pool, 1000), FILES)
    return pool


def groups_of(pool: Pool, record: str) -> list[bytes]:
    """What a reader gets, with the messages of what is damaged in its place."""
    rows = sum(len(Client().chunks(data)) for data in FILES.values())
    stream = pool.read(record).groups([(0, rows)])
    found: list[bytes] = []
    while True:
        try:
            found.append(next(stream))
        except Corrupt as error:
            found.append(error.message.encode())
        except StopIteration:
            return found


def test_groups_come_in_order_and_several_are_read_at_a_time(
    pool: Pool, place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The same ones as from a storage that is near."""
    record = record_id(1000)
    near = groups_of(pool, record)
    far = Far(place, monkeypatch)

    assert groups_of(pool, record) == near
    assert len(near) > 2 * AT_ONCE
    assert far.most == AT_ONCE
    assert restore(pool, record) == FILES


def test_a_damaged_group_is_told_in_its_place(pool: Pool, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """And those behind it come."""
    record = record_id(1000)
    name = next(name for name in sorted(place.memory().files) if name.endswith(".pack"))
    data = place.memory().files[name].data
    data[pack.HEADER_BYTES + 1_500] ^= 1  # within the first group
    near = groups_of(pool, record)
    Far(place, monkeypatch)

    assert groups_of(pool, record) == near
    assert sum(one.startswith(b"Pack ") for one in near) == 1


def test_a_verification_reads_as_many_at_a_time(pool: Pool, place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """However few processors there are."""
    far = Far(place, monkeypatch)

    assert pool.verify(record_id(1000), lambda *_: None, lambda: None).damaged == []
    assert far.most == AT_ONCE
