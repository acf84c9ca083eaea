import pytest

from app.api.preferences import preferred_wait_s


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        ("wait=1", 1),
        ("Wait = 7", 7),
        ('respond-async, wait="3"; foo', 3),
        ("wait=600", 25),
        ("wait=0", 0),
        ("", 0),
        ("respond-async", 0),
        ("await=5", 0),
        ("wait=-1", 0),
        ("wait=1.5", 0),
        ("wait=soon", 0),
        ("wait=" + "9" * 5000, 0),
    ],
)
def test_a_wait_is_whole_seconds_up_to_the_most(header: str, seconds: int) -> None:
    assert preferred_wait_s({"Prefer": header}) == seconds


def test_nobody_waits_who_does_not_ask() -> None:
    assert preferred_wait_s({}) == 0
