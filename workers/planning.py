"""Turns one waiting item into a grant: a host, a complete plan and everything it will hold.

Pure but for the dice: it moves the numbers of the `World` it is given, and the scheduler writes
what came out in the same transaction.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from uuid import uuid4

from app.domain import addressing, paths
from app.domain.errors import (
    AddressUnavailable,
    CloneError,
    NoHostAvailable,
    PrimaryStorageFull,
    StorageUnavailable,
    StorageUnreachable,
)
from app.domain.guest import GuestIdentity, hostname_of
from app.domain.nic_params import NicWish
from app.domain.placement import Candidate, Demand, choose, reachable
from app.domain.plan import (
    CdRomPlan,
    CloneMethod,
    ClonePlan,
    CloneStrategy,
    HostRef,
    HypervisorType,
    NicPlan,
    TagPlan,
    VolumeFormat,
    VolumePlan,
    VolumeType,
)
from app.domain.slots import Slots
from app.domain.spec import CloneSpec
from app.domain.states import WaitReason
from app.store.networks import Free, L3View
from app.store.sources import SourceBase, SourceVm
from app.store.world import StorageView, World


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

    def of(self, size: int) -> int:
        return min(size, max(self.minimum_bytes, int(size * self.share)))


@dataclass(frozen=True, slots=True)
class Address:
    nic: NicPlan
    free: Free  # its range and number
    was_asked: bool  # the request named it


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
        self.nics = _nics(spec, source)
        self._world = world
        self._needs = needs
        self._thin = thin
        self._targets = [self._target(base) for base in bases]
        self._methods: list[CloneMethod] = []
        self._hosts: list[Candidate] = []
        self._never: CloneError | None = None  # why no item of this job can be granted
        try:
            self._methods = list(map(self._method, bases, self._targets))
            self._demand = self._make_demand()
            self._hosts = reachable(world.candidates, self._demand)
        except CloneError as error:
            self._never = error

    def plan(
        self, item: WaitingItem, mac_of: Iterator[str], internal_id: int
    ) -> Grant | WaitReason:
        """Everything the item needs, taken from the world; or what it waits for.

        Raises NoHostAvailable, PrimaryStorageFull, AddressUnavailable, StorageUnavailable; then
        nothing was taken.
        """
        if self._never is not None:
            raise self._never
        capped = self._capped()
        if capped is not None:
            return capped
        try:
            host = choose(self._hosts, self._demand)
            if isinstance(host, WaitReason):
                return host
            if self._storage_is_away():
                return WaitReason.RETRY
            addresses = self._addresses(item, mac_of, internal_id)
        except (NoHostAvailable, AddressUnavailable):
            if self._world.releasing:
                return WaitReason.RELEASING
            raise
        volumes = [
            self._volume(*each)
            for each in zip(
                self.bases, self._targets, self._methods, item.volume_uuids, strict=True
            )
        ]
        try:
            amounts = self._take_storage(volumes)
        except PrimaryStorageFull:
            self._give_back(addresses)
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
                for base, volume in zip(self.bases, volumes, strict=True)
                if volume.method is CloneMethod.FULL
            ),
            holds_host=self._demand.holds,
            internal_id=internal_id,
            turn=host.line.take(self.account_uuid, self._weight),
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
        for target in self._targets:
            if target.fault and target.fault_lasts:
                raise StorageUnavailable(
                    f"primary storage[name:{target.name}, uuid:{target.ref.uuid}, "
                    f"url:{target.ref.url}] cannot be used: {target.fault}"
                )
        return any(target.fault for target in self._targets)

    def _make_demand(self) -> Demand:
        return Demand(
            zone_uuid=self.source.zone_uuid,
            hypervisor_type=self.source.hypervisor_type,
            cpu=self.source.cpu_num,
            memory=self.source.memory_size,
            storage_uuids=frozenset(base.file.storage.uuid for base in self.bases)
            | frozenset(target.ref.uuid for target in self._targets),
            l3_network_uuids=frozenset(nic.l3_network_uuid for nic in self.nics),
            strategy=self.source.allocator_strategy,
            cluster_uuid=self.spec.cluster_uuid,
            host_uuid=self.spec.host_uuid,
            last_host_uuid=self.source.last_host_uuid,
            account_uuid=self.account_uuid,
            needs=self._needs,
            copies=CloneMethod.FULL in self._methods,
            holds=self.spec.strategy is CloneStrategy.INSTANT_START,
        )

    def _target(self, base: SourceBase) -> StorageView:
        return self._world.storages[
            self.spec.wish(base.type, base.volume_uuid).storage_uuid or base.file.storage.uuid
        ]

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

    def _volume(
        self, base: SourceBase, target: StorageView, method: CloneMethod, uuid: str
    ) -> VolumePlan:
        file_format = VolumeFormat.QCOW2 if method is CloneMethod.LINKED else base.file.format
        place = paths.root_volume_path if base.type is VolumeType.ROOT else paths.data_volume_path
        return VolumePlan(
            uuid=uuid,
            type=base.type,
            device_id=base.device_id,
            storage=target.ref,
            path=place(target.ref, self.account_uuid, uuid, file_format),
            format=file_format,
            size=base.file.virtual_size,
            method=method,
            base=base.file,
            fallback=self.spec.wish(base.type, base.volume_uuid).method is CloneMethod.AUTO,
        )

    def _take_storage(self, volumes: Sequence[VolumePlan]) -> tuple[int, ...]:
        """All of them or none."""
        amounts = []
        try:
            for volume in volumes:
                amount = (
                    volume.size if volume.method is CloneMethod.FULL else self._thin.of(volume.size)
                )
                self._world.storages[volume.storage.uuid].take(amount)
                amounts.append(amount)
        except PrimaryStorageFull:
            for volume, amount in zip(volumes, amounts, strict=False):
                self._world.storages[volume.storage.uuid].take(-amount)
            raise
        return tuple(amounts)

    def _addresses(
        self, item: WaitingItem, mac_of: Iterator[str], internal_id: int
    ) -> list[Address]:
        """One address a NIC, all of them or none."""
        addresses: list[Address] = []
        try:
            slots = zip(self.nics, item.nic_uuids, strict=True)
            for device_id, (nic, uuid) in enumerate(slots):
                network = self._world.l3_networks[nic.l3_network_uuid]
                free, was_asked = self._pick(network, nic)
                plan = self._nic(nic, device_id, uuid, network, free, next(mac_of), internal_id)
                addresses.append(Address(plan, free, was_asked))
        except AddressUnavailable:
            self._give_back(addresses)
            raise
        return addresses

    def _nic(
        self,
        nic: NicWish,
        device_id: int,
        uuid: str,
        network: L3View,
        free: Free,
        mac: str,
        internal_id: int,
    ) -> NicPlan:
        address_range, number = free
        return NicPlan(
            uuid=uuid,
            device_id=device_id,
            mac=mac[:-2] + f"{device_id & 0xFF:02x}",
            internal_name=addressing.tap_name(internal_id, device_id),
            l3_network_uuid=network.uuid,
            bridge=network.bridge,
            driver_type=nic.driver_type or self._former_driver(device_id),
            ip=addressing.to_text(number),
            netmask=address_range.netmask,
            gateway=address_range.gateway,
            libvirt_network=network.libvirt_network,
            dns=network.dns,
            model=nic.driver_type,
            link_up=nic.link_up,
            inbound=nic.inbound,
            outbound=nic.outbound,
            is_default=nic.is_default,
        )

    def _former_driver(self, slot: int) -> str:
        nics = self.source.nics
        return nics[slot].driver_type if slot < len(nics) else "virtio"

    def _give_back(self, addresses: Sequence[Address]) -> None:
        for address in addresses:
            network = self._world.l3_networks[address.nic.l3_network_uuid]
            network.give_back(address.free, was_asked=address.was_asked)

    def _pick(self, network: L3View, nic: NicWish) -> tuple[Free, bool]:
        """The NIC's own, else the first of the addresses asked for on this network that is free,
        else any."""
        if nic.ip is not None:
            return network.take(nic.ip), True
        asked = [ip for l3_uuid, ip in self.spec.static_ips if l3_uuid == network.uuid]
        if not asked:
            return network.pick(), False
        free = (ip for ip in asked if addressing.to_number(ip) in network.asked)
        return network.take(next(free, asked[-1])), True

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
            drives = tuple((iso, None) for iso in self.spec.cdroms)
        for device_id, (iso_uuid, iso_path) in enumerate(drives):
            yield CdRomPlan(uuid4().hex, device_id, iso_uuid, iso_path)

    def _tags(self, item: WaitingItem, volumes: Sequence[VolumePlan]) -> Iterator[TagPlan]:
        vm = (item.vm_uuid, "VmInstanceVO")
        wanted = [(*vm, "System", tag) for tag in self.spec.system_tags]
        wanted += [(*vm, "User", tag) for tag in self.spec.user_tags]
        for base, volume in zip(self.bases, volumes, strict=True):
            wish = self.spec.wish(base.type, base.volume_uuid)
            wanted += [(volume.uuid, "VolumeVO", "System", tag) for tag in wish.system_tags]
        for resource_uuid, resource_type, kind, tag in dict.fromkeys(wanted):
            yield TagPlan(uuid4().hex, resource_uuid, resource_type, kind, tag)


def _nics(spec: CloneSpec, source: SourceVm) -> tuple[NicWish, ...]:
    """Those that were asked for, else as the source has them."""
    if spec.nics:
        return spec.nics
    networks = [nic.l3_network_uuid for nic in source.nics]
    default = source.default_l3_network_uuid
    first = networks.index(default) if default in networks else 0
    return tuple(
        NicWish(network, is_default=number == first) for number, network in enumerate(networks)
    )
