import logging
from pathlib import Path

import pytest
from aiohttp.http_exceptions import BadHttpMessage, InvalidURLError
from pydantic import SecretStr

from app.api.main import create_app, is_worth_a_line
from app.endpoints import ConfigurationError
from app.settings import Settings


def test_the_default_password_is_for_loopback_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="VMCLONE_ADMIN_PASSWORD"):
        create_app(Settings(home=tmp_path, listen="0.0.0.0"))
    create_app(Settings(home=tmp_path, listen="0.0.0.0", admin_password=SecretStr("x")))
    create_app(Settings(home=tmp_path, listen="::1"))


@pytest.mark.parametrize(
    ("error", "is_logged"),
    [(BadHttpMessage("no HTTP"), False), (InvalidURLError("x:"), False), (OSError(), True)],
)
def test_what_is_no_http_fills_no_log(error: Exception, is_logged: bool) -> None:
    record = logging.LogRecord("", 0, "", 0, "", None, (type(error), error, None))
    assert is_worth_a_line(record) is is_logged
