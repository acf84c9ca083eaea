"""The query string of ZStack's GETs as a `VmQuery`."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from app.domain.vm_query import Comparison, Sort, VmQuery
from app.zstack.forms import BadRequest
from app.zstack.inventories import VM_FIELDS

# The first of these that stands anywhere in a condition is its operator. ZStack's order.
OPERATORS = ("!=", ">=", "<=", "!?=", "!~=", "~=", "?=", "=", ">", "<", "is null", "not null")
_NUMBERS = frozenset({"memorySize", "cpuNum", "cpuSpeed", "internalId"})
_DATES = frozenset({"createDate", "lastOpDate"})
_LISTS = frozenset({"vmNics", "allVolumes", "vmCdRoms"})
MAX_LIMIT = 10_000
MAX_INT64 = 2**63 - 1


def parse_query(pairs: Sequence[tuple[str, str]]) -> VmQuery:
    """`pairs` are the decoded parameters in order; names other than ours are ignored.

    Raises BadRequest for a condition without operator, an unknown field or a bad number.
    """
    single = dict(pairs)
    return VmQuery(
        conditions=[_condition(value) for name, value in pairs if name == "q"],
        limit=_integer(single, "limit", 1000, MAX_LIMIT),
        start=_integer(single, "start", 0, MAX_INT64),
        sort=_sort(single.get("sort")),
        fields=_fields(single.get("fields")),
        count_only=_flag(single.get("count")),
        with_total=_flag(single.get("replyWithCount")),
    )


def _condition(text: str) -> Comparison:
    operator = next((candidate for candidate in OPERATORS if candidate in text), None)
    if operator is None:
        raise BadRequest(
            f"Invalid query parameter. The '{text[:100]}' in the parameter[q] doesn't contain any "
            f"query operator[{', '.join(OPERATORS)}]"
        )
    name, _, value = text.partition(operator)
    name = name.strip()
    column = _column(name)
    if operator in {"is null", "not null"}:
        return Comparison(column, operator, None, is_text=True)
    if operator in {"~=", "!~="}:
        return Comparison(column, operator, _no_nul(value), is_text=True)
    if operator in {"?=", "!?="}:
        return Comparison(
            column,
            operator,
            [_value(name, part) for part in value.split(",")],
            is_text=_is_text(name),
        )
    return Comparison(column, operator, _value(name, value), is_text=_is_text(name))


def _column(name: str) -> str:
    column = VM_FIELDS.get(name)
    if column is None:
        raise BadRequest(
            f"Invalid query parameter. [{name[:100]}] is not a queryable field; these are: "
            f"{', '.join(VM_FIELDS)}"
        )
    return column


def _is_text(name: str) -> bool:
    return name not in _NUMBERS and name not in _DATES


def _value(name: str, text: str) -> Any:
    if name in _NUMBERS:
        try:
            number = int(text)
        except ValueError:
            number = MAX_INT64 + 1
        if abs(number) > MAX_INT64:
            raise BadRequest(f"[{name}] field is excepted an int or long, but was [{text[:100]}].")
        return number
    if name in _DATES:
        return _moment(name, text)
    return _no_nul(text)


def _moment(name: str, text: str) -> datetime:
    for form in ("%b %d, %Y %I:%M:%S %p", "%Y-%m-%d %H:%M:%S", "%Y-%m-%d"):
        try:
            return datetime.strptime(text.strip(), form).astimezone()
        except (ValueError, OverflowError):  # the latter at the edge of time
            continue
    raise BadRequest(f"[{name}] is compared with a date, but [{text[:100]}] is none")


def _no_nul(text: str) -> str:
    if "\x00" in text:
        raise BadRequest("Invalid query parameter. A value contains a NUL character")
    return text


def _integer(single: dict[str, str], name: str, default: int, most: int) -> int:
    text = single.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise BadRequest(
            f"Invalid query parameter. The parameter[{name}] must be an integer, but was "
            f"[{text[:100]}]"
        )
    return min(int(text), most)


def _sort(text: str | None) -> Sort | None:
    """`+` arrives as a space where the caller did not encode it."""
    if not text:
        return None
    return Sort(_column(text.lstrip("+- ").strip()), descending=text.startswith("-"))


def _fields(text: str | None) -> tuple[str, ...]:
    if not text:
        return ()
    names = tuple(name.strip() for name in text.split(","))
    for name in names:
        if name not in VM_FIELDS and name not in _LISTS:
            _column(name)
    return names


def _flag(text: str | None) -> bool:
    return text is not None and text.strip().lower() == "true"
