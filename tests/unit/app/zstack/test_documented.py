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


def test_every_row_that_clients_check_is_on_the_page_with_its_test() -> None:
    api = Path(app.__file__).parents[1] / "tests/integration/api"
    written = (api / "test_contract_rows.py").read_text()
    tests = re.findall(r"^async def (test_row_\d\d_\w+)", written, re.MULTILINE)
    assert [name[9:11] for name in tests] == [f"{row:02}" for row in range(1, 19)]
    assert re.findall(r"^\| (\d+) \| .* \| `(test_row_\d\d_\w+)` \|$", PAGE, re.MULTILINE) == [
        (str(row), name) for row, name in enumerate(tests, start=1)
    ]
    exchanges = {file.stem for file in (api / "exchanges").glob("*.json")}
    assert exchanges == {name.removeprefix("test_") for name in tests}
