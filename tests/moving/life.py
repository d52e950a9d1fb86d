"""One life of a process: it opens its pools, finishes what the catalogue says, and goes on until it is killed."""

from __future__ import annotations

import threading
import time
import uuid
from collections import Counter
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, Final

from moving import checks
from moving.catalogue import Catalogue, Task
from moving.checks import ALL_AT_ONCE
from moving.contents import ENCRYPTED, client, content
from moving.counting import Ciphertext, CountedSource, TwoPools
from moving.places import KINDS, Death, Places
from rubackup.agent.seals import Note, SealBook
from rubackup.agent.tasks import RunningTask
from rubackup.chunkstore.gc.safety import GcSafety
from rubackup.domain.errors import Busy, NotFound
from rubackup.media.copying import Copier
from rubackup.wire.messages import Order, RunCopy

GRACE: Final = GcSafety(grace_seconds=1)
"""With one thread there is none, so that every call depends on the seed alone."""
COLLECT_EVERY: Final = 25
"""Tasks, on average."""
SAMPLE: Final = 12
"""Copies that are restored at the beginning of each life."""


@dataclass(frozen=True)
class Orders:
    """What a process is told."""

    folder: Path
    endpoint: str
    seed: int
    records: int
    threads: int
    ends: float
    """Monotonic seconds: no task begins later."""


