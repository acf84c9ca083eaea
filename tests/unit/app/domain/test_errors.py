import re
from pathlib import Path

import pytest

from app.domain import errors
from app.domain.errors import CloneError, InvalidArgument

ROOT = Path(__file__).parents[4]


def family(kind: type[CloneError] = CloneError) -> list[type[CloneError]]:
    return [kind for child in kind.__subclasses__() for kind in (child, *family(child))]


def test_no_code_is_used_twice() -> None:
    codes = [kind.code for kind in family()]
    assert sorted(codes) == sorted(set(codes))


def test_the_page_lists_exactly_the_classes() -> None:
    rows = re.findall(
        r"^\| `([A-Z0-9_]+\.\d+)` \| ([^|]+) \| (yes|no) \|",
        (ROOT / "docs" / "errors.md").read_text(),
        re.MULTILINE,
    )
    assert {(code, text.strip(), retried == "yes") for code, text, retried in rows} == {
        (kind.code, kind.description, kind.retryable) for kind in family()
    }


def test_the_tree_atop_the_module_lists_exactly_the_classes() -> None:
    drawn = re.findall(r"[├└]── (\w+)\s+(\S+\.\d+)", errors.__doc__ or "")
    assert set(drawn) == {(kind.__name__, kind.code) for kind in family()}


@pytest.mark.parametrize("kind", family(), ids=lambda kind: kind.__name__)
def test_every_error_has_details_without_being_given_any(kind: type[CloneError]) -> None:
    assert kind().error_code.details


def test_what_no_column_takes_is_not_in_a_text() -> None:
    assert InvalidArgument("a\x00b\ud800c").error_code.details == "a\ufffdb\ufffdc"
