"""Manifests of copies, encrypted or not, as a client opens them."""

from __future__ import annotations

from collections.abc import Callable

from rubackup.chunkstore import ciphers
from rubackup.chunkstore.frame_cipher import ManifestCipher
from rubackup.chunkstore.keys import Keys
from rubackup.chunkstore.manifest import ManifestReader
from rubackup.client.ports import RestoreChannel
from rubackup.client.ranges import whole
from rubackup.domain.errors import Conflict, Corrupt
from rubackup.domain.identity import KEY_ID


def open_manifest(
    channel: RestoreChannel, keys: Keys | None, read: Callable[[int, int], bytes] | None = None
) -> ManifestReader:
    """A reader of the channel's record; `read` stands for the channel's own reading of ranges.

    Conflict names the key when it is not among `keys`, Invalid the cipher when this host cannot run it; Corrupt when the
    media server contradicts the manifest.
    """
    cipher = _cipher(channel, keys) if channel.key_id else None
    reader = ManifestReader(whole(read or channel.read_manifest), channel.manifest_bytes, cipher)
    if reader.header.key_id != channel.key_id:
        raise Corrupt("The manifest is encrypted with another key than the media server says.")
    return reader


def _cipher(channel: RestoreChannel, keys: Keys | None) -> ManifestCipher:
    key_id = channel.key_id
    if not KEY_ID.fullmatch(key_id):
        raise Corrupt("The media server names a key that cannot be one.")
    if keys is None:
        raise Conflict(f"The copy is encrypted with the key {key_id}, which is not on this host.")
    return ManifestCipher(keys.get(bytes.fromhex(key_id)), ciphers.usable(ciphers.by_name(channel.crypto)))
