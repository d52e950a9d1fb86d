"""The Python client of the REST API, which needs nothing of the product and no other package."""

from rubackup.sdk.caller import Answer, Page, Stream, condition
from rubackup.sdk.client import Client
from rubackup.sdk.errors import BadAnswer, LoggedOut, Misused, Refused, SdkError, Unreachable
from rubackup.sdk.store import FileStore, MemoryStore, Session, Store

__all__ = [
    "Answer",
    "BadAnswer",
    "Client",
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
    "condition",
]
