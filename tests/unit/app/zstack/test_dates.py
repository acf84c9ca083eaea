"""ZStack's dates, which Go's client reads with a regular expression."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

from app.zstack.dates import format_date


@pytest.fixture
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[pytest.MonkeyPatch]:
    with monkeypatch.context() as patched:
        yield patched
    time.tzset()


@pytest.mark.parametrize(
    ("moment", "text"),
    [
        (datetime(2017, 11, 14, 14, 20, 57, tzinfo=UTC), "Nov 14, 2017 2:20:57 PM"),
        (datetime(2024, 2, 1, 0, 5, 9, tzinfo=UTC), "Feb 1, 2024 12:05:09 AM"),
        (datetime(2024, 2, 1, 12, 0, 0, tzinfo=UTC), "Feb 1, 2024 12:00:00 PM"),
        (datetime(2024, 2, 1, 11, 59, 59, 999999, tzinfo=UTC), "Feb 1, 2024 11:59:59 AM"),
    ],
)
def test_day_and_hour_have_no_leading_zero(
    zone: pytest.MonkeyPatch, moment: datetime, text: str
) -> None:
    zone.setenv("TZ", "UTC")
    time.tzset()
    assert format_date(moment) == text


def test_a_date_is_in_the_servers_zone(zone: pytest.MonkeyPatch) -> None:
    zone.setenv("TZ", "Asia/Shanghai")
    time.tzset()
    moment = datetime(2017, 12, 31, 23, 0, 0, tzinfo=UTC)
    assert format_date(moment) == "Jan 1, 2018 7:00:00 AM"
