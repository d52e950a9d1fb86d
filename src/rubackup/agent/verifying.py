"""Verifies a record of a pool of this host. Runs in a task's thread."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from rubackup.agent.facts import differences
from rubackup.agent.tasks import Outcome, RunningTask
from rubackup.chunkstore.pool import Pool, VerifyResult
from rubackup.domain.errors import Corrupt, Invalid, NotFound, RubackupError
from rubackup.wire.messages import RunVerify

NAMED_DAMAGE = 1000
"""Damaged files that the report of a verification names; further ones are lines of the task log only."""
ATTEMPTS = 3
"""A verification that finds the pool's index wrong, or the manifest damaged and repairs it, is done again."""

REBUILT = "The index of the pool is wrong. It is rebuilt, and the copy is verified once more."


def verify(open_pool: Callable[[], Pool], order: RunVerify, task: RunningTask) -> Outcome:
    """Does RunVerify: what is damaged is named in the outcome, and where the damage lies in the task's log.

    `open_pool` gives the order's pool, opened anew where its index was found wrong.
    """

    def progress(done: int, total: int) -> None:
        task.progress(0, 0, done, total, 0)

    for left in reversed(range(ATTEMPTS)):
        pool = open_pool()
        try:
            if away := pool.unavailable(order.record):  # nothing is known to be damaged
                return Outcome("error", away)
            unlike = differences(order.facts, pool.sealed(order.record))
            result = pool.verify(order.record, progress, task.check, contents=order.contents)
        except (Corrupt, NotFound) as error:
            if left and pool.index_damaged:
                task.log("warning", f"{error.message} {REBUILT}")
                continue
            if left and _repaired(pool, order.record, error, task):
                continue
            return Outcome("error", str(error), damaged=(f"the whole copy: {error}",))
        if not (result.damaged and pool.index_damaged and left):
            result = _sealed_anew(pool, order.record, result, task)
            break
        task.log("warning", REBUILT)
    return _outcome(result, unlike, task, contents=order.contents)


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


def _outcome(result: VerifyResult, unlike: list[str], task: RunningTask, *, contents: bool) -> Outcome:
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
    damaged = (*unlike, *result.flaws, *result.damaged)[:NAMED_DAMAGE]
    return Outcome("error" if damaged else "done", text, bytes_done=result.bytes_read, damaged=damaged)


def _whole(*, contents: bool) -> str:
    """What a verification without findings may say."""
    if contents:
        return "Every chunk was read again and is whole."
    return "Manifest, index and packs are in place; contents were not read."
