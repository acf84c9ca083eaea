"""What every log line says beside its own fields: which request, job, item and step it is about.

Set once, where that is known; whoever logs below need not know it. It imports nothing of ours.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

_FIELDS: ContextVar[dict[str, str] | None] = ContextVar("log fields", default=None)


@contextmanager
def log_fields(**fields: str | None) -> Iterator[None]:
    """Within the block lines have these too; what is None is left out."""
    own = {**(_FIELDS.get() or {}), **_known(fields)}
    token = _FIELDS.set(own)
    try:
        yield
    finally:
        _FIELDS.reset(token)


def add_log_fields(**fields: str | None) -> None:
    """From here to the end of the innermost block; without one, of nothing. Seen by threads too
    that were given a copy of the block's context."""
    own = _FIELDS.get()
    if own is not None:
        own.update(_known(fields))


def current_log_fields() -> Mapping[str, str]:
    return _FIELDS.get() or {}


def _known(fields: Mapping[str, str | None]) -> dict[str, str]:
    return {name: value for name, value in fields.items() if value is not None}
