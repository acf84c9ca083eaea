from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.xfs import mounted_xfs


@pytest.fixture
def xfs(tmp_path: Path) -> Iterator[Path]:
    """An XFS file system of its own on a loop device, unmounted afterwards."""
    with mounted_xfs(tmp_path / "xfs") as folder:
        yield folder
