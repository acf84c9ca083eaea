"""For all levels."""

from typing import Any

import pytest

from app.cli.starting import collect_rarely

collect_rarely()  # as the program does


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    from tests.scheduling import SharedHostScheduling

    return SharedHostScheduling(config, log) if config.getvalue("dist") == "loadfile" else None
