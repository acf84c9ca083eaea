"""Turns one waiting item into a grant: a host, a complete plan and everything it will hold.

Pure but for the dice: it moves the numbers of the `World` it is given, and the scheduler writes
what came out in the same transaction.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import uuid4

from app.domain import paths
from app.domain.errors import (
    AddressUnavailable,
    CloneError,
    NoHostAvailable,
    NoMacAvailable,
    OperationFailed,
    PrimaryStorageFull,
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
    VolumePlan,
)
from app.domain.slots import Slots
from app.domain.spec import CloneSpec
from app.domain.states import WaitReason
from app.store.nic_planning import Address, NicPlanner
from app.store.sources import SourceBase, SourceVm
from app.store.volume_planning import ThinShare, VolumePlanner
from app.store.world import World


@dataclass(frozen=True, slots=True)
class WaitingItem:
    uuid: str
    ordinal: int
    name: str
    vm_uuid: str
    volume_uuids: Sequence[str]
    nic_uuids: Sequence[str]


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
        self._hosts: list[Candidate] = []
        self._never: CloneError | None = None  # why no item of this job can be granted
        try:
            self._volumes = VolumePlanner(spec, bases, world, thin, account_uuid)
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
            if self._volumes.are_away():
                return WaitReason.RETRY
            addresses = self.nics.take(item.nic_uuids, item.ordinal, mac_of, internal_id)
        except (NoHostAvailable, AddressUnavailable, NoMacAvailable):
            if self._world.releasing:
                return WaitReason.RELEASING
            raise
        volumes = self._volumes.make(item.volume_uuids)
        try:
            amounts = self._volumes.take(volumes)
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
        yield from self._volumes.copies

    def _make_demand(self) -> Demand:
        return Demand(
            zone_uuid=self.source.zone_uuid,
            hypervisor_type=self.source.hypervisor_type,
            cpu=self.source.cpu_num,
            memory=self.source.memory_size,
            storage_uuids=self._volumes.storage_uuids,
            l3_network_uuids=frozenset(nic.l3_network_uuid for nic in self.nics.wishes),
            strategy=self.source.allocator_strategy,
            cluster_uuid=self.spec.cluster_uuid,
            host_uuid=self.spec.host_uuid,
            last_host_uuid=self.source.last_host_uuid,
            account_uuid=self.account_uuid,
            needs=self._needs | self._own_needs(),
            copies=bool(self._volumes.copies),
            holds=self.spec.strategy is CloneStrategy.INSTANT_START,
        )

    def _own_needs(self) -> frozenset[str]:
        """What the clones' host has to run although the source does not need it."""
        uefi = self.spec.machine.boot_mode is BootMode.UEFI
        return frozenset([uefi_need(self.source.architecture)] if uefi else [])

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
