"""The tokens of a session: JWT, HS256, with the claims that the guide shows; and the CSRF token.

Making a token from the same claims gives the same text, so a pair can be answered a second
time from the catalogue. Knows no catalogue itself. Design section 6.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import string
import uuid
from typing import Any

import jwt
import msgspec
from jwt.types import Options

from rubackup.domain.errors import Unauthenticated

ACCESS_SECONDS = 15 * 60
SESSION_SECONDS = 24 * 60 * 60
ALGORITHM = "HS256"
_UNCHECKED: Options = {
    "verify_exp": False,
    "verify_nbf": False,
    "verify_iat": False,
    "verify_aud": False,
    "verify_iss": False,
}


class Claims(msgspec.Struct, frozen=True, kw_only=True):
    """What a token says, in the guide's order."""

    fresh: bool = False
    iat: int
    jti: str
    type: str
    """`access` or `refresh`."""
    sub: str
    nbf: int
    csrf: str
    exp: int
    family: str


class Pair(msgspec.Struct, frozen=True):
    """Claims of the two tokens that were issued together."""

    access: Claims
    refresh: Claims


def new_family() -> str:
    """The name of a session: 16 lower-case letters (guide, samples)."""
    return "".join(secrets.choice(string.ascii_lowercase) for _ in range(16))


class Tokens:
    """Signs and reads tokens under one secret."""

    def __init__(self, secret: bytes) -> None:
        if len(secret) < 32:
            raise ValueError("the token secret must have at least 32 bytes")
        self._key = hmac.digest(secret, b"jwt", "sha256")
        self._csrf_key = hmac.digest(secret, b"csrf", "sha256")

    def csrf_token(self, user_id: int, name: str) -> str:
        """The user's CSRF token, the same as long as the secret is."""
        mac = hmac.digest(self._csrf_key, f"{user_id}:{name}".encode(), hashlib.sha256)
        return str(uuid.UUID(bytes=mac[:16], version=4))

    def new_pair(self, user_id: int, name: str, family: str, now: int, ends: int) -> Pair:
        """Claims of a new pair; neither token outlives the session's end."""
        csrf = self.csrf_token(user_id, name)

        def claims(kind: str, expires: int) -> Claims:
            return Claims(
                iat=now, jti=str(uuid.uuid4()), type=kind, sub=name, nbf=now, csrf=csrf, exp=expires, family=family
            )

        return Pair(claims("access", min(now + ACCESS_SECONDS, ends)), claims("refresh", ends))

    def sign(self, claims: Claims) -> str:
        """The token of these claims."""
        return jwt.encode(msgspec.to_builtins(claims), self._key, ALGORITHM)

    def read(self, token: str) -> Claims:
        """The claims of a token that we signed, expired or not; Unauthenticated for anything else."""
        try:
            payload: dict[str, Any] = jwt.decode(token, self._key, algorithms=[ALGORITHM], options=_UNCHECKED)
            return msgspec.convert(payload, Claims)
        except (jwt.InvalidTokenError, msgspec.ValidationError) as error:
            raise Unauthenticated from error
