from pathlib import Path

import pytest
from pydantic import SecretStr

from app.api.main import create_app
from app.endpoints import ConfigurationError
from app.settings import Settings


def test_the_default_password_is_for_loopback_alone(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="VMCLONE_ADMIN_PASSWORD"):
        create_app(Settings(home=tmp_path, listen="0.0.0.0"))
    create_app(Settings(home=tmp_path, listen="0.0.0.0", admin_password=SecretStr("x")))
    create_app(Settings(home=tmp_path, listen="::1"))
