"""What a condition compares with: the caller's text as the value of its member's kind."""

from datetime import datetime
from typing import Any

from app.domain.query import Kind, Operator
from app.zstack.forms import INT64, BadRequest

_LIKES = frozenset({Operator.LIKE, Operator.NOT_LIKE})
_DATE_FORMS = ("%b %d, %Y %I:%M:%S %p", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d")


def compared(name: str, kind: Kind, operator: Operator, text: str) -> Any:
    """Raises BadRequest. A pattern is a text, whatever it is held against."""
    if "\x00" in text:
        raise BadRequest("Invalid query parameter. A value contains a NUL character")
    if any("\ud800" <= character <= "\udfff" for character in text):
        raise BadRequest("Invalid query parameter. A value is not UTF-8")
    if operator in _LIKES:
        return text
    match kind:
        case Kind.INTEGER:
            return _number(name, text)
        case Kind.BOOLEAN:
            return _truth(name, text)
        case Kind.MOMENT:
            return _moment(name, text)
    return text


def _number(name: str, text: str) -> int:
    try:
        number = int(text)
    except ValueError:
        number = INT64.stop
    if number not in INT64:
        raise BadRequest(f"[{name}] field is excepted an int or long, but was [{text[:100]}].")
    return number


def _truth(name: str, text: str) -> bool:
    truth = {"true": True, "false": False}.get(text.strip().lower())
    if truth is None:
        raise BadRequest(
            f"Invalid value for boolean field [{name}], [{text[:100]}] is not a valid boolean "
            "string[true, false]."
        )
    return truth


def _moment(name: str, text: str) -> datetime:
    """In the server's zone, as dates are shown."""
    for form in _DATE_FORMS:
        try:
            return datetime.strptime(text.strip(), form).astimezone()
        except (ValueError, OverflowError):  # the latter at the edge of time
            continue
    raise BadRequest(f"[{name}] is compared with a date, but [{text[:100]}] is none")
