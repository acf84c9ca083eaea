"""What an access key signs, computed here once more, and the Date header's window."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.zstack.forms import BadRequest
from app.zstack.signatures import TooSkewed, check_date, matches, texts_to_sign

SECRET = "s3cret"
DATE = "Tue, 24 Nov 2026 12:00:00 UTC"
NOW = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
FORMAT = "'Date' format error, correct format is 'EEE, dd MMM yyyy HH:mm:ss z'"


def signed(text: str) -> str:
    return base64.b64encode(
        hmac.new(SECRET.encode(), text.encode(), hashlib.sha1).digest()
    ).decode()


@pytest.mark.parametrize(
    ("text", "accepted"),
    [
        (f"PUT\n{DATE}\n/v1/vm-instances/a/actions", True),
        (f"PUT\n{DATE}\n/zstack/v1/vm-instances/a/actions", True),  # the context path signed too
        (f"PUT\nmd5\napplication/json\n{DATE}\n/v1/vm-instances/a/actions", True),  # old Python
        (f"GET\n{DATE}\n/v1/vm-instances/a/actions", False),
        (f"PUT\n{DATE}\n/v1/vm-instances/b/actions", False),
        (f"PUT\n{DATE} \n/v1/vm-instances/a/actions", False),
        (f"PUT\nother\napplication/json\n{DATE}\n/v1/vm-instances/a/actions", False),
        (f"PUT\n{DATE}\n/v1/vm-instances/a/actions?x=1", False),
    ],
)
def test_both_forms_are_accepted_and_no_other(text: str, accepted: bool) -> None:
    texts = texts_to_sign(
        method="PUT",
        date=DATE,
        uris=("/v1/vm-instances/a/actions", "/zstack/v1/vm-instances/a/actions"),
        content_md5="md5",
        content_type="application/json",
    )
    assert matches(SECRET, signed(text), texts) is accepted


def header(moment: datetime, zone: str) -> str:
    return f"{moment:%a, %d %b %Y %H:%M:%S} {zone}"


@pytest.mark.parametrize(
    ("region", "zone"),
    [
        ("UTC", "UTC"),
        ("UTC", "GMT"),
        ("UTC", "Etc/UTC"),
        ("Asia/Shanghai", "Asia/Shanghai"),
        ("Asia/Shanghai", "PRC"),
        ("Asia/Shanghai", "CST"),  # means Chicago to a Java server
        ("America/Chicago", "CST"),
        ("Asia/Bangkok", "ICT"),
    ],
)
def test_a_date_is_accepted_when_its_zone_says_that_it_is_now(region: str, zone: str) -> None:
    for minutes in (-14, 0, 14):
        there = (NOW + timedelta(minutes=minutes)).astimezone(ZoneInfo(region))
        check_date(header(there, zone), NOW)


@pytest.mark.parametrize("zone", ["CST", "Asia/Tokyo", "XYZ"])
def test_a_date_is_accepted_when_the_wall_clocks_agree(zone: str) -> None:
    check_date(header(NOW.astimezone(), zone), NOW)


@pytest.mark.parametrize("minutes", [-16, 16, 24 * 60])
def test_a_date_outside_the_window_is_too_skewed(minutes: int) -> None:
    with pytest.raises(TooSkewed, match=r"^requestTimeTooSkewed$"):
        check_date(header(NOW + timedelta(minutes=minutes), "UTC"), NOW)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "today",
        "Wed, 24 Nov 2026 12:00:00 UTC",  # it was a Tuesday
        "Tue, 24 Nov 2026 12:00:00",
        "Tue, 24 Nov 2026 12:00:00 +0800",
        "Tue, 24 Nov 2026 12:00:00 +08",
        "Tue, 3 Nov 2026 12:00:00 UTC",
        "Tue, 31 Feb 2026 12:00:00 UTC",
        "Tue, 24 Nov 2026 25:00:00 UTC",
        "Tue, 24 Nov 0000 12:00:00 UTC",
        "24 Nov 2026 12:00:00 UTC",
    ],
)
def test_a_date_of_another_form_is_a_bad_request(value: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        check_date(value, NOW)
    assert str(refusal.value) == FORMAT


@given(
    st.text() | st.datetimes().map(lambda moment: header(moment, "UTC")),
    st.sampled_from(["", "UTC", "America", "posixrules", "localtime", "A" * 64, "a/../b", "CST"]),
)
def test_no_date_is_anything_but_accepted_or_refused(value: str, zone: str) -> None:
    for text in (value, f"Mon, 01 Jan 0001 00:00:00 {zone}", f"Fri, 31 Dec 9999 23:59:59 {zone}"):
        try:
            check_date(text, NOW)
        except (BadRequest, TooSkewed):
            continue
