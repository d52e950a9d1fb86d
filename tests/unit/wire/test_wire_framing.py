"""Frames: what is refused before it costs anything, and texts that are not UTF-8."""

from __future__ import annotations

import os

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from rubackup.domain import errors
from rubackup.wire import framing, text
from rubackup.wire.framing import FrameType
from rubackup.wire.messages import Ack, Fault, FilesystemListing, ListFilesystem, MediaAddress, Order, Query, RunRestore

RESTORE = RunRestore(
    order=Order(task_id=1, fence=1, epoch=1),
    media=MediaAddress(host="media", port=9993, hwid="c" * 64),
    record="",
    resource_type="",
    resource="",
    destination="",
    in_place=False,
    paths=[],
)

TRICKY = st.text(st.sampled_from("a/\udc80\udcff\U0010dc00\U0010dc80\U0010dcff\U0010dcfe\U0010dc7f\u00e9"), max_size=12)


@pytest.mark.parametrize("length", [framing.MAX_FRAME_BYTES + 1, 0xFFFFFFFF])
def test_a_frame_over_the_limit_is_refused_by_its_header(length):
    """Nothing is allocated for a length that is not allowed."""
    with pytest.raises(errors.WireFault, match="more than"):
        framing.parse_header(framing.HEADER.pack(length, FrameType.DATA))


def test_messages_have_a_smaller_limit():
    """A message of more than 4 MiB is refused by its header, raw bytes of that length are not."""
    length = framing.MAX_MESSAGE_BYTES + 1

    assert framing.parse_header(framing.HEADER.pack(length, FrameType.GROUP)) == (length, FrameType.GROUP)
    with pytest.raises(errors.WireFault):
        framing.parse_header(framing.HEADER.pack(length, FrameType.MESSAGE))


def test_a_caller_may_lower_the_limit():
    """Strangers get a small buffer."""
    with pytest.raises(errors.WireFault):
        framing.parse_header(framing.HEADER.pack(1025, FrameType.MESSAGE), 1024)


@pytest.mark.parametrize("number", [0, 5, 255])
def test_unknown_frame_types_are_refused(number):
    """A type that is not known is never skipped."""
    with pytest.raises(errors.WireFault, match="unknown type"):
        framing.parse_header(framing.HEADER.pack(1, number))


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xc1",
        b"\x80",  # no tag
        b"\x81\xa1t\xa5nobody",  # cut short
        b"\x81\xa1t\xa6nobody",  # unknown tag
        b"\x81\xa1t\x01",  # tag of another type
        b"\x81\xa1t\xa5fault",  # fields missing
        b"\x81\xa1t\xa3ack\x00",  # bytes left over
        b"\x82\xa1t\xaflist_filesystem\xa4path\xa1\xff",  # text that is not UTF-8
        b"\x82\xa1t\xaflist_filesystem\xa4path\xa3\xed\xb2\x80",  # a surrogate written out
        b"\x82\xa1t\xa3ack\xa1x" + b"\x91" * 100_000 + b"\xc0",  # deeper than any stack
        b"\x83\xa1t\xaflist_filesystem\xa4path\xa4\xf4\x8d\xb0\x80" + b"\x91\x01\xc0",  # a key that is a list
    ],
)
def test_malformed_messages_are_wire_faults(data):
    """Whatever comes, the reader gets one kind of error."""
    with pytest.raises(errors.WireFault):
        framing.decode(data)


@given(st.binary(max_size=200))
def test_noise_is_a_message_or_a_wire_fault(data):
    """No bytes make the reader fail otherwise."""
    try:
        framing.decode(data)
    except errors.WireFault:
        return
    assert data


def test_a_message_of_another_kind_than_asked_for_is_refused():
    """`decode` checks the kind that the caller names."""
    with pytest.raises(errors.WireFault):
        framing.decode(framing.encode(Ack()), Fault)


def test_messages_over_the_limit_are_not_sent():
    """The sender learns of it, not the reader."""
    with pytest.raises(errors.WireFault, match="more than"):
        framing.encode(Query(ids=bytes(framing.MAX_MESSAGE_BYTES)))


@pytest.mark.parametrize("path", [chr(0xD800), chr(0xDC7F), chr(0xDFFF)])
def test_texts_that_no_path_can_be_are_not_sent(path):
    """Only the surrogates of os.fsdecode have a meaning."""
    with pytest.raises(errors.WireFault, match="cannot be sent"):
        framing.encode(ListFilesystem(path=path))


@given(st.binary(max_size=40))
def test_every_file_name_comes_back(name):
    """A path of any bytes travels in a text and is the same on the other side."""
    path = os.fsdecode(name)

    assert framing.decode(framing.encode(ListFilesystem(path=path)), ListFilesystem).path == path


@given(TRICKY)
def test_the_escape_is_its_own_inverse(name):
    """Names that look like escaped ones come back as themselves."""
    wire = text.to_wire(name).encode("utf-8")

    assert text.from_wire(wire.decode("utf-8")) == name


@given(st.lists(st.tuples(TRICKY, st.booleans(), st.integers(0, 1 << 63)), max_size=4), TRICKY)
def test_texts_deep_in_a_message_come_back(entries, path):
    """Names in lists and tuples are escaped too."""
    message = FilesystemListing(path=path, entries=entries)

    assert framing.decode(framing.encode(message)) == message


@given(st.dictionaries(TRICKY, st.recursive(TRICKY | st.integers(-9, 9) | st.none() | st.binary(), st.lists)))
def test_texts_in_open_trees_come_back(tree):
    """Parameters of modules may hold such texts as keys and values, beside raw bytes."""
    message = msgspec.structs.replace(RESTORE, module_parameters=tree)

    assert framing.decode(framing.encode(message)) == message


def test_bytes_that_look_like_an_escape_are_left_alone():
    """Raw bytes are never changed, whatever they hold."""
    message = Query(ids=text.MARK * 16)

    assert framing.decode(framing.encode(message)) == message


@pytest.mark.parametrize(
    "kind",
    [kind for kind in errors.all_errors().values() if kind.code != "internal" and kind.__module__ == errors.__name__],
)
def test_an_error_arrives_as_itself(kind):
    """A domain error is on the other side of the same class, with the same sentence."""
    with pytest.raises(kind, match="no room") as caught:
        framing.raise_fault(framing.as_fault(kind("no room")))

    assert type(caught.value) is kind


def test_the_text_of_a_foreign_error_stays_here():
    """What went wrong inside may hold secrets; the other side learns only that it did."""
    fault = framing.as_fault(ValueError("password hunter2"))

    assert fault.code == "internal"
    assert "hunter2" not in fault.message
