"""The module `File system`: folders, files and links."""

from rubackup.client.modules.filesystem.module import FileSystemModule

__all__ = ["FileSystemModule"]
