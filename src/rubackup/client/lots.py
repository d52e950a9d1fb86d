"""Has stored groups opened in threads, some at a time, while the next ones come."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Final, TypeVar

from rubackup.domain.errors import Corrupt

LOT: Final = 3
"""Groups that one thread opens at a time: waking another thread costs as much as opening a tenth of one."""

T = TypeVar("T")
Work = Callable[[list[bytes]], T]


def in_lots(
    groups: Iterable[bytes],
    submit: Callable[[Work[T], list[bytes]], Future[T]],
    work: Work[T],
    waiting: int,
    cut: Callable[[Corrupt], None],
) -> Iterator[T]:
    """What `work` makes of the groups, by lots, in order; at most so many lots are `waiting` for it.

    `submit` has it done, in some thread. `cut` is told when the groups end in Corrupt; what came before is worked on.
    """
    begun: deque[Future[T]] = deque()
    lot: list[bytes] = []
    try:
        for data in groups:
            lot.append(data)
            if len(lot) == LOT:
                if len(begun) >= waiting:
                    yield begun.popleft().result()
                begun.append(submit(work, lot))
                lot = []
    except Corrupt as error:
        cut(error)
    if lot:
        begun.append(submit(work, lot))
    while begun:
        yield begun.popleft().result()
