"""An image that is given for the demo is told by its name."""

from pathlib import Path

import pytest

from app.domain.errors import InvalidArgument
from workers.ops.demo.kvm.image import GIVEN_MEMORY_BYTES, GuestImage, given


@pytest.mark.parametrize("format_", ["qcow2", "raw"])
def test_an_image_is_what_its_name_says(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, format_: str
) -> None:
    file = tmp_path / f"mine.{format_}"
    file.touch()
    monkeypatch.chdir(tmp_path)
    assert given(Path(file.name)) == GuestImage(file, format_, GIVEN_MEMORY_BYTES)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("gone.qcow2", "is not there"),
        ("folder.qcow2", "is no file"),
        ("mine.img", "ending in .qcow2 or .raw"),
    ],
)
def test_what_is_no_image_is_refused(tmp_path: Path, name: str, said: str) -> None:
    (tmp_path / "mine.img").touch()
    (tmp_path / "folder.qcow2").mkdir()
    with pytest.raises(InvalidArgument, match=said):
        given(tmp_path / name)
