"""Zone, cluster and host, and the folders where its disks lie. What the inventory has stays so."""

import os
from collections.abc import Iterable, Sequence

from app.domain.errors import InvalidArgument
from app.domain.plan import HypervisorType, StorageType
from app.store.inventory.values import Cluster, Host, Inventory, Kind, Storage, Zone
from workers.hypervisors.kvm.host_view import HostView
from workers.ops.inventory.shelves import derived_uuid
from workers.this_machine import is_local

_LOOPBACK = "127.0.0.1"


def host_of(view: HostView, name: str, known: Inventory) -> Host:
    """A new host has a cluster of its own: what lies and is plugged in there, no other host has.

    Raises InvalidArgument where the inventory's host of that name is not this one."""
    if name in known.hosts:
        return _this_one(known.hosts[name])
    zone_name = next(iter(known.zones), "zone-1")
    zone = known.zones.get(zone_name) or Zone(derived_uuid(Kind.ZONE, zone_name), zone_name, None)
    cluster = known.clusters.get(name) or Cluster(
        derived_uuid(Kind.CLUSTER, name), name, None, zone, HypervisorType.KVM
    )
    return Host(
        uuid=derived_uuid(Kind.HOST, name),
        name=name,
        description=None,
        cluster=cluster,
        management_ip=_management_ip(view),
        libvirt_uri=view.uri,
        cpu_num=view.cpu_num,
        memory_size=view.memory_bytes,
        slots=None,
    )


def _this_one(host: Host) -> Host:
    if host.cluster.hypervisor_type is not HypervisorType.KVM:
        raise InvalidArgument(
            f"host '{host.name}' of the inventory is simulated; call this one otherwise with --host"
        )
    if not is_local(host.management_ip):
        raise InvalidArgument(
            f"host '{host.name}' of the inventory is at {host.management_ip}, which is not this "
            "machine: discover there, or call this one otherwise with --host"
        )
    return host


def _management_ip(view: HostView) -> str:
    """Where its default route leaves, else one that is no libvirt network's."""
    bridges = {
        bridge.get("name") for network in view.networks for bridge in network.xml.findall("bridge")
    }
    ranked = sorted(
        view.addresses, key=lambda a: (a.device not in view.gateways, a.device in bridges)
    )
    return ranked[0].ip if ranked else _LOOPBACK


def storages_of(
    paths: Iterable[str], pools: Sequence[str], host: Host, known: Inventory
) -> dict[str, Storage]:
    """By path, the storage around it: one of the inventory's, else a libvirt pool's folder, else
    the file's own."""
    there = {
        storage.url.rstrip("/"): storage
        for storage in known.storages.values()
        if _reaches(storage, host)
    }
    taken = set(known.storages)
    found: dict[str, Storage] = {}
    for path in sorted(paths):
        folder = _around(path, there) or _around(path, pools) or os.path.dirname(path)
        if folder not in there:
            name = _free_name(f"{host.name}-{os.path.basename(folder) or 'root'}", taken)
            taken.add(name)
            there[folder] = Storage(
                uuid=derived_uuid(Kind.STORAGE, name),
                name=name,
                description=None,
                type=StorageType.LOCAL,
                url=folder,
                clusters=(host.cluster,),
                host=host,
                declared_bytes=None,
            )
        found[path] = there[folder]
    return found


def _reaches(storage: Storage, host: Host) -> bool:
    if storage.type is StorageType.LOCAL:
        return storage.host is not None and storage.host.uuid == host.uuid
    attached = {cluster.uuid for cluster in storage.clusters}
    return storage.type is StorageType.SHARED_MOUNT_POINT and host.cluster.uuid in attached


def _around(path: str, folders: Iterable[str]) -> str | None:
    """The nearest."""
    return max((f for f in folders if path.startswith(f"{f}/")), key=len, default=None)


def _free_name(wanted: str, taken: set[str]) -> str:
    if wanted not in taken:
        return wanted
    number = 2
    while f"{wanted}-{number}" in taken:
        number += 1
    return f"{wanted}-{number}"
