"""The API's client for what sets an installation up: one user who logs in when it has to be, with errors of the domain."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import quote, urlencode

from rubackup.domain.errors import CallerError, RubackupError, Unavailable, WireFault
from rubackup.sdk import Client, LoggedOut, Refused, SdkError, Unreachable
from rubackup.sdk.caller import rows
from rubackup.sdk.client import DATABASE

T = TypeVar("T")


class ApiFault(CallerError):
    """The API refused a call."""

    code = "api_fault"

    def __init__(self, message: str, status: int) -> None:
        self.status = status
        super().__init__(message, status=status)


class RestClient:
    """One user's session. Not for several threads at a time."""

    def __init__(
        self,
        url: str,
        ca_file: Path,
        user: str,
        password: str,
        *,
        database: str = DATABASE,
        timeout_seconds: float = 30.0,
    ) -> None:
        self._user, self._password, self._database = user, password, database
        self._client = _told(lambda: Client(url, ca_file=ca_file, timeout_seconds=timeout_seconds))

    def login(self) -> dict[str, Any]:
        """Log in; what the API tells of the user."""
        return _told(lambda: self._client.login(self._user, self._password, database=self._database))

    def logout(self) -> None:
        """Revoke the tokens."""
        _told(self._client.logout)

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        self._client.close()

    def get(self, path: str, /, **query: str | int) -> Any:
        """The `data` of an answer."""
        return self.call("GET", f"{path}?{urlencode(query, quote_via=quote)}" if query else path)["data"]

    def post(self, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """`data` and `message` of an answer."""
        return self.call("POST", path, body)

    def items(self, path: str, /, **query: str | int) -> Iterator[dict[str, Any]]:
        """The rows of a list, all of them read."""
        return iter(self._logged_in(lambda: list(rows(self._client, path, query))))

    def call(self, method: str, path: str, body: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """`data` and `message` of an answer; ApiFault when it is an error. Tokens that ran out are renewed once."""
        answer = self._logged_in(lambda: self._client.call(method, path, body=body))
        return {"data": answer.data, "message": answer.message}

    def _logged_in(self, work: Callable[[], T]) -> T:
        def tried() -> T:
            try:
                return work()
            except LoggedOut:  # the first call, or the API was started again
                self._client.login(self._user, self._password, database=self._database)
            return work()

        return _told(tried)


def _told(work: Callable[[], T]) -> T:
    """What the work gives; its errors as those of the domain."""
    try:
        return work()
    except Refused as error:
        raise ApiFault(error.message, error.status) from error
    except Unreachable as error:
        raise Unavailable(error.message) from error
    except SdkError as error:
        raise WireFault(error.message) from error


def failed(error: RubackupError) -> bool:
    """Whether a call failed because nobody answered, so that it may be tried again."""
    return isinstance(error, Unavailable) or (isinstance(error, ApiFault) and error.status >= 500)
