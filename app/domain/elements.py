"""The objects in a request's lists, field by field: every complaint names its field.

What an element may be besides an object: a string that holds one as JSON, as some clients send it.
"""

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

from app.domain.errors import InvalidArgument

UUID = re.compile(r"[0-9a-f]{32}")
# What a string of JSON can smuggle past the checks of the body around it.
UNSTORABLE = re.compile("[\x00\ud800-\udfff]")
_MAX_INTEGER = (1 << 63) - 1


def embedded_json(field: str, given: Any) -> Any:
    """An empty string is as good as none. Raises InvalidArgument for one that is no JSON."""
    if not isinstance(given, str):
        return given
    try:
        return json.loads(given) if given.strip() else None
    except (ValueError, RecursionError):
        raise InvalidArgument(f"field[{field}] is a string, but not one of JSON") from None


class Element:
    """One object of a list. Empty texts, zero and false are as good as none: some clients send
    them always."""

    def __init__(self, field: str, number: int, content: Any) -> None:
        self.where = f"{field}[{number}]"
        content = embedded_json(self.where, content)
        if not isinstance(content, Mapping):
            raise InvalidArgument(f"field[{self.where}] must be an object")
        self._content = content

    def refused(self, field: str, why: str) -> InvalidArgument:
        return InvalidArgument(f"field[{self.where}.{field}] {why}")

    def text(self, field: str, limit: int = 255) -> str | None:
        value = self._content.get(field)
        if value is not None and not isinstance(value, str):
            raise self.refused(field, "must be a string")
        value = (value or "").strip()
        if len(value) > limit:
            raise self.refused(field, f"exceeds max length of string. expected was <= {limit}")
        if UNSTORABLE.search(value):
            raise self.refused(field, "contains a character that cannot be stored")
        return value or None

    def uuid(self, field: str, of: str) -> str | None:
        value = self.text(field)
        if value is not None and not UUID.fullmatch(value):
            raise self.refused(field, f"must be the uuid of {of}")
        return value

    def choice(self, field: str, choices: Sequence[str]) -> str | None:
        value = self.text(field)
        if value is not None and value not in choices:
            raise self.refused(field, f"is {value[:64]}, valid values are {', '.join(choices)}")
        return value

    def flag(self, field: str) -> bool:
        value = self._content.get(field)
        if value is not None and not isinstance(value, bool):
            raise self.refused(field, "must be true or false")
        return bool(value)

    def number(self, field: str, what: str, limit: int = _MAX_INTEGER) -> int | None:
        """`what` is what it counts, as in "a whole number of bytes"."""
        value = self._content.get(field)
        if value is not None and (isinstance(value, bool) or not isinstance(value, int)):
            raise self.refused(field, f"must be a whole number of {what}")
        if value is not None and not 0 <= value <= limit:
            raise self.refused(field, f"is {str(value)[:32]}, it must be 0 to {limit}")
        return value or None

    def texts(self, field: str) -> tuple[str, ...]:
        """Each once, in their order."""
        given = self._content.get(field)
        if given is None:
            return ()
        if not isinstance(given, list) or not all(isinstance(each, str) for each in given):
            raise self.refused(field, "must be a list of strings")
        if any(UNSTORABLE.search(each) for each in given):
            raise self.refused(field, "contains a character that cannot be stored")
        return tuple(dict.fromkeys(each.strip() for each in given))
