"""Pages that need no login: Swagger UI out of an installed wheel, and the OpenAPI document. No request leaves us.

The files are those of `swagger-ui-dist` that the wheel `drf-spectacular-sidecar` carries as
data; its Django part is never imported. Design section 4.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from starlette.requests import Request
from starlette.responses import Response

from rubackup.api.kernel import BASE, Route
from rubackup.api.openapi import document_bytes

_DIST = Path("static", "drf_spectacular_sidecar", "swagger-ui-dist")
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
_ASSETS = {
    "swagger-ui-bundle.js": "text/javascript; charset=utf-8",
    "swagger-ui.css": "text/css; charset=utf-8",
    "favicon-32x32.png": "image/png",
}


@dataclass(frozen=True)
class Page:
    """A fixed answer with its entity tag."""

    body: bytes
    kind: str
    etag: str

    def answer(self, request: Request) -> Response:
        """The page, or 304 when the browser has it."""
        headers = {"etag": self.etag, "cache-control": "no-cache", "content-security-policy": _POLICY}
        if request.headers.get("if-none-match", "") == self.etag:
            return Response(status_code=304, headers=headers)
        return Response(self.body, 200, headers, self.kind)


def _page(body: bytes, kind: str) -> Page:
    return Page(body, kind, '"' + hashlib.blake2b(body, digest_size=12).hexdigest() + '"')


PATHS = (*(f"{BASE}/swagger/{name}" for name in (*_ASSETS, "start.js")), BASE, f"{BASE}/openapi.json")
"""Of every page."""


def pages(routes: Sequence[Route]) -> dict[str, Page]:
    """Every page by its path, without a trailing slash."""
    found = {f"{BASE}/swagger/{name}": _page(_asset(name), kind) for name, kind in _ASSETS.items()}
    own = resources.files("rubackup.api") / "swagger"
    found[f"{BASE}/swagger/start.js"] = _page((own / "start.js").read_bytes(), "text/javascript; charset=utf-8")
    found[BASE] = _page((own / "index.html").read_bytes(), "text/html; charset=utf-8")
    found[f"{BASE}/openapi.json"] = _page(document_bytes(routes), "application/json")
    return found


@functools.cache
def _asset(name: str) -> bytes:
    """A file of Swagger UI; found without importing the wheel's package, which wants Django."""
    spec = importlib.util.find_spec("drf_spectacular_sidecar")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("the wheel drf-spectacular-sidecar, which carries Swagger UI, is not installed")
    return (Path(spec.submodule_search_locations[0]) / _DIST / name).read_bytes()
