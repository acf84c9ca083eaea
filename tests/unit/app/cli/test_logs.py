"""What a log line says, and what it never says."""

import io
import json
import logging
from collections.abc import Callable, Iterator
from datetime import datetime
from typing import Any

import pytest
from pydantic import SecretStr

from app.cli.logs import make_handler
from app.log_fields import log_fields
from app.settings import Settings

Written = Callable[[], str]


@pytest.fixture
def logger() -> Iterator[logging.Logger]:
    logger = logging.getLogger("tests.logs")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    yield logger
    logger.handlers.clear()


def listen(logger: logging.Logger, **settings: Any) -> io.StringIO:
    stream = io.StringIO()
    logger.addHandler(make_handler(Settings(**settings), stream))
    return stream


def test_json_lines_say_what_they_are_about(logger: logging.Logger) -> None:
    stream = listen(logger, log_format="json")
    with log_fields(job_uuid="j", item_uuid="i", step="define_vm", request_id="r"):
        logger.warning("it took %d s", 3, extra={"attempt": 2, "again": False})
    line = json.loads(stream.getvalue())
    assert datetime.fromisoformat(line.pop("time")).utcoffset() is not None
    assert line == {
        "level": "warning",
        "logger": "tests.logs",
        "event": "it took 3 s",
        "job_uuid": "j",
        "item_uuid": "i",
        "step": "define_vm",
        "request_id": "r",
        "attempt": 2,
        "again": False,
    }


def test_an_exception_is_part_of_its_line(logger: logging.Logger) -> None:
    stream = listen(logger, log_format="json")
    logger.error("failed", exc_info=ValueError("two\nlines"))
    (line,) = stream.getvalue().splitlines()
    assert "ValueError: two\nlines" in json.loads(line)["exception"]


def test_fields_cannot_take_the_place_of_what_every_line_has(logger: logging.Logger) -> None:
    stream = listen(logger, log_format="json")
    logger.info("true", extra={"event": "false", "level": "false"})
    line = json.loads(stream.getvalue())
    assert (line["event"], line["level"]) == ("true", "info")


def test_text_lines_have_the_same_fields(logger: logging.Logger) -> None:
    stream = listen(logger)
    with log_fields(job_uuid="j"):
        logger.info("job accepted", extra={"error": "two words\nand a forged line"})
    (line,) = stream.getvalue().splitlines()
    assert line.endswith(
        'INFO tests.logs: job accepted job_uuid=j error="two words\\nand a forged line"'
    )


@pytest.mark.parametrize("log_format", ["text", "json"])
def test_no_secret_is_ever_written(logger: logging.Logger, log_format: str) -> None:
    secrets: dict[str, Any] = {
        "database_url": SecretStr("postgresql://vmclone:dbpass@db/vmclone"),
        "broker_url": SecretStr("redis://:brokerpass@redis:6379/0"),
        "admin_password": SecretStr("adminadmin"),
        "webhook_secret": SecretStr("whsec_c2VjcmV0c2VjcmV0"),
        "metrics_token": SecretStr("opensesame"),
    }
    session = "0123456789abcdef0123456789abcdef"
    stream = listen(logger, log_format=log_format, **secrets)
    error = ConnectionError("cannot connect to amqp://me:otherpass@elsewhere:5672//")
    logger.error("%s", [s.get_secret_value() for s in secrets.values()], exc_info=error)
    logger.info("a header", extra={"authorization": f"OAuth {session}"})
    logger.info("settings", extra={"settings": Settings(**secrets)})
    written = stream.getvalue()
    assert "elsewhere" in written
    for secret in ("dbpass", "brokerpass", "adminadmin", "c2VjcmV0", "opensesame", "otherpass"):
        assert secret not in written
    assert session not in written
