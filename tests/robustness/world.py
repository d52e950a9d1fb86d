"""Two pools, a model of what they must hold, and everything that may happen to them.

The model knows trees, owners and what was promised; nothing of chunks, packs or the index. Each operation draws from
the `Random` that it is given, so a run is repeated by its seed, and hypothesis can make it shorter.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from rubackup.chunkstore.copying import RecordCopy
from rubackup.chunkstore.locations import folders
from rubackup.chunkstore.manifest import ManifestWriter, Summary
from rubackup.chunkstore.pool import Pool, WriteSession
from rubackup.domain.errors import Conflict, Corrupt, Fenced, Invalid, NotFound
from support.chunkstore import Client, Place, begin, entry, record_id, restore

OWNERS: Final = ("00000000000000aa", "00000000000000bb")
MOST_RECORDS: Final = 8
MOST_FILES: Final = 12
HOUR_NS: Final = 3_600_000_000_000
Tree = dict[str, bytes]


@dataclass(frozen=True)
class Kept:
    """What a record must restore to."""

    owner: str
    tree: Tree
    base: int = 0
    """The full copy that a differential one is built upon."""


@dataclass
class Side:
    """One pool and its model."""

    name: str
    place: Place
    pool: Pool
    kept: dict[int, Kept] = field(default_factory=dict)
    dropped: set[int] = field(default_factory=set)
    held: dict[str, set[bytes]] = field(default_factory=lambda: {owner: set() for owner in OWNERS})
    """Chunks that each owner ever had."""
    sessions: list[WriteSession] = field(default_factory=list)
    """Begun, and neither sealed nor ended."""
    generation: int = 0
    hurt: set[str] = field(default_factory=set)
    """Packs that hold something damaged, though all of it was healed elsewhere, until a collection removes them."""

    def unexpected(self) -> list[str]:
        """What the opening told, but for the damage that was done."""
        return [text for text in self.pool.problems if not any(name in text for name in self.hurt)]


class World:
    """The state of one run."""

    def __init__(self, folder: Path, only_memory: bool = True) -> None:
        self.folder = folder
        self.number = 0
        self.done: dict[str, int] = {}
        """Operations that were done, by name."""
        self.files: dict[str, Tree] = {owner: {} for owner in OWNERS}
        """What each owner has on its disk now."""
        self.sides = [self._side(name) for name in ("left", "right")]
        self.operations: list[Callable[[Random], None]] = [
            self.backup, self.backup, self.backup, self.interrupted, self.drop, self.restores, self.verifies, self.copies,
            self.reopens, self.rebuilds, self.crashes, self.changes_storages, self.damages, self.replays, self.steals,
            self.collects, self.collects,
        ]  # fmt: skip

    def _side(self, name: str) -> Side:
        place = Place(self.folder / name / "0", map_bytes=1 << 20)
        place.folder.mkdir(parents=True)
        return Side(name, place, place.open())

    def close(self) -> None:
        """End of the run: everything is looked at once more."""
        for side in self.sides:
            self._check(side)
            side.place.close()

    def step(self, toss: Random) -> str:
        """One operation by chance; its name."""
        operation: Any = toss.choice(self.operations)
        operation(toss)
        return str(operation.__name__)

    def _count(self, name: str) -> None:
        self.done[name] = self.done.get(name, 0) + 1

    def _next(self) -> int:
        self.number += 1
        return self.number

    # --- what an owner has ---

    def _change(self, toss: Random, owner: str) -> Tree:
        """Change, add, remove, rename or copy some files; what the owner has then."""
        tree = dict(self.files[owner])
        for _ in range(toss.randint(0, 4)):
            path = f"/{toss.choice('abc')}/{toss.randint(0, MOST_FILES)}"
            match toss.randint(0, 4):
                case 0 | 1:
                    tree[path] = self._content(toss)
                case 2:
                    tree.pop(path, None)
                case 3 if tree:
                    tree[path] = tree[toss.choice(sorted(tree))]
                case 4 if tree:
                    other = toss.choice(sorted(tree))
                    data = bytearray(tree[other])
                    at = toss.randint(0, len(data))
                    data[at:at] = toss.randbytes(toss.randint(1, 50))
                    tree[other] = bytes(data)
        # Files whose path is a folder of another are none.
        self.files[owner] = dict(list(tree.items())[:MOST_FILES])
        return self.files[owner]

    @staticmethod
    def _content(toss: Random) -> bytes:
        kind, size = toss.randint(0, 3), toss.choice((0, 1, 40, 900, 5_000, 20_000))
        return toss.choice((b"a", b"text ")) * size if kind == 0 else Random(toss.randint(0, 30)).randbytes(size)

    def _client(self, toss: Random, owner: str) -> Client:
        return Client(owner=owner, level=toss.choice((None, 1)), group_bytes=toss.choice((1, 3_000, 30_000)))

    def _pick(self, toss: Random, side: Side) -> int | None:
        return toss.choice(sorted(side.kept)) if side.kept else None

    # --- writing ---

    def backup(self, toss: Random) -> None:
        """Full, incremental or differential."""
        side, owner = toss.choice(self.sides), toss.choice(OWNERS)
        self._backup(toss, side, owner, self._change(toss, owner))

    def _backup(self, toss: Random, side: Side, owner: str, tree: Tree) -> int:
        number = self._next()
        mine = [n for n, kept in side.kept.items() if kept.owner == owner]
        kind = toss.choice(("full", "incremental", "differential")) if mine else "full"
        parent = 0
        if kind == "incremental":
            parent = max(mine)
        elif kind == "differential":
            parent = side.kept[max(mine)].base or max(mine)
            parent = parent if parent in side.kept else max(mine)
        client = self._client(toss, owner)
        session = begin(
            side.pool, number, owner=owner, share=toss.random() < 0.3, parent=record_id(parent) if parent else None
        )
        client.backup(session, tree)
        self._hold(side, owner, client, tree)
        side.kept[number] = Kept(owner, dict(tree), side.kept[parent].base or parent if parent else number)
        self._count(f"backup {kind}")
        if len(side.kept) > MOST_RECORDS:
            self._drop(side, min(side.kept))
        return number

    @staticmethod
    def _hold(side: Side, owner: str, client: Client, tree: Tree) -> None:
        side.held[owner].update(name for data in tree.values() for name, _ in client.chunks(data))

    def interrupted(self, toss: Random) -> None:
        """A session that sends a part; it is ended, or stays open until a crash, or until the task is begun again."""
        side, owner = toss.choice(self.sides), toss.choice(OWNERS)
        client, tree = self._client(toss, owner), self._change(toss, owner)
        session = begin(side.pool, self._next(), owner=owner)
        for data in list(tree.values())[: toss.randint(0, len(tree))]:
            client.send(session, client.chunks(data))
        self._hold(side, owner, client, tree)
        if toss.random() < 0.5:
            session.checkpoint()
        if toss.random() < 0.3:
            session.put_manifest(toss.randbytes(100))
        if toss.random() < 0.5:
            session.abort()
        else:
            side.sessions.append(session)
        self._count("interrupted")

    def drop(self, toss: Random) -> None:
        """A record goes; its id is never used again."""
        side = toss.choice(self.sides)
        number = self._pick(toss, side)
        if number is not None:
            self._drop(side, number)
            try:
                begin(side.pool, number, fence=9)
            except Conflict:
                return
            raise AssertionError(f"record {number} was dropped and can be written again")

    def _drop(self, side: Side, number: int) -> None:
        side.pool.drop(record_id(number))
        del side.kept[number]
        side.dropped.add(number)
        self._count("drop")

    def copies(self, toss: Random) -> None:
        """A record goes into the other pool too."""
        source, target = toss.sample(self.sides, 2)
        number = self._pick(toss, source)
        if number is None:
            return
        kept, new = source.kept[number], self._next()
        session = begin(target.pool, new, owner=kept.owner)
        summary = RecordCopy(source.pool.read(record_id(number)), session, 1, lambda *_: None, lambda: None).run()
        session.seal(summary.files, summary.files_failed, summary.size_bytes)
        self._hold(target, kept.owner, Client(), kept.tree)
        target.kept[new] = Kept(kept.owner, kept.tree, new)
        self._count("copy")

    # --- reading ---

    def restores(self, toss: Random) -> None:
        """A record comes back byte for byte."""
        side = toss.choice(self.sides)
        number = self._pick(toss, side)
        if number is not None:
            assert restore(side.pool, record_id(number)) == side.kept[number].tree, f"record {number} came back changed"
            self._count("restore")

    def verifies(self, toss: Random) -> None:
        """Nothing is damaged."""
        side = toss.choice(self.sides)
        number = self._pick(toss, side)
        if number is not None:
            assert self._damaged(side, number, contents=toss.random() < 0.7) == []
            self._count("verify")

    @staticmethod
    def _damaged(side: Side, number: int, *, contents: bool = True) -> list[str]:
        found = side.pool.verify(record_id(number), lambda *_: None, lambda: None, contents=contents)
        return [*found.damaged, *found.flaws]

    def _check(self, side: Side) -> None:
        """All that was promised."""
        self.lists(side)
        for number, kept in side.kept.items():
            assert restore(side.pool, record_id(number)) == kept.tree, f"record {number} came back changed"
            assert self._damaged(side, number) == []

    @staticmethod
    def lists(side: Side) -> None:
        """The pool lists exactly what the model has."""
        listed = {int(record.record, 16) for record in side.pool.records()}
        assert listed == set(side.kept), f"listed beside the model: {sorted(listed ^ set(side.kept))}"

    # --- what happens to the process and its disks ---

    def reopens(self, toss: Random) -> None:
        """The process ends in order; nothing is left to repair."""
        side = toss.choice(self.sides)
        side.sessions.clear()
        side.pool = side.place.reopen()
        assert side.pool.problems == [], f"an opening found {side.pool.problems}"
        self._count("reopen")

    def rebuilds(self, toss: Random) -> None:
        """The index is lost."""
        side = toss.choice(self.sides)
        side.sessions.clear()
        side.place.close()
        side.place.lose_index()
        side.pool = side.place.open()
        assert side.unexpected() == [], f"a rebuild found {side.pool.problems}"
        self._check(side)
        self._count("rebuild")

    def crashes(self, toss: Random) -> None:
        """The power goes: what was not synced is lost, or half of it there; the index is as it was committed."""
        side, torn = toss.choice(self.sides), toss.random() < 0.5
        old = side.place
        side.generation += 1
        place = Place(
            self.folder / side.name / str(side.generation), map_bytes=old.map_bytes, storages=list(old.storages)
        )
        shutil.copytree(old.folder, place.folder)
        place.now_ns = old.now_ns
        for name in old.backends:
            place.backends[name] = old.memory(name).after_power_loss(torn=torn)
        old.close()
        shutil.rmtree(old.folder)
        side.sessions.clear()
        lost = toss.random() < 0.2
        if lost:
            place.lose_index()
        side.place, side.pool = place, place.open()
        self._check(side)
        self._count("crash")

    def changes_storages(self, toss: Random) -> None:
        """A folder joins, one that can be spared leaves, or packs are spread in another way."""
        side = toss.choice(self.sides)
        storages = list(side.place.storages)
        if len(storages) < 3 and toss.random() < 0.5:
            storages.append(f"{side.name}{self._next()}")
        elif len(storages) > 1 and not side.pool.needs(storages[-1]):
            storages.pop()
        side.pool.reconfigure(
            folders([Path(name) for name in storages]), 0, toss.choice((None, 1)), evenly=toss.random() < 0.5
        )
        side.place.storages = storages
        self._count("storages")

    def collects(self, toss: Random) -> None:
        """What nobody needs goes, now or after the grace; a session that is open keeps what it was told."""
        side = toss.choice(self.sides)
        side.place.now_ns += toss.choice((0, HOUR_NS, 1_000 * HOUR_NS))
        open_tasks = {session.task_id for session in side.sessions}
        found = side.pool.collect(lambda *_: None, lambda: None, unfinished=open_tasks)
        assert not found.problems, f"a collection met {found.problems}"
        self._check(side)
        self._count("collect, something removed" if found.removed_packs else "collect")

    def damages(self, toss: Random) -> None:
        """A byte of a pack changes: only what it hits is damaged, verification finds it, a new backup heals it."""
        side = toss.choice(self.sides)
        backend = side.place.memory(toss.choice(side.place.storages))
        packs = [name for name in backend.files if name.endswith(".pack")]  # by age: names are random
        if not packs:
            return
        name = toss.choice(packs)
        data = backend.files[name].data
        at, flip = toss.randrange(len(data)), toss.randint(1, 255)
        data[at] ^= flip
        hit = [number for number in side.kept if self._verified_damage(side, number)]
        for number in set(side.kept) - set(hit):
            assert restore(side.pool, record_id(number)) == side.kept[number].tree, f"{number} is damaged in silence"
        flawed = [
            number for number in side.kept if side.pool.verify(record_id(number), lambda *_: None, lambda: None).flaws
        ]
        if flawed and not hit:
            self._mend(side, flawed)
            side.hurt.add(name)
            self._count("flaw mended")
        elif not hit or flawed:
            data[at] ^= flip  # no record needs it, and a later one must not be built upon it
            side.pool = side.place.reopen()
            side.sessions.clear()
            self._count("damage nobody needs")
        elif not flawed:
            for number in hit:
                self._heal(toss, side, number)
            side.hurt.add(name)
            self._count("damage healed")

    def _mend(self, side: Side, flawed: list[int]) -> None:
        """A damaged header or trailer costs no file, and the next collection makes it good."""
        for number in flawed:
            assert restore(side.pool, record_id(number)) == side.kept[number].tree, f"{number} has more than a flaw"
        side.sessions.clear()
        side.pool = side.place.reopen()
        found = side.pool.collect(lambda *_: None, lambda: None, unfinished=())
        assert not found.problems, f"a collection met {found.problems}"
        self._check(side)

    def _verified_damage(self, side: Side, number: int) -> bool:
        """Whether a record is damaged; it then does not restore in silence, and what it names is of the record."""
        found = side.pool.verify(record_id(number), lambda *_: None, lambda: None)
        assert set(found.damaged) <= set(side.kept[number].tree)
        if found.damaged:
            try:
                restore(side.pool, record_id(number))
            except (Corrupt, KeyError):
                return True
            raise AssertionError(f"record {number} is damaged and restores")
        return False

    def _heal(self, toss: Random, side: Side, number: int) -> None:
        if side.pool.index_damaged:  # the media server opens it anew
            side.sessions.clear()
            side.pool = side.place.reopen()
        kept = side.kept[number]
        self._backup(toss, side, kept.owner, kept.tree)
        if number in side.kept:
            assert self._damaged(side, number) == [], f"record {number} was not healed"

    # --- hostile ---

    def replays(self, toss: Random) -> None:
        """An old fence is refused for ever; a new one ends the older session."""
        side = toss.choice(self.sides)
        number = self._next()
        first = begin(side.pool, number, fence=2)
        for fence in (0, 1):
            try:
                begin(side.pool, number, fence=fence, record=record_id(self._next()))
            except Fenced:
                continue
            raise AssertionError(f"fence {fence} of task {number} was taken after 2")
        begin(side.pool, number, fence=3, record=record_id(self._next())).abort()
        try:
            first.checkpoint()
        except (Fenced, Invalid):
            self._count("fence")
            return
        raise AssertionError("a session went on after a newer one of its task")

    def steals(self, toss: Random) -> None:
        """A chunk of another owner can neither be named, nor learnt of, nor read."""
        side = toss.choice(self.sides)
        number = self._pick(toss, side)
        if number is None:
            return
        victim = side.kept[number]
        thief = next(owner for owner in OWNERS if owner != victim.owner)
        wanted = [
            chunk
            for data in victim.tree.values()
            for chunk in Client().chunks(data)
            if chunk[0] not in side.held[thief]
        ]
        if not wanted:
            return
        name, data = toss.choice(wanted)
        session = begin(side.pool, self._next(), owner=thief)
        assert session.query(name) == (b"\0", b""), "the pool tells of a chunk that the client does not hold"
        writer = ManifestWriter(session.put_manifest, Client(owner=thief).header(session.record))
        first = writer.add_rows([(name, len(data))])
        writer.add_folder(b"/", [entry("stolen", size=len(data), first_row=first, rows=1)])
        writer.finish(Summary(1, 0, 1, len(data)))
        try:
            session.seal(1, 0, len(data))
        except Invalid:
            pass
        else:
            raise AssertionError("a manifest that names another owner's chunk was sealed")
        try:
            side.pool.read(session.record)
        except NotFound:
            self._count("theft")
            return
        raise AssertionError("a refused record can be read")
