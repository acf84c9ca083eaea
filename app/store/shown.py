"""Stored values as our own surface shows them."""

from datetime import UTC, datetime
from typing import Any, cast

from app.domain.advice import advice_for
from app.store.views import ErrorView


def shown_time(moment: datetime | None) -> str | None:
    """ISO 8601 in UTC."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z") if moment else None


def shown_error(error: dict[str, Any] | None) -> ErrorView | None:
    """A stored ErrorCode with what to do about it."""
    return cast(ErrorView, error | {"advice": advice_for(error)}) if error else None
