"""Verifies a record of a pool of this host. Runs in a task's thread."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from rubackup.agent.facts import differences
from rubackup.agent.tasks import Outcome, RunningTask
from rubackup.chunkstore.pool import Pool, Spared, VerifyResult
from rubackup.domain.errors import Corrupt, Invalid, NotFound, RubackupError, StorageFault
from rubackup.domain.pools import cleared
from rubackup.wire.messages import RunVerify

NAMED_DAMAGE = 1000
"""Damaged files that the report of a verification names; further ones are lines of the task log only."""
ATTEMPTS = 3
"""A verification that finds the pool's index wrong, or the manifest damaged and repairs it, is done again."""
REBUILT: Final = "The index of the pool is wrong. It is rebuilt, and the copy is verified once more."
_SHIFTED: Final = "A storage of the pool was away for a while. The copy is verified once more."
_UNSTEADY: Final = "Storages of the pool went away and came back again and again while the copy was verified."


def verify(open_pool: Callable[[], Pool], order: RunVerify, task: RunningTask) -> Outcome:
    """Does RunVerify: what is damaged is named in the outcome, and where the damage lies in the task's log.

    `open_pool` gives the order's pool, opened anew where its index was found wrong.
    """

    def progress(done: int, total: int) -> None:
        task.progress(0, 0, done, total, 0)

    for left in reversed(range(ATTEMPTS)):
        pool = open_pool()
        shifts = pool.shifts
        found: VerifyResult | RubackupError
        try:
            if away := pool.unavailable(order.record):  # nothing is known to be damaged
                return Outcome("error", away)
            unlike = differences(order.facts, pool.sealed(order.record))
            found = pool.verify(order.record, progress, task.check, contents=order.contents)
            spared = pool.spared(order.record)
        except (Corrupt, NotFound, StorageFault) as error:
            found = error
        if isinstance(found, RubackupError) or found.damaged or found.flaws:
            pool.look()
            if away := pool.unavailable(order.record):  # it went meanwhile: what was not found proves nothing
                return Outcome("error", away)
            if pool.shifts != shifts:
                task.log("warning", _SHIFTED)
                continue
        if isinstance(found, RubackupError):
            if left and _mended_or_rebuilt(pool, order.record, found, task):
                continue
            return _failed(found)
        if not (found.damaged and pool.index_damaged and left):
            result = _sealed_anew(pool, order.record, found, task)
            return _outcome(result, unlike, spared, task, contents=order.contents)
        task.log("warning", REBUILT)
    return Outcome("error", _UNSTEADY)


def _mended_or_rebuilt(pool: Pool, record: str, error: RubackupError, task: RunningTask) -> bool:
    """Whether it is worth trying again: the index is made anew when the pool is opened next, or the manifest was."""
    if isinstance(error, StorageFault):
        return False
    if pool.index_damaged:
        task.log("warning", f"{error.message} {REBUILT}")
        return True
    return _repaired(pool, record, error, task)


def _failed(error: RubackupError) -> Outcome:
    """What ends a verification; a storage that does not work is no damage."""
    if isinstance(error, StorageFault):
        raise error
    return Outcome("error", str(error), damaged=(f"the whole copy: {error}",))


def _repaired(pool: Pool, record: str, error: RubackupError, task: RunningTask) -> bool:
    """Whether a damaged manifest could be made anew without a loss."""
    if not _mended(pool.repair_manifest, record, task, "The manifest cannot be repaired."):
        return False
    task.log("warning", f"{error.message} It was made anew from its segments, and the copy is verified once more.")
    return True


def _sealed_anew(pool: Pool, record: str, result: VerifyResult, task: RunningTask) -> VerifyResult:
    """The result without the flaw of the seal, if that could be mended."""
    if not result.seal or not _mended(pool.repair_seal, record, task, "The manifest cannot be sealed anew."):
        return result
    task.log("warning", f"{result.seal} It was sealed anew.")
    return msgspec.structs.replace(result, flaws=[one for one in result.flaws if one != result.seal], seal="")


def _mended(mend: Callable[[str], object], record: str, task: RunningTask, refused: str) -> bool:
    """Whether a record could be mended; if not, the task's log says why."""
    try:
        mend(record)
    except (Corrupt, Invalid, NotFound) as reason:
        task.log("error", f"{refused} {reason.message}")
        return False
    return True


def _outcome(result: VerifyResult, unlike: list[str], spared: Spared, task: RunningTask, *, contents: bool) -> Outcome:
    for place in result.places:
        task.log("error", place)
    for text in result.mended:
        task.log("warning", text)
    for name in result.damaged[NAMED_DAMAGE:]:
        task.log("error", f"Damaged: {name}")
    text = f"{len(result.damaged)} damaged files." if result.damaged else _whole(contents=contents)
    if result.flaws:
        text += f" {len(result.flaws)} files of the pool are damaged: {result.flaws[0]}"
    if unlike:
        text += f" {unlike[0]}"
    if spared.path:
        task.log("warning", _lies(spared))
        text += f" {_lies(spared)}"
    damaged = (*unlike, *result.flaws, *result.damaged)[:NAMED_DAMAGE]
    return Outcome("error" if damaged else "done", text, bytes_done=result.bytes_read, damaged=damaged)


def _lies(spared: Spared) -> str:
    """That a copy is not yet where it belongs, however whole it is."""
    where = f"the emergency storage {spared.path}, until a cleaning finds room in the pool"
    return f"{spared.size_bytes} bytes that it needs lie in {where}. {cleared(spared.path)}".rstrip()


def _whole(*, contents: bool) -> str:
    """What a verification without findings may say."""
    if contents:
        return "Every chunk was read again and is whole."
    return "Manifest, index and packs are in place; contents were not read."
