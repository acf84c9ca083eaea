"""Requests that an access key has signed: what is signed, and how old it may be.

The Date header is `EEE, dd MMM yyyy HH:mm:ss z` in English. Its zone may be an abbreviation or a
region's name, and clients whose zone's abbreviation means another place to others send it anyway:
so it is accepted when the zone says that it is now, or when the wall clocks agree without it.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from app.zstack.forms import BadRequest

WINDOW = timedelta(minutes=15)
_FORMAT = "'Date' format error, correct format is 'EEE, dd MMM yyyy HH:mm:ss z'"
_DATE = re.compile(
    r"(?P<day_name>[A-Z][a-z]{2}), (?P<day>\d{2}) (?P<month>[A-Z][a-z]{2}) (?P<year>\d{4}) "
    r"(?P<hour>\d{2}):(?P<minute>\d{2}):(?P<second>\d{2}) (?P<zone>[A-Za-z][A-Za-z0-9_/+-]{0,63})",
    re.ASCII,
)
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# Abbreviations that are no region's name, with every place that clients mean by them.
_REGIONS = {
    "CST": ("Asia/Shanghai", "America/Chicago"),
    "CDT": ("America/Chicago",),
    "EDT": ("America/New_York",),
    "MDT": ("America/Denver",),
    "PST": ("America/Los_Angeles",),
    "PDT": ("America/Los_Angeles",),
    "BST": ("Europe/London",),
    "CEST": ("Europe/Berlin",),
    "EEST": ("Europe/Helsinki",),
    "MSK": ("Europe/Moscow",),
    "IST": ("Asia/Kolkata", "Asia/Jerusalem"),
    "ICT": ("Asia/Bangkok",),
    "WIB": ("Asia/Jakarta",),
    "HKT": ("Asia/Hong_Kong",),
    "JST": ("Asia/Tokyo",),
    "KST": ("Asia/Seoul",),
    "AEST": ("Australia/Sydney",),
    "AEDT": ("Australia/Sydney",),
    "Z": ("UTC",),
}


class TooSkewed(Exception):
    """The request's Date is outside the window: answered 403."""

    def __init__(self) -> None:
        super().__init__("requestTimeTooSkewed")


def sign(secret: str, text: str) -> str:
    digest = hmac.new(secret.encode(), text.encode("utf-8", "surrogateescape"), hashlib.sha1)
    return base64.b64encode(digest.digest()).decode()


def texts_to_sign(
    *, method: str, date: str, uris: Sequence[str], content_md5: str, content_type: str
) -> Iterator[str]:
    """All that a client may have signed. `uris` are the decoded path without its query string,
    from `/v1` and, for clients that sign the context path too, as it was sent. The longer form is
    that of an old Python SDK."""
    for uri in dict.fromkeys(uris):
        yield f"{method}\n{date}\n{uri}"
        yield f"{method}\n{content_md5}\n{content_type}\n{date}\n{uri}"


def matches(secret: str, signature: str, texts: Iterator[str]) -> bool:
    given = signature.encode("utf-8", "surrogateescape")
    return any(hmac.compare_digest(sign(secret, text).encode(), given) for text in texts)


def check_date(value: str, now: datetime) -> None:
    """`now` is aware. Raises BadRequest, TooSkewed."""
    wall, zone = _parse(value)
    local = now.astimezone().replace(tzinfo=None)
    if abs(wall - local) <= WINDOW:
        return
    for place in _places(zone):
        if abs(wall.replace(tzinfo=place) - now) <= WINDOW:
            return
    raise TooSkewed


def _parse(value: str) -> tuple[datetime, str]:
    match = _DATE.fullmatch(value)
    if match is None or match["month"] not in _MONTHS:
        raise BadRequest(_FORMAT)
    try:
        wall = datetime(
            int(match["year"]),
            _MONTHS.index(match["month"]) + 1,
            int(match["day"]),
            int(match["hour"]),
            int(match["minute"]),
            int(match["second"]),
        )
    except ValueError:
        raise BadRequest(_FORMAT) from None
    if _DAYS[wall.weekday()] != match["day_name"]:
        raise BadRequest(_FORMAT)
    return wall, match["zone"]


def _places(zone: str) -> Iterator[tzinfo]:
    if zone in {"UTC", "GMT"}:  # without a zone database too
        yield UTC
        return
    for name in _REGIONS.get(zone, (zone,)):
        try:
            yield ZoneInfo(name)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            continue
