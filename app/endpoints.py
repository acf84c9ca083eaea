"""Where the database and the broker are: from the environment, else from the embedded stack."""

import json
from pathlib import Path

from app.settings import Settings


class ConfigurationError(Exception):
    """The settings do not fit together, or name nothing that is there; the text says what to do."""


def database_url(settings: Settings) -> str:
    """postgresql://… Raises ConfigurationError."""
    return _url(settings, "database_url")


def broker_url(settings: Settings) -> str:
    """redis://… Raises ConfigurationError."""
    return _url(settings, "broker_url")


def endpoints_file(home: Path) -> Path:
    return home / "run" / "endpoints.json"


def _url(settings: Settings, name: str) -> str:
    if (settings.database_url is None) != (settings.broker_url is None):
        raise ConfigurationError(
            "VMCLONE_DATABASE_URL and VMCLONE_BROKER_URL go together: set both for servers of "
            "your own, or neither for the embedded ones"
        )
    given = settings.database_url if name == "database_url" else settings.broker_url
    if given is not None:
        return given.get_secret_value()
    try:
        content = json.loads(endpoints_file(settings.home).read_text())
    except (FileNotFoundError, NotADirectoryError):
        raise ConfigurationError(
            f"no vmclone stack runs on {settings.home}: start `vmclone up`, or set "
            "VMCLONE_DATABASE_URL and VMCLONE_BROKER_URL"
        ) from None
    return str(content[name])
