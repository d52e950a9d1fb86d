"""What every message is made of, and the answer that says that something failed.

Design: `docs/design/wire.md`.
"""

from __future__ import annotations

import msgspec

PROTOCOL_VERSION = 1
OLDEST_PROTOCOL_VERSION = 1
"""The oldest that servers and media servers still speak: with hosts of releases before, in their version."""


class Message(msgspec.Struct, tag_field="t"):
    """What travels in one frame of type MESSAGE."""


class Fault(Message, tag="fault"):
    """The other side's error: `code` is a `domain.errors` code, `message` a sentence."""

    code: str
    message: str
