"""A stream whose other side does not read."""

from __future__ import annotations

import asyncio

import pytest

from rubackup.wire.messages import Ping
from rubackup.wire.streams import CONGESTED_BYTES, MessageStream


class FullWriter:
    """Stands for a writer, whose own buffers no test can fill reliably through a kernel's."""

    def __init__(self, waiting):
        self.transport = self
        self.waiting = waiting
        self.written = b""

    def get_extra_info(self, _name):
        """The TLS object, of a peer without certificate."""
        return self

    def getpeercert(self, *, binary_form):
        """No certificate."""
        return

    def get_write_buffer_size(self):
        """What waits to be sent."""
        return self.waiting

    def is_closing(self):
        """It is open."""
        return False

    def write(self, data):
        """Keeps what is written."""
        self.written += data


@pytest.mark.parametrize(("waiting", "sent"), [(CONGESTED_BYTES, True), (CONGESTED_BYTES + 1, False)])
def test_nothing_is_added_for_a_peer_far_behind(waiting, sent):
    """What is sent without waiting is bounded: Ping, Pong and Busy are dropped, not piled up."""
    writer = FullWriter(waiting)

    async def main():
        return MessageStream(asyncio.StreamReader(), writer, "peer", "127.0.0.1").send_soon(Ping())

    assert asyncio.run(main()) is sent
    assert bool(writer.written) is sent
