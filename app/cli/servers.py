"""Which server a person's verbs talk to, and as whom."""

import os
from collections.abc import Mapping
from dataclasses import replace

from app.cli.client import Server, find_server
from app.cli.profiles import DEFAULT, load, profile_file
from app.endpoints import ConfigurationError
from app.settings import Settings

_IF_NOTHING_RUNS = (
    "start one with `make run` or `vmclone up`, or sign in to another server: `vmclone login URL`"
)
_VARIABLES = ("VMCLONE_URL", "VMCLONE_USER", "VMCLONE_PASSWORD")


def choose_server(
    profile: str | None, settings: Settings, environment: Mapping[str, str] = os.environ
) -> Server:
    """The named profile, else the environment's, else VMCLONE_PROFILE or the default profile,
    else the embedded stack with its admin. Raises ConfigurationError."""
    if profile is None and any(environment.get(name) for name in _VARIABLES):
        return _of_environment(settings, environment)
    wanted = profile or environment.get("VMCLONE_PROFILE")
    name = wanted or DEFAULT
    file = profile_file(name, environment)
    found = load(file)
    if found is None:
        if wanted:
            raise ConfigurationError(
                f"there is no profile {name} ({file}): make it with `vmclone login --profile "
                f"{name} URL`"
            )
        return replace(find_server(settings, {}), if_away=_IF_NOTHING_RUNS)
    if found.session is None:
        raise ConfigurationError(f"profile {name} is signed out: {_sign_in(name)}")
    return Server(
        found.url,
        found.user,
        session=found.session,
        if_refused=f"the session has ended: {_sign_in(name)}",
    )


def _of_environment(settings: Settings, environment: Mapping[str, str]) -> Server:
    given = {name: environment[name] for name in _VARIABLES if environment.get(name)}
    own = "VMCLONE_URL" not in given and given.get("VMCLONE_USER", "admin") == "admin"
    # This machine's own password is nobody else's to see.
    if "VMCLONE_PASSWORD" not in given and not own:
        raise ConfigurationError(
            f"{' and '.join(given)} without VMCLONE_PASSWORD: set it, or sign in with `vmclone "
            "login URL`"
        )
    return replace(
        find_server(settings, given),
        if_away="" if "VMCLONE_URL" in given else _IF_NOTHING_RUNS,
        if_refused="see VMCLONE_USER and VMCLONE_PASSWORD",
    )


def _sign_in(name: str) -> str:
    return "`vmclone login`" if name == DEFAULT else f"`vmclone login --profile {name}`"
