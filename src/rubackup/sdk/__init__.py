"""The Python client of the REST API, which needs nothing of the product and no other package."""

from rubackup.sdk.api import VERSION
from rubackup.sdk.caller import Answer, Page, Stream, condition
from rubackup.sdk.client import Client
from rubackup.sdk.errors import BadAnswer, LoggedOut, Misused, Refused, SdkError, Unreachable
from rubackup.sdk.events import Event, Events
from rubackup.sdk.store import FileStore, MemoryStore, Session, Store

__version__ = VERSION

__all__ = [
    "Answer",
    "BadAnswer",
    "Client",
    "Event",
    "Events",
    "FileStore",
    "LoggedOut",
    "MemoryStore",
    "Misused",
    "Page",
    "Refused",
    "SdkError",
    "Session",
    "Store",
    "Stream",
    "Unreachable",
    "__version__",
    "condition",
]
