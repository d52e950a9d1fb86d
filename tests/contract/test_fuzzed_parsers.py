"""The fuzzers' own targets under hypothesis, for some seconds; long runs: `scripts/fuzz-parsers`."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from fuzzers import targets
from fuzzers.targets import TARGETS, seeds
from rubackup.chunkstore import group
from rubackup.domain.errors import Corrupt

PLACES = st.integers(0, 4000)


@st.composite
def changed(draw: Callable, target: str) -> bytes:
    """A seed with some bytes changed, cut out or put in, at places that may be anywhere."""
    data = bytearray(draw(st.sampled_from(seeds(target))))
    for _ in range(draw(st.integers(0, 4))):
        at = draw(PLACES) % (len(data) + 1)
        match draw(st.sampled_from(["set", "insert", "cut", "large"])):
            case "set":
                data[at : at + 1] = draw(st.binary(min_size=1, max_size=1))
            case "insert":
                data[at:at] = draw(st.binary(max_size=8))
            case "cut":
                del data[at : at + draw(PLACES)]
            case "large":
                data[at : at + 4] = draw(st.sampled_from([b"\xff\xff\xff\x7f", b"\xff\xff\xff\xff", b"\0\0\0\x80"]))
    return bytes(data)


@pytest.mark.parametrize("target", TARGETS)
def test_no_input_breaks_a_parser(target: str) -> None:
    """Whatever comes, there is an error of the domain or none."""

    @settings(max_examples=150, deadline=None, suppress_health_check=list(HealthCheck))
    @given(changed(target) | st.binary(max_size=200))
    @example(b"")
    def run(data: bytes) -> None:
        TARGETS[target](data)

    run()


@pytest.mark.parametrize("target", TARGETS)
def test_every_target_has_seeds_that_it_accepts(target: str) -> None:
    """A fuzzer that begins with nothing right never gets behind the first check."""
    assert seeds(target)
    for data in seeds(target):
        TARGETS[target](data)


def test_sums_are_put_right() -> None:
    """A changed length reaches the checks behind the sums."""
    (whole, *_) = [data for data in seeds("group") if data[0] == 1 and not data[7]]  # one in clear
    wrong = bytearray(whole[1:])
    wrong[group.HEAD_BYTES + 32] ^= 1
    with pytest.raises(Corrupt, match="sum"):
        group.decode(wrong)
    with pytest.raises(Corrupt, match="do not fit"):
        group.decode(targets.summed_group(wrong))


@pytest.mark.parametrize("summed", [targets.summed_pack, targets.summed_manifest, targets.summed_group])
def test_right_sums_stay(summed: Callable[[bytearray], bytearray]) -> None:
    """What is whole is not changed."""
    kind = summed.__name__.removeprefix("summed_")
    for data in seeds(kind):
        assert summed(bytearray(data[1:])) == data[1:]


def test_a_seal_with_a_text_that_is_none_is_damaged() -> None:
    """Found by the fuzzer: a name that is not UTF-8 ended the opening of the pool."""
    (data, *_) = [data for data in seeds("seal") if data[:1] == b"\1"]
    at = data.index(b"File system")

    targets.fuzz_seal(data[:at] + b"\xcd" + data[at + 1 :])
    at = data.rindex(b"File system")
    targets.fuzz_seal(data[:at] + b"\xcd" + data[at + 1 :])


def test_a_row_of_the_index_that_is_too_short_is_damage() -> None:
    """Found by the fuzzer: it ended calls with an error that nobody expects; now the index is rebuilt."""
    for table in range(8):
        for value in (b"", b"\xcd", b"x" * 41, bytes(24)):
            targets.fuzz_index(bytes([table]) + value)
