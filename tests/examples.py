"""How Hypothesis looks for examples, on the levels that have some."""

from hypothesis import HealthCheck, settings

# How fast examples come says how busy the machine is, and nothing about the code.
settings.register_profile("vmclone", deadline=None, suppress_health_check=[HealthCheck.too_slow])


def look_for_examples() -> None:
    settings.load_profile("vmclone")
