"""What a test needs of the machine: skipped by name where it is missing, failed where everything
must be there."""

import os

import pytest


def require(condition: object, reason: str) -> None:
    """Skip unless `condition`, a module where it calls this; with VMCLONE_REQUIRE_ALL=1, fail."""
    if condition:
        return
    if os.environ.get("VMCLONE_REQUIRE_ALL") == "1":
        pytest.fail(f"required here: {reason}")
    pytest.skip(reason, allow_module_level=True)
