"""How simulated calls behave: they take time and fail as the settings say."""

import random
import time

from app.domain.errors import VolumeIOError
from app.settings import Settings


def simulate(call: str, settings: Settings) -> None:
    """Wait and perhaps fail. Raises VolumeIOError, which is retried."""
    if settings.simulator_step_s:
        time.sleep(settings.simulator_step_s)
    if _fails(settings.simulator_failure_rate):
        raise VolumeIOError(f"simulated failure of {call} (VMCLONE_SIMULATOR_FAILURE_RATE)")


def _fails(rate: float) -> bool:
    # The module's own generator: it is seeded anew in every forked worker.
    return random.random() < rate  # noqa: S311
