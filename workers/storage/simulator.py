"""A simulated storage: no content, but volumes and bases that are there or not."""

from app.domain.errors import OperationFailed, StorageUnavailable
from app.domain.paths import TraceKind
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
    Trace,
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
        self._folder = folder
        self._volumes = StateFiles(folder / "volumes")
        self._bases = StateFiles(folder / "bases")

    def initialize(self) -> None:
        """The folder stands for the marker."""
        self._folder.mkdir(parents=True, exist_ok=True)

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
        full = volume.method is CloneMethod.FULL and volume.base is not None
        actual_size = volume.size if full else THIN_BYTES
        if full:
            control.progress(volume.size)
        return VolumeFacts(volume.method, volume.format, actual_size)

    def hand_over(self, volume: VolumePlan, control: CopyControl) -> VolumeFacts:
        control.checkpoint()
        simulate("hand_over", self._settings)
        self._volumes.add(volume.uuid)
        assert volume.base is not None  # a new disk takes none
        self._bases.remove(volume.base.uuid)
        return VolumeFacts(CloneMethod.FULL, volume.format, volume.size)

    def delete_volume(self, volume: VolumePlan | VolumeFile) -> None:
        simulate("delete_volume", self._settings)
        self._volumes.remove(volume.uuid)

    def put(self, path: str, content: bytes, *, part_of: str) -> None:
        """No guest reads it."""

    def drop(self, path: str) -> None:
        """Nothing was put there."""

    def delete_base(self, base: BaseFile) -> None:
        simulate("delete_base", self._settings)
        self._bases.remove(base.uuid)

    def traces(self) -> list[Trace]:
        if not self._folder.is_dir():
            raise StorageUnavailable(
                f"simulated primary storage[uuid:{self._uuid}] has no state below "
                f"{self._settings.home}; is VMCLONE_HOME that of its worker?"
            )
        return [Trace(TraceKind.VOLUME, uuid, None) for uuid in self._volumes.names()] + [
            Trace(TraceKind.BASE, uuid, None) for uuid in self._bases.names()
        ]

    def look_again(self, trace: Trace) -> Trace | None:
        return trace if trace.uuid in self._files(trace) else None

    def discard(self, trace: Trace) -> None:
        assert trace.uuid is not None
        self._files(trace).remove(trace.uuid)

    def _files(self, trace: Trace) -> StateFiles:
        if trace.kind is TraceKind.VOLUME:
            return self._volumes
        if trace.kind is TraceKind.BASE:
            return self._bases
        raise OperationFailed(f"a simulated storage holds no {trace.kind}")
