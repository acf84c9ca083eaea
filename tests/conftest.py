"""For all levels."""

from hypothesis import HealthCheck, settings

from app.cli.starting import collect_rarely

collect_rarely()  # as the program does

# How fast examples come says how busy the machine is, and nothing about the code.
settings.register_profile("vmclone", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("vmclone")
