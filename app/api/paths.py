"""Paths as ZStack's texts show them."""

import re

from aiohttp import web

OWN_PREFIX = "/api/v1/"


def api_path(request: web.Request) -> str:
    """Decoded, from `/v1`: without the context path and repeated slashes."""
    path = re.sub("/+", "/", request.path)
    return "/" + path.removeprefix("/").removeprefix("zstack/")


def route_of(request: web.Request) -> str:
    """The template of its path: never the path itself, which names jobs and sessions."""
    resource = request.match_info.route.resource
    if resource is None:
        return "none"
    return re.sub("/+", "/", re.sub(r"\{slash\d+\}", "/", resource.canonical))
