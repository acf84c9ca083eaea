"""How this program's logs read: as text (time, level, where, what, then fields), or as JSON lines.

Nothing secret gets out with them: passwords in URLs, credentials of headers and the values of
secret settings are masked, wherever they stand in a line.
"""

import logging
import re
import sys
import threading
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

import orjson
from pydantic import SecretStr

from app.log_fields import current_log_fields
from app.settings import Settings

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
# Celery puts the whole task into its records.
_LEFT_OUT = frozenset({"data"})
_SHORTEST_SECRET = 8  # shorter values would be found in every other word
MASK = "***"
_CREDENTIALS = (
    (re.compile(r"(://[^\s/:@]*):[^\s/@]+@"), rf"\1:{MASK}@"),
    (re.compile(r"\b(OAuth|Bearer|Basic|ZStack)(:? )[\w.~+/=:-]{8,}"), rf"\1\2{MASK}"),
)

Mask = Callable[[str], str]


def masking(settings: Settings) -> Mask:
    """Hides what the settings keep secret, and what looks like a credential."""
    secrets = sorted(
        (
            secret
            for _, value in settings
            if isinstance(value, SecretStr)
            and len(secret := value.get_secret_value()) >= _SHORTEST_SECRET
        ),
        key=len,
        reverse=True,
    )

    def mask(text: str) -> str:
        for secret in secrets:
            text = text.replace(secret, MASK)
        for pattern, shown in _CREDENTIALS:
            text = pattern.sub(shown, text)
        return text

    return mask


def _fields(record: logging.LogRecord) -> Mapping[str, Any]:
    given = {k: v for k, v in vars(record).items() if k not in _OWN and k not in _LEFT_OUT}
    return {**current_log_fields(), **given}


class TextFormatter(logging.Formatter):
    def __init__(self, mask: Mask) -> None:
        super().__init__("%(asctime)s %(levelname)s %(name)s: %(message)s")
        self._mask = mask

    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {k}={_shown(v)}" for k, v in _fields(record).items())
        first, newline, rest = super().format(record).partition("\n")
        return self._mask(f"{first}{fields}{newline}{rest}")


def _shown(value: object) -> str:
    """Quoted where it would not read as one value of one line."""
    text = str(value)
    plain = text.isprintable() and " " not in text
    return text if plain else orjson.dumps(text).decode()


class JsonFormatter(logging.Formatter):
    """One object a line: time, level, logger, event, then the fields."""

    def __init__(self, mask: Mask) -> None:
        super().__init__()
        self._mask = mask

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="microseconds"),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": self._mask(record.getMessage()),
        }
        for name, value in _fields(record).items():
            line.setdefault(name, self._plain(value))
        if record.exc_info:
            line["exception"] = self._mask(self.formatException(record.exc_info))
        return orjson.dumps(line, option=orjson.OPT_NON_STR_KEYS).decode()

    def _plain(self, value: object) -> object:
        if value is None or isinstance(value, bool | int | float):
            return value
        return self._mask(str(value))


def make_handler(settings: Settings, stream: Any = None) -> logging.Handler:
    handler = logging.StreamHandler(stream)
    formatter = JsonFormatter if settings.log_format == "json" else TextFormatter
    handler.setFormatter(formatter(masking(settings)))
    return handler


def set_up_logs(settings: Settings) -> None:
    level = settings.log_level.upper()
    logging.basicConfig(level=level, handlers=[make_handler(settings)])
    # Each line of theirs would repeat one of ours.
    for noisy in ("alembic", "kombu", "celery", "aiohttp.access", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.captureWarnings(True)
    if settings.log_format == "json":
        sys.excepthook = _log_uncaught
        threading.excepthook = lambda of: _log_uncaught(
            of.exc_type, of.exc_value or of.exc_type(), of.exc_traceback
        )


def _log_uncaught(
    kind: type[BaseException], error: BaseException, traceback: TracebackType | None
) -> None:
    if issubclass(kind, KeyboardInterrupt | SystemExit):
        return
    logging.getLogger("vmclone").critical("uncaught", exc_info=(kind, error, traceback))
