"""The dashboard: static files, each with its ETag, and what a page may do in a browser.

The files are what the browser runs: no build step, nothing of another host. They are read once,
when the application is made.
"""

import hashlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib.resources import files
from importlib.resources.abc import Traversable
from pathlib import PurePosixPath

from aiohttp import web

_TYPES = {
    ".css": "text/css",
    ".html": "text/html",
    ".js": "text/javascript",
    ".json": "application/json",
    ".svg": "image/svg+xml",
}
# Whatever is not named is forbidden; no script or style stands in a page itself.
POLICY = "; ".join(
    [
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    ]
)
_HEADERS = {
    # Kept, and asked for again each time: a new version is seen at once, an old one costs a 304.
    "Cache-Control": "no-cache",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass(frozen=True, slots=True)
class Page:
    body: bytes
    content_type: str
    etag: str


def page_routes() -> list[web.RouteDef]:
    """`/` and everything below `/static/`."""
    pages = dict(read(files("app.api") / "static"))
    return [
        web.get("/", serve(pages.pop("index.html"))),
        *(web.get(f"/static/{path}", serve(page)) for path, page in pages.items()),
    ]


def read(folder: Traversable, below: PurePosixPath | None = None) -> list[tuple[str, Page]]:
    """Each page of a folder with its path below it."""
    below = below or PurePosixPath()
    found: list[tuple[str, Page]] = []
    for entry in sorted(folder.iterdir(), key=lambda each: each.name):
        path = below / entry.name
        if entry.is_dir():
            found += read(entry, path)
        elif path.suffix in _TYPES:
            found.append((str(path), page_of(entry)))
    return found


def page_of(file: Traversable) -> Page:
    body = file.read_bytes()
    content_type = _TYPES[PurePosixPath(file.name).suffix]
    return Page(body, content_type, hashlib.sha256(body).hexdigest()[:32])


def serve(page: Page, *, policy: str = POLICY) -> Handler:
    async def serve(request: web.Request) -> web.Response:
        known = request.if_none_match or ()
        if any(etag.value in {page.etag, "*"} for etag in known):
            response = web.Response(status=304)
        else:
            response = web.Response(body=page.body, content_type=page.content_type, charset="utf-8")
        response.headers.update(_HEADERS, **{"Content-Security-Policy": policy})
        response.etag = page.etag
        return response

    return serve
