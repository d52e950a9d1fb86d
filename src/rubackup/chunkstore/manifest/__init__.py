"""Manifests: what a record holds, and which chunks its files are made of."""

from rubackup.chunkstore.manifest.format import Entry, EntryType, FrameCipher, Header, Summary
from rubackup.chunkstore.manifest.reader import ManifestReader
from rubackup.chunkstore.manifest.writer import ManifestWriter

__all__ = ["Entry", "EntryType", "FrameCipher", "Header", "ManifestReader", "ManifestWriter", "Summary"]
