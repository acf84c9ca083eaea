"""The dashboard's files over HTTP."""

import pytest

from tests.integration.api.conftest import Api


async def test_the_page_is_served_with_a_strict_policy(api: Api) -> None:
    answer = await api.get("/")
    assert (answer.status, answer.content_type) == (200, "text/html")
    policy = answer.headers["Content-Security-Policy"]
    for rule in ("default-src 'none'", "script-src 'self'", "style-src 'self'"):
        assert rule in policy
    assert "connect-src 'self'" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer.headers["X-Content-Type-Options"] == "nosniff"


async def test_a_file_that_did_not_change_costs_no_body(api: Api) -> None:
    first = await api.get("/static/js/main.js")
    assert (first.status, first.content_type) == (200, "text/javascript")
    again = await api.get("/static/js/main.js", headers={"If-None-Match": first.headers["ETag"]})
    assert (again.status, await again.read()) == (304, b"")
    other = await api.get("/static/js/main.js", headers={"If-None-Match": '"of another"'})
    assert other.status == 200
    assert (await api.get("/")).headers["ETag"] != first.headers["ETag"]


@pytest.mark.parametrize("path", ["../pages.py", "%2e%2e/pages.py", "nothing.js", "js", "", "js/"])
async def test_nothing_else_is_served_from_there(api: Api, path: str) -> None:
    assert (await api.get(f"/static/{path}")).status == 404
