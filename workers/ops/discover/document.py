"""Values as the entries of an inventory document; what is a default is left out."""

from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from app.domain.addressing import AddressRange, prefix_of
from app.store.inventory.known import AdoptedVm
from app.store.inventory.values import Cluster, Host, Network, Storage, Zone
from app.store.models import IpAllocator
from workers.ops.discover.machines import FoundVm, FoundVolume

Entry = dict[str, Any]
_UNITS = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))
_PLATFORM = "Linux"
_ALLOCATORS = {IpAllocator.FIRST_AVAILABLE: "FirstAvailable"}


def text_of(sections: dict[str, list[Entry]], notes: Sequence[str] = ()) -> str:
    """Notes become comments at its top."""
    comments = "".join(f"# {line}\n" for note in notes for line in note.splitlines())
    body = yaml.safe_dump(
        {name: entries for name, entries in sections.items() if entries},
        sort_keys=False,
        allow_unicode=True,
        width=100,
    )
    return comments + body


def zone_entry(zone: Zone) -> Entry:
    return _given(name=zone.name, description=zone.description)


def cluster_entry(cluster: Cluster) -> Entry:
    return _given(
        name=cluster.name,
        description=cluster.description,
        zone=cluster.zone.name,
        hypervisorType=str(cluster.hypervisor_type),
    )


def host_entry(host: Host) -> Entry:
    return _given(
        name=host.name,
        description=host.description,
        cluster=host.cluster.name,
        managementIp=host.management_ip,
        libvirtUri=host.libvirt_uri,
        cpuNum=host.cpu_num,
        memorySize=size_text(host.memory_size),
        slots=host.slots,
    )


def storage_entry(storage: Storage) -> Entry:
    return _given(
        name=storage.name,
        description=storage.description,
        type=str(storage.type),
        url=storage.url,
        clusters=[cluster.name for cluster in storage.clusters],
        host=storage.host and storage.host.name,
        capacity=storage.declared_bytes and size_text(storage.declared_bytes),
    )


def network_entry(network: Network) -> Entry:
    return _given(
        name=network.name,
        description=network.description,
        zone=network.zone.name,
        bridge=network.bridge,
        libvirtNetwork=network.libvirt_network,
        clusters=sorted(cluster.name for cluster in network.clusters),
        dns=list(network.dns),
        ipAllocator=_ALLOCATORS.get(network.ip_allocator),
        ipRanges=[_range(r) for r in network.ranges],
    )


def _range(found: AddressRange) -> Entry:
    return _given(
        startIp=found.first_ip,
        endIp=found.last_ip,
        netmask=found.netmask if found.version == 4 else None,
        prefixLen=prefix_of(found.netmask) if found.version == 6 else None,
        gateway=found.gateway,
    )


def vm_entry(
    vm: FoundVm,
    *,
    name: str,
    uuid: str | None,
    host: Host,
    storages: dict[str, Storage],
    nics: list[Entry],
    known: AdoptedVm | None,
) -> Entry:
    source = vm.domain.source
    return _given(
        name=name,
        uuid=uuid,
        description=known and known.description,
        cluster=host.cluster.name,
        host=host.name,
        state="Running" if source.running else "Stopped",
        cpuNum=source.vcpu,
        memorySize=size_text(source.memory),
        platform=known.platform if known and known.platform != _PLATFORM else None,
        architecture=source.arch,
        guestOsType=known and known.guest_os_type,
        image=known and known.image,
        instanceOffering=known and known.instance_offering,
        allocatorStrategy=known and known.allocator_strategy,
        volumes=list(_volumes(vm.volumes, storages)),
        nics=nics,
        cdroms=[{"iso": path} for path in vm.cdroms],
        systemTags=list(known.system_tags) if known else [],
        userTags=list(known.user_tags) if known else [],
    )


def _volumes(volumes: Sequence[FoundVolume], storages: dict[str, Storage]) -> Iterator[Entry]:
    for number, volume in enumerate(volumes):
        yield _given(
            type="Data" if number else "Root",
            primaryStorage=storages[volume.path].name,
            path=volume.path,
            format=str(volume.format),
            backing=[{"path": f.path, "format": str(f.format)} for f in volume.backing],
        )


def nic_entry(network: str, mac: str | None, ip: str | None, model: str | None) -> Entry:
    return _given(l3Network=network, mac=mac, ip=ip, driverType=model)


def _given(**values: Any) -> Entry:
    return {key: value for key, value in values.items() if value not in (None, [])}


def size_text(size: int) -> str:
    """With the largest unit that leaves a whole number."""
    for unit, name in _UNITS:
        if size >= unit and size % unit == 0:
            return f"{size // unit}{name}"
    return str(size)
