import re
from pathlib import Path

from app.domain.advice import ADVICE, advice_for

PAGE = Path(__file__).parents[4] / "docs" / "errors.md"


def test_the_page_gives_the_same_advice() -> None:
    rows = re.findall(
        r"^\| `([A-Z0-9_]+\.\d+)` \|[^|]+\|[^|]+\|[^|]+\| (.+?) \|$", PAGE.read_text(), re.MULTILINE
    )
    assert dict(rows) == ADVICE


def test_what_is_to_be_mended_is_the_innermost_cause() -> None:
    error = {"code": "SYS.1006", "cause": {"code": "SYS.1006", "cause": {"code": "L3.1000"}}}
    assert advice_for(error) == ADVICE["L3.1000"]


def test_an_unknown_code_is_a_defect_of_ours() -> None:
    assert advice_for({"code": "X.1"}) == ADVICE["SYS.1000"]
