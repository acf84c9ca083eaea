"""Paths as ZStack's texts show them."""

import re

from aiohttp import web


def api_path(request: web.Request) -> str:
    """Decoded, from `/v1`: without the context path and repeated slashes."""
    path = re.sub("/+", "/", request.path)
    return "/" + path.removeprefix("/").removeprefix("zstack/")