@dataclass
class Life:
    """A process that is a media server and its part of the server."""

    orders: Orders
    number: int
    death: Death = field(default_factory=Death)
    busy: set[str] = field(default_factory=set)
    collections: Counter[int] = field(default_factory=Counter)
    """Of each pool, begun and ended."""
    failed: list[BaseException] = field(default_factory=list)

    def run(self) -> None:
        """Until there is nothing more to do."""
        self._begin()
        threads = [threading.Thread(target=self._work, args=(one,)) for one in range(self.orders.threads)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if self.failed:
            raise self.failed[0]
        self.places.close()
        self.catalogue.close()

    def finish(self) -> Counter[str]:
        """The end: everything restores, collections leave no orphan, and what is deleted leaves nothing."""
        self._begin()
        catalogue, seed = self.catalogue, self.orders.seed
        counts: Counter[str] = Counter()
        for pool in self.places.pools.values():
            checks.collected(pool)
        self.places.close()
        self.places.open()
        checks.exactly_what_is_listed(self.places, catalogue)
        known = self.ciphertext.known()
        counts["copies restored"] += checks.restores(self.places, catalogue, catalogue.listed, seed, known)
        for number, pool in self.places.pools.items():
            counts[f"copies in {KINDS[number]}"] += sum(row.pool == number for row in catalogue.listed.values())
            counts += checks.no_orphans(number, pool, catalogue, seed)
        for number, pool in self.places.pools.items():
            checks.nothing_is_left(pool, catalogue, number)
        self.places.close()
        return counts

    # --- the beginning: what the catalogue says is finished ---

    def _begin(self) -> None:
        orders = self.orders
        self.toss = Random(f"{orders.seed}/{orders.folder.name}/{self.number}")
        self.catalogue = Catalogue(orders.folder / "catalogue")
        self.seals = SealBook(orders.folder / "seals")
        self.ciphertext = Ciphertext(orders.folder / "ciphertext")
        self.places = Places(orders.folder, orders.endpoint, self.death.step)
        self.catalogue.commit("life", self.number)
        self.places.open()
        for note in self.seals.notes():
            self._report(note)
        for record, row in list(self.catalogue.buried.items()):
            self._drop(row.pool, record)
        for task in list(self.catalogue.tasks.values()):
            self._again(task)
        checks.exactly_what_is_listed(self.places, self.catalogue)
        listed = list(self.catalogue.listed)
        sample = self.toss.sample(listed, min(SAMPLE, len(listed)))
        checks.restores(self.places, self.catalogue, sample, orders.seed, self.ciphertext.known())

    def _report(self, note: Note) -> None:
        """A sealed record of which the catalogue may not know: `media.agent` and `services.records.seal`."""
        pool, catalogue = self.places.pools[note.pool_id], self.catalogue
        try:
            sealed = pool.sealed(note.record)
        except NotFound:
            self.seals.settle(note)
            return
        task = catalogue.tasks.get(sealed.task_id)
        listed = note.record in catalogue.listed
        if task is not None and (task.record, task.fence) == (note.record, sealed.fence):
            if self.toss.random() < 0.7:
                self._commit("adopt", task.number)
                listed = True
            elif task.kind != "make" and self.toss.random() < 0.5:
                self._commit("cancel", task.number)  # somebody stopped the task meanwhile
            else:
                self._commit("again", task.number, self._name())  # or it was handed on
        if not listed:
            pool.drop(note.record)
            self._commit("refuse", note.record)
        self.seals.settle(note)

    def _again(self, task: Task) -> None:
        """Another attempt of a task that a kill ended."""
        self._commit("again", task.number, self._name())
        self._do(self.catalogue.tasks[task.number])

    # --- the work ---

    def _work(self, thread: int) -> None:
        try:
            while not self.failed and time.monotonic() < self.orders.ends:
                task = self._next()
                if task is None:
                    return
                self._do(task)
                if self.toss.random() < 1 / COLLECT_EVERY:
                    self._collect()
        except BaseException as error:
            self.failed.append(error)

    def _next(self) -> Task | None:
        """A task of a copy that no other task has; None when all is done."""
        catalogue, orders = self.catalogue, self.orders
        with catalogue.lock:
            number = catalogue.last_task + 1
            toss = Random(f"{orders.seed}/{orders.folder.name}/task/{number}")
            made = catalogue.counts["make"] + sum(task.kind == "make" for task in catalogue.tasks.values())
            if made < orders.records:
                self._commit("begin", number, "make", "", self._name(), toss.randrange(len(KINDS)), made)
                return catalogue.tasks[number]
            if catalogue.counts["make"] < orders.records:
                time.sleep(0.01)  # what another thread makes is not listed yet
            if not catalogue.unmoved:
                return None
            free = [record for record in catalogue.listed if record not in self.busy]
            fresh = [record for record in free if catalogue.listed[record].content in catalogue.unmoved]
            if not free:
                return None
            source = toss.choice(fresh if fresh and toss.random() < 0.8 else free)
            row = catalogue.listed[source]
            target = toss.choice([one for one in range(len(KINDS)) if one != row.pool])
            kind = "move" if toss.random() < 0.75 else "copy"
            self.busy.add(source)
            self._commit("begin", number, kind, source, self._name(), target, row.content)
            return catalogue.tasks[number]

    def _do(self, task: Task) -> None:
        if task.kind == "make":
            self._make(task)
        else:
            self._copy(task)
        if task.kind == "copy":
            self._thin_out(task.to.content)
        self.busy.discard(task.source)

    def _make(self, task: Task) -> None:
        """A backup."""
        wanted = content(self.orders.seed, task.to.content)
        session = self.places.pools[task.to.pool].begin(
            owner=wanted.owner, task_id=task.number, fence=task.fence, record=task.record, parent=None, share=False,
            **wanted.encryption,
        )  # fmt: skip
        with self.seals.sealing(task.to.pool, task.record):
            client(wanted.owner).backup(
                self.ciphertext.noted(session) if wanted.owner == ENCRYPTED else session, wanted.tree
            )
        self._commit("list", task.number)
        self.seals.settle(Note(task.to.pool, task.record))

    def _copy(self, task: Task) -> None:
        """A copy or move, as `media.copying` does it; the source of a move goes when the catalogue has buried it."""
        catalogue, seed, target = self.catalogue, self.orders.seed, task.to.pool
        wanted = content(seed, task.to.content)
        origin = catalogue.listed[task.source].pool
        pools = TwoPools(origin, CountedSource(self.places.pools[origin]), self.places.pools[target])
        held, collections = self._held(target, wanted)
        order = RunCopy(
            order=Order(task_id=task.number, fence=task.fence, epoch=1), pool_id=target, record=task.record, parent="",
            owner=wanted.owner, source_pool_id=origin, source_record=task.source,
        )  # fmt: skip

        def no_other(address: Any) -> Any:
            raise AssertionError("there is one media server")

        Copier(pools, self.seals, no_other).run(order, RunningTask(task.number, task.fence))  # type: ignore[arg-type]
        if collections == self.collections[target]:
            again = pools.source.read_again(wanted.ids, held)
            assert not again, f"{again} groups of {task.source} were read although {KINDS[target]} held their chunks"
        checks.nothing_is_damaged(target, pools.target)
        self._commit("list", task.number, len(held & wanted.ids), len(pools.source.given))
        self.seals.settle(Note(target, task.record))
        if task.kind == "move":
            self._drop(origin, task.source)

    def _held(self, pool: int, wanted: Any) -> tuple[set[bytes], int]:
        """Chunks of a content that a pool holds for certain, as copies with the same files are listed there.

        That is so until a collection of the pool, as one of these copies may go.
        """
        with self.catalogue.lock:
            counted = self.collections[pool]
            if counted % 2:
                return set(), counted
            others = [
                content(self.orders.seed, row.content) for row in self.catalogue.listed.values() if row.pool == pool
            ]
        alike = [one for one in others if (one.owner == ENCRYPTED) == (wanted.owner == ENCRYPTED)]
        files = wanted.files.intersection(*[frozenset().union(*(one.files for one in alike))])
        return wanted.ids if wanted in alike else wanted.shared_ids(files), counted

    def _thin_out(self, number: int) -> None:
        """Of a content that lies in three pools, one copy is deleted."""
        with self.catalogue.lock:
            copies = [
                (record, row.pool)
                for record, row in self.catalogue.listed.items()
                if row.content == number and record not in self.busy
            ]
            if len(copies) < 3:
                return
            record, pool = copies[0]
            self._commit("bury", record)
        self._drop(pool, record)

    def _drop(self, pool: int, record: str) -> None:
        self.places.pools[pool].drop(record)
        self._commit("dropped", record)

    def _collect(self) -> None:
        """One collection beside whatever else goes on."""
        number = self.toss.randrange(len(KINDS))
        with self.catalogue.lock:
            if self.collections[number] % 2:
                return
            self.collections[number] += 1
            unfinished = set(self.catalogue.tasks)
        with suppress(Busy):
            result = self.places.pools[number].collect(
                lambda *_: None,
                lambda: None,
                unfinished=unfinished,
                safety=GRACE if self.orders.threads > 1 else ALL_AT_ONCE,
            )
            assert not result.damaged, f"a collection misses chunks of {result.damaged}"
        self.collections[number] += 1

    # --- the catalogue ---

    def _commit(self, what: str, *facts: Any) -> None:
        self.death.step(of_catalogue=True)
        self.catalogue.commit(what, *facts)
        self.death.step(of_catalogue=True)

    def _name(self) -> str:
        return uuid.uuid4().hex
