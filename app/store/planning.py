"""Turns one waiting item into a grant: a host, a complete plan and everything it will hold.

Pure but for the dice: it moves the numbers of the `World` it is given, and the scheduler writes
what came out in the same transaction.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import uuid4

from app.domain import paths
from app.domain.disk_params import DiskWish
from app.domain.errors import (
    AddressUnavailable,
    CloneError,
    InvalidArgument,
    NoHostAvailable,
    NoMacAvailable,
    OperationFailed,
    PrimaryStorageFull,
    ResourceNotFound,
    StorageUnavailable,
    StorageUnreachable,
)
from app.domain.guest import GuestIdentity, hostname_of
from app.domain.machine_wish import BootMode, uefi_need
from app.domain.placement import Candidate, Demand, choose, reachable
from app.domain.plan import (
    CdRomPlan,
    CloneMethod,
    ClonePlan,
    CloneStrategy,
    HostRef,
    HypervisorType,
    TagPlan,
    VolumeFormat,
    VolumePlan,
    VolumeType,
)
from app.domain.slots import Slots
from app.domain.spec import CloneSpec
from app.domain.states import WaitReason
from app.settings import Settings
from app.store.nic_planning import Address, NicPlanner
from app.store.sources import SourceBase, SourceVm
from app.store.world import StorageView, World

SECTOR = 512


@dataclass(frozen=True, slots=True)
class WaitingItem:
    uuid: str
    ordinal: int
    name: str
    vm_uuid: str
    volume_uuids: Sequence[str]
    nic_uuids: Sequence[str]


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


@dataclass(frozen=True, slots=True)
class Grant:
    item: WaitingItem
    plan: ClonePlan
    host: Candidate
    addresses: tuple[Address, ...]
    storage_bytes: tuple[int, ...]  # beside plan.volumes
    bytes_total: int  # what the copies will move
    holds_host: bool
    internal_id: int
    turn: float  # in the host's line


def not_created(name: str, error: CloneError) -> OperationFailed:
    """Why a name's VM cannot be made, as its entry in the result says it."""
    return OperationFailed(f"unable to create vm[name:{name}]: {error.details}", cause=error)


