"""The volumes of one clone: where each goes and how it is made, its room taken from the world.

Pure, as planning.py.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.domain import paths
from app.domain.disk_params import DiskWish
from app.domain.errors import (
    InvalidArgument,
    PrimaryStorageFull,
    ResourceNotFound,
    StorageUnavailable,
    StorageUnreachable,
)
from app.domain.plan import CloneMethod, VolumeFormat, VolumePlan, VolumeType
from app.domain.slots import Slots
from app.domain.spec import CloneSpec
from app.settings import Settings
from app.store.sources import SourceBase
from app.store.world import StorageView, World

SECTOR = 512


@dataclass(frozen=True, slots=True)
class ThinShare:
    """What a linked or reflinked volume reserves of its virtual size."""

    share: float
    minimum_bytes: int

    @classmethod
    def of_settings(cls, settings: Settings) -> "ThinShare":
        return cls(settings.thin_share, settings.thin_minimum_bytes)

    def of(self, size: int) -> int:
        return min(size, max(self.minimum_bytes, int(size * self.share)))


class VolumePlanner:
    """Of the items of one job within one batch."""

    def __init__(
        self,
        spec: CloneSpec,
        bases: Sequence[SourceBase],
        world: World,
        thin: ThinShare,
        account_uuid: str,
    ) -> None:
        """Raises ResourceNotFound, StorageUnreachable and InvalidArgument where no item's volumes
        can be made."""
        self._spec = spec
        self._bases = bases
        self._world = world
        self._thin = thin
        self._account_uuid = account_uuid
        self._targets = [self._target(base) for base in bases]
        self._disk_targets = [self._disk_target(disk) for disk in spec.disks]
        self._check_sizes()
        self._methods = list(map(self._method, bases, self._targets))
        self.copies = self._copies()  # slots of each storage that full copies go to

    @property
    def storage_uuids(self) -> frozenset[str]:
        """That a host has to see."""
        bases = frozenset(base.file.storage.uuid for base in self._bases)
        return bases | frozenset(target.ref.uuid for target in self._all_targets())

    def are_away(self) -> bool:
        """Raises StorageUnavailable once the fault has lasted."""
        for target in self._all_targets():
            if target.fault and target.fault_lasts:
                raise StorageUnavailable(
                    f"primary storage[name:{target.name}, uuid:{target.ref.uuid}, "
                    f"url:{target.ref.url}] cannot be used: {target.fault}"
                )
        return any(target.fault for target in self._all_targets())

    def make(self, uuids: Sequence[str]) -> list[VolumePlan]:
        return list(self._volumes(uuids))

    def take(self, volumes: Sequence[VolumePlan]) -> tuple[int, ...]:
        """The bytes that each reserves, of all of them or none. Raises PrimaryStorageFull."""
        amounts = []
        try:
            for volume in volumes:
                whole = volume.method is CloneMethod.FULL and volume.base is not None
                amount = volume.size if whole else self._thin.of(volume.size)
                self._world.storages[volume.storage.uuid].take(amount)
                amounts.append(amount)
        except PrimaryStorageFull:
            for volume, amount in zip(volumes, amounts, strict=False):
                self._world.storages[volume.storage.uuid].take(-amount)
            raise
        return tuple(amounts)

    def _all_targets(self) -> Iterator[StorageView]:
        yield from self._targets
        yield from self._disk_targets

    def _copies(self) -> list[Slots]:
        storages = {
            target.ref.uuid: target
            for target, method in zip(self._targets, self._methods, strict=True)
            if method is CloneMethod.FULL
        }
        return [storage.copies for storage in storages.values()]

    def _target(self, base: SourceBase) -> StorageView:
        wished = self._spec.wish(base.type, base.volume_uuid).storage_uuid
        return self._storage(wished or base.file.storage.uuid)

    def _disk_target(self, disk: DiskWish) -> StorageView:
        """Beside the root volume, unless it or all data volumes are asked for elsewhere."""
        wished = disk.storage_uuid or self._spec.data.storage_uuid
        return self._storage(wished) if wished else self._targets[0]

    def _storage(self, uuid: str) -> StorageView:
        """Raises ResourceNotFound for one that was removed since the job was judged."""
        if uuid not in self._world.storages:
            raise ResourceNotFound(f"primary storage[uuid:{uuid}] was removed meanwhile")
        return self._world.storages[uuid]

    def _method(self, base: SourceBase, target: StorageView) -> CloneMethod:
        wished = self._spec.wish(base.type, base.volume_uuid).method
        elsewhere = target.ref.uuid != base.file.storage.uuid
        if elsewhere and wished in {CloneMethod.LINKED, CloneMethod.REFLINK}:
            raise StorageUnreachable(
                f"a {wished} clone stays on the storage of its source[uuid:"
                f"{base.file.storage.uuid}]; to clone to storage[uuid:{target.ref.uuid}] choose "
                "cloneMode::full"
            )
        if wished is not CloneMethod.AUTO:
            return wished
        if elsewhere:
            return CloneMethod.FULL
        return CloneMethod.REFLINK if target.reflink else CloneMethod.LINKED

    def _volumes(self, uuids: Sequence[str]) -> Iterator[VolumePlan]:
        """Those of the source, then the new ones on the places after."""
        left = iter(uuids)
        for base, target, method in zip(self._bases, self._targets, self._methods, strict=True):
            yield self._volume(base, target, method, next(left))
        device_id = max((base.device_id for base in self._bases), default=0)
        for number, target in enumerate(self._disk_targets):
            size = _in_sectors(self._spec.disks[number].size)
            assert size is not None  # looked up when the job was judged
            yield self._new_disk(target, next(left), size, device_id + 1 + number)

    def _new_disk(self, target: StorageView, uuid: str, size: int, device_id: int) -> VolumePlan:
        file_format = VolumeFormat.QCOW2
        return VolumePlan(
            uuid=uuid,
            type=VolumeType.DATA,
            device_id=device_id,
            storage=target.ref,
            path=paths.data_volume_path(target.ref, self._account_uuid, uuid, file_format),
            format=file_format,
            size=size,
            method=CloneMethod.FULL,
            base=None,
        )

    def _volume(
        self, base: SourceBase, target: StorageView, method: CloneMethod, uuid: str
    ) -> VolumePlan:
        file_format = VolumeFormat.QCOW2 if method is CloneMethod.LINKED else base.file.format
        place = paths.root_volume_path if base.type is VolumeType.ROOT else paths.data_volume_path
        wish = self._spec.wish(base.type, base.volume_uuid)
        return VolumePlan(
            uuid=uuid,
            type=base.type,
            device_id=base.device_id,
            storage=target.ref,
            path=place(target.ref, self._account_uuid, uuid, file_format),
            format=file_format,
            size=_in_sectors(wish.size) or base.file.virtual_size,
            method=method,
            base=base.file,
            fallback=wish.method is CloneMethod.AUTO,
        )

    def _check_sizes(self) -> None:
        """Raises InvalidArgument for a volume that would lose its end."""
        for base in self._bases:
            size = self._spec.wish(base.type, base.volume_uuid).size
            if size is not None and size < base.file.virtual_size:
                raise InvalidArgument(
                    f"field[diskAOs] asks for a root disk of {size} bytes, and the source's has "
                    f"{base.file.virtual_size}; a clone's can be larger, not smaller"
                )


def _in_sectors(size: int | None) -> int | None:
    """A guest's disk has whole ones only."""
    return None if size is None else -(-size // SECTOR) * SECTOR
