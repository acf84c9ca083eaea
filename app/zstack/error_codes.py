"""ErrorCode on the wire."""

from typing import Any

from app.domain.errors import ErrorCode


def error_code_body(error: ErrorCode) -> dict[str, Any]:
    """Null members are left out; `details` is always there, because clients show it."""
    body: dict[str, Any] = {
        "code": error.code,
        "description": error.description,
        "details": error.details,
    }
    if error.cause is not None:
        body["cause"] = error_code_body(error.cause)
    if error.opaque:
        body["opaque"] = error.opaque
    return body
