"""For all levels."""

from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from app.cli.starting import collect_rarely

collect_rarely()  # as the program does

# How fast examples come says how busy the machine is, and nothing about the code.
settings.register_profile("vmclone", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("vmclone")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from tests.scheduling import SharedHostScheduling

    return SharedHostScheduling(config, log) if config.getvalue("dist") == "loadfile" else None
