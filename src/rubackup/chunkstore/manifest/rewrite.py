"""Gives a manifest another header, as a copy in another pool needs: its own record and parent.

A header is as long for every record and parent, so nothing behind it moves: all of it is taken over byte for byte,
whether it is encrypted or not.
"""

from __future__ import annotations

from collections.abc import Callable

from rubackup.chunkstore.manifest import format as fmt
from rubackup.chunkstore.manifest.format import Header, Summary
from rubackup.chunkstore.manifest.frames import FrameStream
from rubackup.domain.errors import Invalid


def rewrite_manifest(
    read_at: Callable[[int, int], bytes],
    size: int,
    change: Callable[[Header], Header],
    sink: Callable[[bytes], None],
) -> Summary:
    """Write the manifest that `read_at` reads to `sink`, with the header that `change` makes of its own.

    Every frame's sum is checked on the way; Corrupt when one is damaged. Invalid when the changed header has another
    length. The result is checked when it is sealed.
    """
    stream = FrameStream(read_at, size)
    frame, raw = stream.next(b"H")
    changed = fmt.encode_header(change(fmt.decode_header(raw)))
    if len(changed) != frame.raw_bytes:
        raise Invalid("Only record and parent of a manifest's header can be changed.")
    sink(fmt.MAGIC)
    sink(fmt.pack_frame(b"H", changed, level=None))
    while (kind := stream.peek().kind) in b"ERIS":
        sink(stream.next_stored(kind)[1])
    at = stream.at
    _, raw = stream.next(b"T")
    stream.finish(at)
    sink(fmt.pack_frame(b"T", bytes(raw), level=None))
    sink(fmt.FOOTER.pack(at, fmt.END))
    return fmt.decode(fmt.trailers, raw, at).summary
