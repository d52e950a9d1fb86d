"""The bytes of every message and frame, as older peers read and write them."""

from __future__ import annotations

import typing

import msgspec
import pytest
from wire_samples import FOLDER, SAMPLES, frames, golden, tag_of

from rubackup.wire import framing
from rubackup.wire.messages import AnyMessage, Message

BY_TAG = {tag_of(message): message for message in SAMPLES}
KINDS = typing.get_args(AnyMessage)


def _subclasses(kind: type) -> set[type]:
    return {kind, *(deeper for sub in kind.__subclasses__() for deeper in _subclasses(sub))}


def test_every_message_can_be_received():
    """A message class that is not in AnyMessage could be sent but never read."""
    assert _subclasses(Message) - {Message} == set(KINDS)


def test_every_message_has_a_sample():
    """A new message comes with a sample, and so with golden bytes."""
    assert {type(message) for message in SAMPLES} == set(KINDS)


def test_there_is_a_golden_file_for_each_frame_and_no_other():
    """A message without golden bytes, or golden bytes without a message, are a mistake."""
    assert {path.stem for path in FOLDER.glob("*.hex")} == set(frames())


@pytest.mark.parametrize("message", SAMPLES, ids=tag_of)
def test_samples_say_something_in_every_field(message):
    """A field that a sample leaves at its default would be missing a proof that it travels."""
    for field in msgspec.structs.fields(message):
        default = field.default if field.default_factory is msgspec.NODEFAULT else field.default_factory()
        assert getattr(message, field.name) != default or field.name == "os_type"


@pytest.mark.parametrize("name", frames())
def test_bytes_are_the_golden_ones(name):
    """What is written today is what was written before."""
    assert frames()[name] == golden(name)


@pytest.mark.parametrize("tag", BY_TAG)
def test_golden_bytes_are_read(tag):
    """What was written before is read as it was meant."""
    data = golden(tag)

    length, kind = framing.parse_header(data[: framing.HEADER.size])

    assert kind is framing.FrameType.MESSAGE
    assert length == len(data) - framing.HEADER.size
    assert framing.decode(data[framing.HEADER.size :]) == BY_TAG[tag]


@pytest.mark.parametrize("tag", BY_TAG)
def test_a_field_from_a_newer_peer_is_skipped(tag):
    """A peer that knows one field more is still understood."""
    tree = msgspec.msgpack.decode(golden(tag)[framing.HEADER.size :])
    tree["a_field_of_tomorrow"] = {"deep": [1, 2, 3]}

    assert framing.decode(msgspec.msgpack.encode(tree)) == BY_TAG[tag]


@pytest.mark.parametrize("tag", BY_TAG)
def test_fields_with_a_default_may_be_missing(tag):
    """A peer that does not know the optional fields yet is still understood."""
    message = BY_TAG[tag]
    fields = msgspec.structs.fields(message)
    tree = msgspec.msgpack.decode(golden(tag)[framing.HEADER.size :])
    for field in fields:
        if not field.required:
            del tree[field.name]

    read = framing.decode(msgspec.msgpack.encode(tree))

    assert type(read) is type(message)
