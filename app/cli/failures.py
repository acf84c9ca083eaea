"""Which exceptions are the operator's to read, and how they read."""


def one_line(error: Exception) -> str | None:
    """What to say instead of a traceback; None for a defect of ours."""
    # Imported here: they cost more than most commands do.
    from pydantic import ValidationError
    from sqlalchemy.exc import OperationalError

    from app.domain.errors import CloneError
    from app.endpoints import ConfigurationError

    if isinstance(error, CloneError):
        return error.details
    if isinstance(error, ConfigurationError):
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