class JobPlanner:
    """Grants the items of one job within one batch."""

    def __init__(
        self,
        *,
        job_uuid: str,
        account_uuid: str,
        weight: float,
        spec: CloneSpec,
        source: SourceVm,
        base_set_uuid: str,
        bases: Sequence[SourceBase],
        world: World,
        needs: frozenset[str],
        thin: ThinShare,
        first_start: bool = False,
    ) -> None:
        self.job_uuid = job_uuid
        self.account_uuid = account_uuid
        self._weight = weight
        self.spec = spec
        self.source = source
        self.base_set_uuid = base_set_uuid
        self.bases = bases
        self.first_start = first_start  # of a record: its VM is there
        self.nics = NicPlanner(spec, source, world)
        self._world = world
        self._needs = needs
        self._thin = thin
        self._targets: list[StorageView] = []
        self._disk_targets: list[StorageView] = []
        self._methods: list[CloneMethod] = []
        self._hosts: list[Candidate] = []
        self._never: CloneError | None = None  # why no item of this job can be granted
        try:
            self._targets = [self._target(base) for base in bases]
            self._disk_targets = [self._disk_target(disk) for disk in spec.disks]
            self._check_sizes()
            self._methods = list(map(self._method, bases, self._targets))
            self._demand = self._make_demand()
            self._hosts = reachable(world.candidates, self._demand)
        except CloneError as error:
            self._never = error

    def plan(
        self, item: WaitingItem, mac_of: Iterator[str], internal_id: int
    ) -> Grant | WaitReason:
        """Everything the item needs, taken from the world; or what it waits for.

        Raises NoHostAvailable, PrimaryStorageFull, AddressUnavailable, NoMacAvailable,
        StorageUnavailable, OperationFailed where the source has changed, and InvalidArgument where
        the root disk would shrink; then nothing was taken.
        """
        if self._never is not None:
            raise self._never
        self._check_minted(item)
        capped = self._capped()
        if capped is not None:
            return capped
        try:
            host = choose(self._hosts, self._demand)
            if isinstance(host, WaitReason):
                return host
            if self._storage_is_away():
                return WaitReason.RETRY
            addresses = self.nics.take(item.nic_uuids, item.ordinal, mac_of, internal_id)
        except (NoHostAvailable, AddressUnavailable, NoMacAvailable):
            if self._world.releasing:
                return WaitReason.RELEASING
            raise
        volumes = list(self._volumes(item.volume_uuids))
        try:
            amounts = self._take_storage(volumes)
        except PrimaryStorageFull:
            self.nics.give_back(addresses)
            if self._world.releasing:
                return WaitReason.RELEASING
            raise
        host.take(self._demand)
        for slots in self._shared_slots():
            slots.take(self.account_uuid)
        return Grant(
            item=item,
            plan=self._plan(item, host, volumes, addresses),
            host=host,
            addresses=tuple(addresses),
            storage_bytes=amounts,
            bytes_total=sum(
                base.actual_size
                for base, volume in zip(self.bases, volumes, strict=False)
                if volume.method is CloneMethod.FULL
            ),
            holds_host=self._demand.holds,
            internal_id=internal_id,
            turn=host.line.take(self.account_uuid, self._weight),
        )

    def _check_minted(self, item: WaitingItem) -> None:
        """Raises OperationFailed where the source is no longer what the job was judged by."""
        needed = (len(self.bases) + len(self.spec.disks), len(self.nics.wishes))
        if needed != (len(item.volume_uuids), len(item.nic_uuids)):
            raise OperationFailed(
                f"the source vm[uuid:{self.source.uuid}] has other volumes or NICs than when it "
                "was asked to be cloned; ask again"
            )

    def _capped(self) -> WaitReason | None:
        """What the job waits for wherever it is placed."""
        refusals = (slots.refuses(self.account_uuid) for slots in self._shared_slots())
        return next(filter(None, refusals), None)

    def _shared_slots(self) -> Iterator[Slots]:
        yield self._world.accounts[self.account_uuid]
        yield self._world.sources[self.source.uuid]
        storages = {
            target.ref.uuid: target
            for target, method in zip(self._targets, self._methods, strict=False)
            if method is CloneMethod.FULL
        }
        yield from (storage.copies for storage in storages.values())

    def _storage_is_away(self) -> bool:
        """Raises StorageUnavailable once the fault has lasted."""
        targets = [*self._targets, *self._disk_targets]
        for target in targets:
            if target.fault and target.fault_lasts:
                raise StorageUnavailable(
                    f"primary storage[name:{target.name}, uuid:{target.ref.uuid}, "
                    f"url:{target.ref.url}] cannot be used: {target.fault}"
                )
        return any(target.fault for target in targets)

    def _make_demand(self) -> Demand:
        return Demand(
            zone_uuid=self.source.zone_uuid,
            hypervisor_type=self.source.hypervisor_type,
            cpu=self.source.cpu_num,
            memory=self.source.memory_size,
            storage_uuids=frozenset(base.file.storage.uuid for base in self.bases)
            | frozenset(target.ref.uuid for target in (*self._targets, *self._disk_targets)),
            l3_network_uuids=frozenset(nic.l3_network_uuid for nic in self.nics.wishes),
            strategy=self.source.allocator_strategy,
            cluster_uuid=self.spec.cluster_uuid,
            host_uuid=self.spec.host_uuid,
            last_host_uuid=self.source.last_host_uuid,
            account_uuid=self.account_uuid,
            needs=self._needs | self._own_needs(),
            copies=CloneMethod.FULL in self._methods,
            holds=self.spec.strategy is CloneStrategy.INSTANT_START,
        )

    def _own_needs(self) -> frozenset[str]:
        """What the clones' host has to run although the source does not need it."""
        uefi = self.spec.machine.boot_mode is BootMode.UEFI
        return frozenset([uefi_need(self.source.architecture)] if uefi else [])

    def _target(self, base: SourceBase) -> StorageView:
        wished = self.spec.wish(base.type, base.volume_uuid).storage_uuid
        return self._storage(wished or base.file.storage.uuid)

    def _disk_target(self, disk: DiskWish) -> StorageView:
        """Beside the root volume, unless it or all data volumes are asked for elsewhere."""
        wished = disk.storage_uuid or self.spec.data.storage_uuid
        return self._storage(wished) if wished else self._targets[0]

    def _storage(self, uuid: str) -> StorageView:
        """Raises ResourceNotFound for one that was removed since the job was judged."""
        if uuid not in self._world.storages:
            raise ResourceNotFound(f"primary storage[uuid:{uuid}] was removed meanwhile")
        return self._world.storages[uuid]

    def _method(self, base: SourceBase, target: StorageView) -> CloneMethod:
        wished = self.spec.wish(base.type, base.volume_uuid).method
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
        for base, target, method in zip(self.bases, self._targets, self._methods, strict=True):
            yield self._volume(base, target, method, next(left))
        device_id = max((base.device_id for base in self.bases), default=0)
        for number, target in enumerate(self._disk_targets):
            size = _in_sectors(self.spec.disks[number].size)
            assert size is not None  # looked up when the job was judged
            yield self._new_disk(target, next(left), size, device_id + 1 + number)

    def _new_disk(self, target: StorageView, uuid: str, size: int, device_id: int) -> VolumePlan:
        file_format = VolumeFormat.QCOW2
        return VolumePlan(
            uuid=uuid,
            type=VolumeType.DATA,
            device_id=device_id,
            storage=target.ref,
            path=paths.data_volume_path(target.ref, self.account_uuid, uuid, file_format),
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
        wish = self.spec.wish(base.type, base.volume_uuid)
        return VolumePlan(
            uuid=uuid,
            type=base.type,
            device_id=base.device_id,
            storage=target.ref,
            path=place(target.ref, self.account_uuid, uuid, file_format),
            format=file_format,
            size=_in_sectors(wish.size) or base.file.virtual_size,
            method=method,
            base=base.file,
            fallback=wish.method is CloneMethod.AUTO,
        )

    def _check_sizes(self) -> None:
        """Raises InvalidArgument for a volume that would lose its end."""
        for base in self.bases:
            size = self.spec.wish(base.type, base.volume_uuid).size
            if size is not None and size < base.file.virtual_size:
                raise InvalidArgument(
                    f"field[diskAOs] asks for a root disk of {size} bytes, and the source's has "
                    f"{base.file.virtual_size}; a clone's can be larger, not smaller"
                )

    def _take_storage(self, volumes: Sequence[VolumePlan]) -> tuple[int, ...]:
        """All of them or none."""
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

    def _plan(
        self,
        item: WaitingItem,
        host: Candidate,
        volumes: Sequence[VolumePlan],
        addresses: Sequence[Address],
    ) -> ClonePlan:
        identity = self._identity(item)
        return ClonePlan(
            vm_uuid=item.vm_uuid,
            vm_name=item.name,
            host=HostRef(host.uuid, host.name, host.hypervisor_type, host.libvirt_uri),
            cpu_num=self.source.cpu_num,
            memory_size=self.source.memory_size,
            platform=self.source.platform,
            architecture=self.source.architecture,
            strategy=self.spec.strategy,
            volumes=tuple(volumes),
            nics=tuple(address.nic for address in addresses),
            cdroms=tuple(self._cdroms()),
            tags=tuple(self._tags(item, volumes)),
            base_set_uuid=self.base_set_uuid,
            job_uuid=self.job_uuid,
            item_uuid=item.uuid,
            identity=identity,
            seed_path=paths.seed_path(volumes[0].storage, item.vm_uuid) if identity else None,
            reset_tpm=self.spec.reset_tpm,
            machine=self.spec.machine,
            description=self.spec.description,
        )

    def _identity(self, item: WaitingItem) -> GuestIdentity | None:
        """Who the clone is to its guest, where one boots and is to be told."""
        wish = self.spec.guest
        if self.source.hypervisor_type is not HypervisorType.KVM or not wish.applied:
            return None
        return GuestIdentity(
            instance_id=item.vm_uuid,
            hostname=wish.hostname or hostname_of(item.name, self.source.platform),
            ssh_keys=wish.ssh_keys,
            user_data=wish.user_data,
            root_password_hash=wish.root_password_hash,
        )

    def _cdroms(self) -> Iterator[CdRomPlan]:
        drives = self.source.cdroms
        if self.spec.cdroms is not None:
            files = {iso: path for iso, path in drives if iso}
            drives = tuple((iso, files.get(iso or "")) for iso in self.spec.cdroms)
        for device_id, (iso_uuid, iso_path) in enumerate(drives):
            yield CdRomPlan(uuid4().hex, device_id, iso_uuid, iso_path)

    def _tags(self, item: WaitingItem, volumes: Sequence[VolumePlan]) -> Iterator[TagPlan]:
        vm = (item.vm_uuid, "VmInstanceVO")
        wanted = [(*vm, "System", tag) for tag in self.spec.system_tags]
        wanted += [(*vm, "User", tag) for tag in self.spec.user_tags]
        tags_of = [self.spec.wish(base.type, base.volume_uuid).system_tags for base in self.bases]
        tags_of += [self.spec.data.system_tags + disk.system_tags for disk in self.spec.disks]
        for tags, volume in zip(tags_of, volumes, strict=True):
            wanted += [(volume.uuid, "VolumeVO", "System", tag) for tag in tags]
        for resource_uuid, resource_type, kind, tag in dict.fromkeys(wanted):
            yield TagPlan(uuid4().hex, resource_uuid, resource_type, kind, tag)


def _in_sectors(size: int | None) -> int | None:
    """A guest's disk has whole ones only."""
    return None if size is None else -(-size // SECTOR) * SECTOR
