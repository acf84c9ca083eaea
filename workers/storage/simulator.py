"""A simulated storage: no content, but volumes and bases that are there or not."""

from app.domain.plan import (
    BaseFile,
    CloneMethod,
    SourceVolume,
    StorageRef,
    VolumeFile,
    VolumePlan,
)
from app.settings import Settings
from workers.simulation import simulate
from workers.state_files import StateFiles
from workers.storage.base import (
    BaseFacts,
    CopyControl,
    FileSignature,
    StorageFacts,
    VolumeFacts,
)

TOTAL_BYTES = 1 << 60
SOURCE_BYTES = 1 << 30
THIN_BYTES = 196608


class SimulatorStorage:
    def __init__(self, storage: StorageRef, settings: Settings) -> None:
        folder = settings.home / "simulator" / storage.uuid
        self._uuid = storage.uuid
        self._settings = settings
        self._volumes = StateFiles(folder / "volumes")
        self._bases = StateFiles(folder / "bases")

    def initialize(self) -> None:
        """There is nothing to make."""

    def facts(self) -> StorageFacts:
        return StorageFacts(TOTAL_BYTES, TOTAL_BYTES, f"simulator-{self._uuid}", reflink=False)

    def signature(self, source: SourceVolume) -> tuple[FileSignature, ...]:
        """Always the same: a simulated source never changes."""
        return (FileSignature(source.path, 0, 0, SOURCE_BYTES, 0, 0, SOURCE_BYTES),)

    def make_base(self, source: SourceVolume, base: BaseFile, control: CopyControl) -> BaseFacts:
        control.checkpoint()
        simulate("make_base", self._settings)
        self._bases.add(base.uuid)
        return BaseFacts(base.format, SOURCE_BYTES, SOURCE_BYTES, self.signature(source))

    def clone(self, volume: VolumePlan, control: CopyControl) -> VolumeFacts:
        control.checkpoint()
        if volume.uuid not in self._volumes:
            simulate("clone", self._settings)
            control.checkpoint()
            self._volumes.add(volume.uuid)
        full = volume.method is CloneMethod.FULL
        actual_size = volume.size if full else THIN_BYTES
        if full:
            control.progress(volume.size)
        return VolumeFacts(volume.method, volume.format, actual_size)

    def hand_over(self, volume: VolumePlan, control: CopyControl) -> VolumeFacts:
        control.checkpoint()
        simulate("hand_over", self._settings)
        self._volumes.add(volume.uuid)
        self._bases.remove(volume.base.uuid)
        return VolumeFacts(CloneMethod.FULL, volume.format, volume.size)

    def delete_volume(self, volume: VolumePlan | VolumeFile) -> None:
        simulate("delete_volume", self._settings)
        self._volumes.remove(volume.uuid)

    def delete_base(self, base: BaseFile) -> None:
        simulate("delete_base", self._settings)
        self._bases.remove(base.uuid)
