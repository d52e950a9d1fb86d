"""One module a resource type; MODULES are those that this host can run."""

from rubackup.client.modules.filesystem import FileSystemModule
from rubackup.client.ports import Module

MODULES: tuple[Module, ...] = (FileSystemModule(),)
