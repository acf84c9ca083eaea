from pathlib import Path

import pytest

from app.domain.plan import SourceVolume, VolumeFormat
from tests.storage import MIB, Shelf
from workers.ops.demo.images import Content, write_qcow2, write_raw


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf(tmp_path / "ps-1")


@pytest.fixture
def content() -> Content:
    return {0: b"first", 3 * MIB: b"in the middle" * 9000}


@pytest.fixture(params=list(VolumeFormat))
def source(
    request: pytest.FixtureRequest, shelf: Shelf, tmp_path: Path, content: Content
) -> SourceVolume:
    """Of either format, outside of the storage's root."""
    file_format: VolumeFormat = request.param
    path = tmp_path / f"golden.{file_format}"
    write = write_raw if file_format is VolumeFormat.RAW else write_qcow2
    write(path, 8 * MIB, content)
    return shelf.source(path, file_format)
