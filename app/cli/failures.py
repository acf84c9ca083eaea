"""Which exceptions are the user's to read, and how they read."""


class ApiError(Exception):
    """The server refused; the text is what it says."""

    def __init__(self, text: str, *, status: int | None = None, code: str | None = None) -> None:
        super().__init__(text)
        self.status = status
        self.code = code  # of its ErrorCode


class NoAnswer(ApiError):
    """Nobody answered, or somebody who could not: asked again, it may be otherwise."""


def one_line(error: Exception) -> str | None:
    """What to say instead of a traceback; None for a defect of ours."""
    # Imported here: they cost more than most commands do.
    from pydantic import ValidationError
    from sqlalchemy.exc import OperationalError

    from app.domain.errors import CloneError
    from app.endpoints import ConfigurationError

    if isinstance(error, CloneError):
        return error.details
    if isinstance(error, ConfigurationError | ApiError):
        return str(error)
    if isinstance(error, ValidationError):
        return "; ".join(
            f"VMCLONE_{'_'.join(map(str, fault['loc'])).upper()}: {fault['msg']}, "
            f"not {fault['input']!r}"
            for fault in error.errors()
        )
    if isinstance(error, OperationalError):
        return f"the database cannot be used: {str(error.orig).strip()}"
    return None
