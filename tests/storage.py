"""A real storage in a scratch folder, and a source to clone from."""

import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from app.domain import paths
from app.domain.plan import (
    BackingFile,
    BaseFile,
    CloneMethod,
    SourceVolume,
    StorageRef,
    StorageType,
    VolumeFormat,
    VolumePlan,
    VolumeType,
)
from tests.factories import ADMIN, new_uuid
from workers.storage.local import LocalStorage
from workers.storage.reader import Image, open_image

MIB = 1 << 20


@dataclass
class Control:
    """Lets a copy run, unless told what to raise at which checkpoint."""

    inherited_descriptors: Sequence[int] = ()
    reported: list[int] = field(default_factory=list)
    raises: Exception | None = None
    at_checkpoint: int = 1
    meanwhile: Callable[[], None] = lambda: None  # what happens beside it, at each checkpoint
    checkpoints: int = 0
    rate_bytes_s: int | None = None

    def progress(self, bytes_done: int) -> None:
        self.reported.append(bytes_done)

    def checkpoint(self) -> None:
        self.checkpoints += 1
        self.meanwhile()
        if self.raises is not None and self.checkpoints >= self.at_checkpoint:
            raise self.raises


class Shelf:
    """A LocalStorage at `folder`, whose clock is far enough ahead that every file has settled."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ref = StorageRef(new_uuid(), StorageType.LOCAL, str(folder))
        self.driver = LocalStorage(self.ref, now_ns=lambda: time.time_ns() + 10**10)
        self.driver.initialize()

    def source(
        self,
        path: Path,
        file_format: VolumeFormat,
        backing: Sequence[tuple[Path, VolumeFormat]] = (),
    ) -> SourceVolume:
        chain = tuple(BackingFile(str(file), kind) for file, kind in backing)
        return SourceVolume(new_uuid(), self.ref, str(path), file_format, chain)

    def base(self, source: SourceVolume, uuid: str | None = None) -> BaseFile:
        """Where the source's base will be."""
        uuid = uuid or new_uuid()
        path = paths.base_path(self.ref, uuid, source.format)
        return BaseFile(uuid, self.ref, path, source.format, virtual_size=0)

    def made_base(self, source: SourceVolume) -> BaseFile:
        named = self.base(source)
        facts = self.driver.make_base(source, named, Control())
        return BaseFile(named.uuid, self.ref, named.path, facts.format, facts.virtual_size)

    def plan(
        self,
        base: BaseFile,
        method: CloneMethod,
        *,
        size: int | None = None,
        fallback: bool = False,
    ) -> VolumePlan:
        uuid = new_uuid()
        kind = VolumeFormat.QCOW2 if method is CloneMethod.LINKED else base.format
        return VolumePlan(
            uuid=uuid,
            type=VolumeType.ROOT,
            device_id=0,
            storage=self.ref,
            path=paths.root_volume_path(self.ref, ADMIN, uuid, kind),
            format=kind,
            size=base.virtual_size if size is None else size,
            method=method,
            base=base,
            fallback=fallback,
        )

    def files(self) -> set[str]:
        """Every file below the root but the marker, by its path from there."""
        return {
            str(file.relative_to(self.folder))
            for file in self.folder.rglob("*")
            if not file.is_dir() and file.name != ".vmclone-storage"
        }

    def inside(self, path: str) -> str:
        return os.path.relpath(path, self.folder)


def same_content(one: Image, other: Image) -> bool:
    """What a guest reads; holes of both are not read."""
    size = max(one.virtual_size, other.virtual_size)
    for image in (one, other):
        for start, end in image.allocated():
            for offset in range(start, min(end, size), MIB):
                length = min(MIB, end - offset)
                if one.read(offset, length) != other.read(offset, length):
                    return False
    return True


def read_volume(plan: VolumePlan) -> bytes:
    """The whole content of a clone, its base below it where it is linked."""
    base = BackingFile(base_of(plan).path, base_of(plan).format)
    linked = plan.format is VolumeFormat.QCOW2 and plan.method is CloneMethod.LINKED
    with open_image(plan.path, plan.format, (base,) if linked else ()) as image:
        return image.read(0, image.virtual_size)


def base_of(volume: VolumePlan) -> BaseFile:
    assert volume.base is not None
    return volume.base
