"""A primary storage in memory that can be told what to raise, and when."""

from collections.abc import Callable
from dataclasses import dataclass, field

from app.domain.paths import TraceKind
from app.domain.plan import BaseFile, CloneMethod, SourceVolume, VolumeFile, VolumePlan
from workers.storage.base import (
    BaseFacts,
    CopyControl,
    FileSignature,
    StorageFacts,
    Trace,
    VolumeFacts,
)


@dataclass
class FakeStorage:
    """`volumes` and `bases` are what lies on it, by uuid. `before` is called with the name of
    each call and may raise."""

    volumes: dict[str, VolumePlan] = field(default_factory=dict)
    bases: dict[str, BaseFile] = field(default_factory=dict)
    files: dict[str, bytes] = field(default_factory=dict)  # the small ones, by path
    version: int = 1  # of the source's files: raise it to change them
    calls: list[str] = field(default_factory=list)
    before: Callable[[str], None] = lambda _: None
    base_copies: int = 0

    def _called(self, name: str) -> None:
        self.calls.append(name)
        self.before(name)

    def initialize(self) -> None:
        self._called("initialize")

    def facts(self) -> StorageFacts:
        self._called("facts")
        return StorageFacts(1 << 40, 1 << 40, "fake", reflink=False)

    def signature(self, source: SourceVolume) -> tuple[FileSignature, ...]:
        self._called("signature")
        return (FileSignature(source.path, 1, 1, 4096, self.version, self.version, allocated=4096),)

    def make_base(self, source: SourceVolume, base: BaseFile, control: CopyControl) -> BaseFacts:
        self._called("make_base")
        control.checkpoint()
        if base.uuid not in self.bases:
            self.base_copies += 1
        self.bases[base.uuid] = base
        return BaseFacts(
            format=base.format,
            virtual_size=1 << 20,
            actual_size=4096,
            signature=self.signature(source),
        )

    def clone(self, volume: VolumePlan, control: CopyControl) -> VolumeFacts:
        self._called("clone")
        control.checkpoint()
        assert volume.base is None or volume.base.uuid in self.bases
        self.volumes[volume.uuid] = volume
        control.progress(100)
        method = CloneMethod.LINKED if volume.method is CloneMethod.AUTO else volume.method
        return VolumeFacts(method=method, format=volume.format, actual_size=4096)

    def hand_over(self, volume: VolumePlan, control: CopyControl) -> VolumeFacts:
        self._called("hand_over")
        control.checkpoint()
        assert volume.base is not None
        self.bases.pop(volume.base.uuid, None)
        self.volumes[volume.uuid] = volume
        return VolumeFacts(CloneMethod.FULL, volume.format, actual_size=4096)

    def delete_volume(self, volume: VolumePlan | VolumeFile) -> None:
        self._called("delete_volume")
        self.volumes.pop(volume.uuid, None)

    def put(self, path: str, content: bytes, *, part_of: str) -> None:
        self._called("put")
        self.files[path] = content

    def drop(self, path: str) -> None:
        self._called("drop")
        self.files.pop(path, None)

    def delete_base(self, base: BaseFile) -> None:
        self._called("delete_base")
        self.bases.pop(base.uuid, None)

    def traces(self) -> list[Trace]:
        self._called("traces")
        return [Trace(TraceKind.VOLUME, v.uuid, v.path) for v in self.volumes.values()] + [
            Trace(TraceKind.BASE, base.uuid, base.path) for base in self.bases.values()
        ]

    def look_again(self, trace: Trace) -> Trace | None:
        return trace if trace.uuid in {*self.volumes, *self.bases} else None

    def discard(self, trace: Trace) -> None:
        self._called("discard")
        self.volumes.pop(str(trace.uuid), None)
        self.bases.pop(str(trace.uuid), None)
