"""docs/zstack-compatibility.md says what the code does."""

import re
from pathlib import Path

import app
from app.api.routes import ZSTACK
from app.domain import request, system_tags
from app.zstack.conditions import MAX_LIMIT, OPERATORS
from app.zstack.headers import MAX_TIMEOUT_S

PAGE = (Path(app.__file__).parents[1] / "docs/zstack-compatibility.md").read_text()


def test_every_route_is_on_the_page() -> None:
    for route in ZSTACK:
        assert f"`{route.method} {route.path}`" in PAGE, route


def test_every_system_tag_is_on_the_page() -> None:
    for tag in system_tags.KNOWN:
        assert re.search(rf"`{tag}(::[^`]*)?`", PAGE), tag


def test_limits_and_operators_are_on_the_page() -> None:
    assert f"1 to {MAX_TIMEOUT_S};" in PAGE
    assert f"`limit` is at most {MAX_LIMIT:,} " in PAGE
    assert f"required: 1 to {request.MAX_NAMES:,}," in PAGE
    assert " ".join(f"`{operator}`" for operator in OPERATORS) in PAGE
