"""The members of a request's parameter object, judged with ZStack's words."""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from app.domain.errors import InvalidArgument

MAX_NAME = 255
MAX_DESCRIPTION = 2048
_UUID = re.compile(r"[0-9a-f]{12}[1-5][0-9a-f]{3}[89ab][0-9a-f]{15}")


class Members:
    """What `message` was sent with. Texts are trimmed; each method raises InvalidArgument."""

    def __init__(self, parameters: Mapping[str, Any], message: str) -> None:
        self._parameters = parameters
        self._message = message

    def text(self, field: str, limit: int = MAX_NAME) -> str:
        """Mandatory, and not empty."""
        value = self.optional_text(field, limit)
        if not value:
            raise InvalidArgument(
                f"field[{field}] of message[{self._message}] is mandatory, can not be null"
            )
        return value

    def optional_text(self, field: str, limit: int = MAX_NAME) -> str | None:
        value = self._parameters.get(field)
        if value is None:
            return None
        text = str(value).strip() if isinstance(value, str | int | float) else None
        if text is None or not text.isprintable():
            raise InvalidArgument(
                f"field[{field}] of message[{self._message}] must be a text without control "
                "characters"
            )
        if len(text) > limit:
            raise InvalidArgument(
                f"field[{field}] of message[{self._message}] exceeds max length of string. "
                f"expected was <= {limit}, actual was {len(text)}"
            )
        return text

    def one_of(self, field: str, values: Sequence[str], default: str) -> str:
        value = self.optional_text(field) or default
        if value not in values:
            raise InvalidArgument(
                f"valid value for field[{field}] of message[{self._message}] are "
                f"[{', '.join(values)}], but {value} found"
            )
        return value

    def number(self, field: str) -> int:
        value = self._parameters.get(field)
        if value is None:
            raise InvalidArgument(
                f"field[{field}] of message[{self._message}] is mandatory, can not be null"
            )
        return int(value)

    def optional_number(self, field: str, lowest: int, highest: int) -> int | None:
        if self._parameters.get(field) is None:
            return None
        number = self.number(field)
        if not lowest <= number <= highest:
            raise InvalidArgument(
                f"field[{field}] of message[{self._message}] must be in range of "
                f"[{lowest}, {highest}], but {number} found"
            )
        return number

    def flag(self, field: str) -> bool:
        return str(self._parameters.get(field) or "").strip().lower() == "true"

    def texts(self, field: str) -> list[str]:
        """Of a list; empty where there is none."""
        values = self._parameters.get(field) or []
        if not all(isinstance(value, str) for value in values):
            raise InvalidArgument(
                f"field[{field}] of message[{self._message}] must be a list of texts"
            )
        return [value.strip() for value in values]

    def some_texts(self, field: str) -> list[str]:
        values = self.texts(field)
        if not values:
            raise InvalidArgument(
                f"field[{field}] of message[{self._message}] must be a nonempty list"
            )
        return values

    def resource_uuid(self) -> str | None:
        """The uuid that the caller chose for what is made."""
        value = self.optional_text("resourceUuid")
        if not value:
            return None
        if not _UUID.fullmatch(value):
            raise InvalidArgument(
                f"field[resourceUuid] of message[{self._message}] is no valid uuid: {value}"
            )
        return value
