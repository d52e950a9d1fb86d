"""Buckets of tokens: the average, sharing, change, and who is let through."""

from __future__ import annotations

import threading

import pytest

from rubackup.client.bandwidth import Bandwidth, Bucket
from rubackup.wire.messages import RuleBandwidth, SetBandwidth

KIB = 1024


class FakeTime:
    """A clock that only sleeping moves."""

    def __init__(self) -> None:
        self.now = 100.0
        self.late = 0.0
        """What each sleep takes too long."""

    def clock(self) -> float:
        """The time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds + self.late


def never() -> bool:
    """The task goes on."""
    return False


def sent_within(bucket: Bucket, time: FakeTime, seconds: float, piece: int = 128 * KIB) -> int:
    """Bytes that one session gets through in so long."""
    end, sent = time.now + seconds, 0
    while time.now < end:
        sent += bucket.take(piece, never)
    return sent


@pytest.mark.parametrize("rate", [4 * KIB, 64 * KIB, 1 << 20, 100 << 20])
@pytest.mark.parametrize("late", [0.0, 0.0005, 0.02])
def test_the_average_over_ten_seconds_is_the_limit(rate: int, late: float) -> None:
    """Within five percent, also where every sleep takes longer than it was asked to."""
    time = FakeTime()
    time.late = late
    bucket = Bucket(rate, time.clock, time.sleep)
    sent = sent_within(bucket, time, 10) / 10
    assert 0.95 * rate <= sent <= 1.05 * rate


def test_rest_is_not_saved() -> None:
    """Who rested for a minute gets no more in the next ten seconds than who did not."""
    time = FakeTime()
    bucket = Bucket(64 * KIB, time.clock, time.sleep)
    sent_within(bucket, time, 1)
    time.now += 60
    assert sent_within(bucket, time, 10) <= 1.05 * 640 * KIB


def test_a_change_acts_on_the_next_piece() -> None:
    """Ten seconds at each rate carry what each rate allows."""
    time = FakeTime()
    bucket = Bucket(64 * KIB, time.clock, time.sleep)
    for rate in (64 * KIB, 640 * KIB, 16 * KIB):
        bucket.change(rate)
        assert sent_within(bucket, time, 10) / 10 == pytest.approx(rate, rel=0.05)


def test_whoever_waits_goes_on_when_the_limit_is_lifted() -> None:
    """Without waiting for what was due under the old limit."""
    time = FakeTime()
    bucket = Bucket(KIB, time.clock, lambda _seconds: bucket.change(0))
    bucket.take(KIB, never)
    assert bucket.take(KIB, never) == KIB
    assert bucket.take(1 << 20, never) == 1 << 20
    assert time.now == 100.0


def test_who_waits_is_let_through_when_the_task_is_over() -> None:
    """Within one look."""
    time = FakeTime()
    bucket = Bucket(KIB, time.clock, time.sleep)
    bucket.take(KIB, lambda: time.now > 100.05)
    assert 100.05 < time.now < 100.3


class SharedTime:
    """A clock that goes on when all threads sleep, to the moment at which the first of them wants to be woken."""

    def __init__(self, threads: int) -> None:
        self.now = 100.0
        self._threads = threads
        self._changed = threading.Condition()
        self._until: dict[object, float] = {}

    def clock(self) -> float:
        """The time."""
        return self.now

    def sleep(self, seconds: float) -> None:
        """Until then, by this clock."""
        me = object()
        with self._changed:
            self._until[me] = self.now + seconds
            self._go_on()
            assert self._changed.wait_for(lambda: self.now >= self._until[me], 60)
            del self._until[me]

    def leave(self) -> None:
        """A thread has ended."""
        with self._changed:
            self._threads -= 1
            self._go_on()

    def _go_on(self) -> None:
        if self._until and len(self._until) == self._threads:
            self.now = max(self.now, min(self._until.values()))
            self._changed.notify_all()


def test_sessions_share_a_limit() -> None:
    """Four threads together get in half a second what one would get, each as much as the others."""
    time, counts = SharedTime(4), [0, 0, 0, 0]
    bucket = Bucket(4 << 20, time.clock, time.sleep)

    def send(number: int) -> None:
        while time.now < 100.5:
            counts[number] += bucket.take(16 * KIB, never)
        time.leave()

    threads = [threading.Thread(target=send, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert 1.9 * (1 << 20) < sum(counts) < 2.2 * (1 << 20)
    assert min(counts) > 0.9 * max(counts)


def told(
    backup: int = 0, restore: int = 0, rules: dict[int, int] | None = None, *, first: bool = False
) -> SetBandwidth:
    """What the server says; rules limit backups."""
    return SetBandwidth(
        epoch=1, backup=backup, restore=restore, rule_first=first,
        rules=[RuleBandwidth(rule=rule, backup=rate, restore=0) for rule, rate in (rules or {}).items()],
    )  # fmt: skip


def test_a_session_without_limit_has_no_bucket() -> None:
    """It asks one attribute, and gets all that it wants."""
    bandwidth = Bandwidth()
    with bandwidth.line("backup", 0, never) as line:
        assert line.bucket is None
        assert line.allow(1 << 20) == 1 << 20
        bandwidth.set(told(restore=KIB))
        assert line.bucket is None


def test_sessions_of_one_direction_take_from_one_bucket() -> None:
    """Those that are open when the limit begins, and later ones."""
    bandwidth = Bandwidth()
    with bandwidth.line("backup", 0, never) as one:
        bandwidth.set(told(backup=KIB, restore=KIB))
        with bandwidth.line("backup", 0, never) as two, bandwidth.line("restore", 0, never) as back:
            assert one.bucket is two.bucket is not None
            assert back.bucket is not None
            assert back.bucket is not one.bucket
            kept = one.bucket
            bandwidth.set(told(backup=2 * KIB))
            assert one.bucket is kept
            assert back.bucket is None


@pytest.mark.parametrize(("first", "client", "expected"), [
    (True, KIB, "rule"), (False, KIB, "client"), (False, 0, "rule"), (True, 0, "rule"),
])  # fmt: skip
def test_one_limit_counts_for_a_task_of_a_rule(*, first: bool, client: int, expected: str) -> None:
    """The kind that goes first, or the other where that one has none."""
    bandwidth = Bandwidth()
    bandwidth.set(told(backup=client, rules={7: 2 * KIB}, first=first))
    with (
        bandwidth.line("backup", 7, never) as of_rule,
        bandwidth.line("backup", 7, never) as same_rule,
        bandwidth.line("backup", 0, never) as of_none,
    ):
        assert of_rule.bucket is not None
        assert same_rule.bucket is of_rule.bucket
        assert (of_rule.bucket is not of_none.bucket) is (expected == "rule")


def test_a_task_that_is_over_takes_nothing() -> None:
    """Its last frame goes through without waiting."""
    bandwidth = Bandwidth()
    bandwidth.set(told(backup=1))
    with bandwidth.line("backup", 0, lambda: True) as line:
        assert line.allow(8 << 20) == 8 << 20
