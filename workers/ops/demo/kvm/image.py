"""What the demo's clones are made from: a tiny guest that is built, or an image that is given."""

from dataclasses import dataclass
from pathlib import Path

from app.domain.errors import InvalidArgument, ToolMissing
from workers.ops.demo.guest.build import MEMORY_MIB, build_guest

MIB = 1 << 20
GIVEN_MEMORY_BYTES = 512 * MIB
_FORMATS = {".qcow2": "qcow2", ".raw": "raw"}


@dataclass(frozen=True, slots=True)
class GuestImage:
    path: Path
    format: str  # a VolumeFormat
    memory_bytes: int  # a guest's


def given(file: Path) -> GuestImage:
    """Told by its name what it is: what a guest wrote into a disk says nothing. Raises
    InvalidArgument."""
    path = file.absolute()
    if not path.is_file():
        what = "is no file" if path.exists() else "is not there"
        raise InvalidArgument(f"--image {file}: {path} {what}; name a disk image")
    if path.suffix not in _FORMATS:
        raise InvalidArgument(
            f"--image {file}: its name must say what it is, by ending in .qcow2 or .raw; rename it"
        )
    return GuestImage(path, _FORMATS[path.suffix], GIVEN_MEMORY_BYTES)


def built(folder: Path) -> GuestImage:
    """Made once and kept in the folder. Raises ToolMissing, OperationFailed."""
    try:
        path = build_guest(folder)
    except ToolMissing as error:
        raise ToolMissing(
            f"{error.details}; give an image of your own by --image FILE", cause=error
        ) from error
    return GuestImage(path, "qcow2", MEMORY_MIB * MIB)
