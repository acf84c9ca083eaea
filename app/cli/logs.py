"""How this program's logs read: time, level, where, what, then the fields it was given."""

import logging

_OWN = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class FieldsFormatter(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        fields = "".join(f" {k}={v}" for k, v in vars(record).items() if k not in _OWN)
        first, newline, rest = super().format(record).partition("\n")
        return f"{first}{fields}{newline}{rest}"


def set_up_logs(level: int = logging.INFO) -> None:
    handler = logging.StreamHandler()
    handler.setFormatter(FieldsFormatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(level=level, handlers=[handler])
    # Each line of theirs would repeat one of ours.
    for noisy in ("alembic", "kombu", "celery", "aiohttp.access"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
