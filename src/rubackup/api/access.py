"""Who asks, and may they: tokens from header or cookie, the CSRF token, the permission. Design section 6.

Order: 401 before 403, so nobody without a session learns what exists.
"""

from __future__ import annotations

from starlette.requests import Request
from starlette.responses import Response

from rubackup.api.kernel import Address, Kernel, Route
from rubackup.domain.errors import Forbidden, Unauthenticated
from rubackup.domain.permissions import NOT_BY_TOKEN, Principal
from rubackup.services.api_tokens import TOKEN_PREFIX
from rubackup.services.auth import Issued, require_csrf

ACCESS_COOKIE = "access_token_cookie"
REFRESH_COOKIE = "refresh_token_cookie"
CSRF_HEADER = "x-csrf-token"
MAX_TOKEN = 4096


def source_address(request: Request) -> str:
    """Where the call comes from."""
    return request.client.host if request.client else ""


def bearer(request: Request, header: str = "authorization") -> str | None:
    """The token of a `Bearer` header; None without the header, Unauthenticated when it has another form."""
    value = request.headers.get(header)
    if value is None:
        return None
    scheme, _, token = value.strip().partition(" ")
    if scheme.lower() != "bearer" or not 0 < len(token.strip()) <= MAX_TOKEN:
        raise Unauthenticated
    return token.strip()


async def identify(kernel: Kernel, request: Request) -> tuple[Principal, str | None]:
    """Who asks, by header or else by cookie, and the CSRF token that must come with it: none with an API token."""
    given = bearer(request)
    if given is not None and given.startswith(TOKEN_PREFIX):
        return await kernel.sessions.authenticate_token(given, source_address(request)), None
    token = given or request.cookies.get(ACCESS_COOKIE)
    if not token:
        raise Unauthenticated
    return await kernel.sessions.authenticate(token, source_address(request))


def credential_of(request: Request) -> str:
    """The token of a call that was admitted."""
    return bearer(request) or request.cookies.get(ACCESS_COOKIE, "")


def permit(route: Route, principal: Principal, request: Request, csrf: str | None) -> None:
    """Forbidden without the CSRF token, or when no role of the caller allows the call."""
    if csrf is not None:
        require_csrf(request.headers.get(CSRF_HEADER, ""), csrf)
    assert route.permission is not None
    if principal.token_id and route.permission in NOT_BY_TOKEN:
        raise Forbidden(f"No API token may do this; log in for it: {route.permission.value}")
    if not principal.may(route.permission):
        raise Forbidden(f"The role of the user does not allow this; it would need: {route.permission.value}")


def set_cookies(response: Response, request: Request, address: Address, issued: Issued) -> None:
    """Put the pair into cookies, unless the call came under another name than ours."""
    if not address.is_own(request.headers.get("host", "")):
        return
    for name, token in ((REFRESH_COOKIE, issued.refresh_token), (ACCESS_COOKIE, issued.access_token)):
        response.set_cookie(
            name, token, path="/", domain=address.cookie_domain or None, secure=True, httponly=True, samesite="strict"
        )


def drop_cookies(response: Response, request: Request, address: Address) -> None:
    """Remove the pair from the browser."""
    if not address.is_own(request.headers.get("host", "")):
        return
    for name in (REFRESH_COOKIE, ACCESS_COOKIE):
        response.delete_cookie(
            name, path="/", domain=address.cookie_domain or None, secure=True, httponly=True, samesite="strict"
        )
