"""Auth: sessions. The only calls that are answered before anybody is known."""

from __future__ import annotations

from rubackup.api import auth
from rubackup.api.resource import Action, Answer, Body, Resource
from rubackup.domain.permissions import Permission

_REFUSED = {401: "Verification failed"}

AUTH = Resource(
    path="auth",
    name="Auth",
    tag="Auth",
    summary="Authorization endpoints",
    read=Permission.OWN_PASSWORD,
    actions=(
        Action(
            "POST", "login", "Log in; get access, refresh and CSRF tokens", None,
            endpoint=auth.login, answer=Answer.OBJECT, row=auth.LoggedIn, operation_id="login",
            body=Body(
                auth.Login, wrapper=None,
                example={"rubackup_database": "rubackup", "rubackup_user": "rubackup", "password": "Testing12345*"},
            ),
            statuses=_REFUSED | {429: "Too many failed attempts from this network; see Retry-After"},
        ),
        Action(
            "POST", "refresh", "Get the session's next pair of tokens", None,
            endpoint=auth.refresh, answer=Answer.OBJECT, row=auth.Refreshed, operation_id="refresh",
            headers={
                "Authorization-Access-Token": "The access token, expired or not, with the prefix Bearer. Not with cookies.",
                "Authorization": "The refresh token with the prefix Bearer. Not with cookies.",
            },
            statuses=_REFUSED | {403: "The tokens came from cookies without the right X-CSRF-TOKEN"},
        ),
        Action(
            "DELETE", "logout", "Revoke the session's tokens", None,
            endpoint=auth.logout, operation_id="logout", message="Authentication data has been revoked",
            headers={"Authorization": "The access or the refresh token with the prefix Bearer. Not with cookies."},
            statuses=_REFUSED | {403: "The X-CSRF-TOKEN header is wrong"},
        ),
    ),
)  # fmt: skip
