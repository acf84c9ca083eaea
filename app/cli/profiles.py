"""Servers that a person signed in to: a file each, which only that person can read.

A profile holds a session, not the password: it is worth nothing once it was logged out of or not
used for two hours, and nothing else opens with it. An access key would never end by itself, and
users of an account cannot have one.
"""

import json
import os
import re
import stat
import tempfile
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path

from app.endpoints import ConfigurationError

DEFAULT = "default"
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")


@dataclass(frozen=True, slots=True)
class Profile:
    url: str
    user: str
    session: str | None = None  # None: logged out


def profile_file(name: str, environment: Mapping[str, str] = os.environ) -> Path:
    """Raises ConfigurationError for what is no name."""
    if not _NAME.fullmatch(name):
        raise ConfigurationError(
            f"{name!r} is no name of a profile: up to 64 letters, digits, dots, _ and -"
        )
    configured = environment.get("XDG_CONFIG_HOME", "")
    # As the XDG specification says, relative ones are ignored.
    base = Path(configured) if configured.startswith("/") else Path.home() / ".config"
    return base / "vmclone" / "profiles" / f"{name}.json"


def load(file: Path) -> Profile | None:
    """None where there is none. Raises ConfigurationError where others can read it, or where it is
    no profile."""
    try:
        with file.open("rb") as content:
            _check_private(file, os.fstat(content.fileno()))
            return Profile(**json.load(content))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be read: {error.strerror}") from error
    except (ValueError, TypeError) as error:
        raise ConfigurationError(
            f"{file} is no profile ({error}): remove it, and sign in again with `vmclone login`"
        ) from error


def save(file: Path, profile: Profile) -> None:
    """Whole or not at all. Raises ConfigurationError."""
    try:
        for folder in (file.parent.parent, file.parent):
            folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        # Made with mode 600, whatever the umask.
        descriptor, beside = tempfile.mkstemp(dir=file.parent, prefix=".new-")
        try:
            with os.fdopen(descriptor, "w") as content:
                json.dump(asdict(profile), content, indent=2)
                content.write("\n")
                content.flush()
                os.fsync(content.fileno())
            Path(beside).rename(file)
        except BaseException:
            with suppress(FileNotFoundError):
                Path(beside).unlink()
            raise
    except OSError as error:
        raise ConfigurationError(f"{file} cannot be written: {error.strerror}") from error


def _check_private(file: Path, status: os.stat_result) -> None:
    mode = stat.S_IMODE(status.st_mode)
    if mode & 0o077:
        raise ConfigurationError(
            f"{file} has mode {mode:03o}, and others can sign in with it: `chmod 600 {file}`, and "
            "where somebody may have read it, `vmclone logout` and `vmclone login`"
        )
    if status.st_uid != os.geteuid():
        raise ConfigurationError(
            f"{file} belongs to user id {status.st_uid}, not to you: remove it, and sign in again "
            "with `vmclone login`"
        )
