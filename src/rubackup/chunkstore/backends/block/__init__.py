"""A pool's storage on a raw block device, or a file used as one. Design: `docs/design/pools.md`, Block devices."""

from rubackup.chunkstore.backends.block.backend import BlockBackend
from rubackup.chunkstore.backends.block.prepare import format_device, rebuild

__all__ = ["BlockBackend", "format_device", "rebuild"]
