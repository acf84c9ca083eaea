"""Inventories and jobs with defaults, written straight to the database."""

import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, insert, text

from app.domain import addressing
from app.domain.plan import HypervisorType, StorageType, VolumeFormat, VolumeType
from app.store.models import (
    Account,
    AccountType,
    Cluster,
    ClusterL3Network,
    ClusterPrimaryStorage,
    Host,
    HostCapacity,
    IpAllocator,
    IpRange,
    Job,
    L3Network,
    NicState,
    Origin,
    PrimaryStorage,
    StorageCapacity,
    UsedIp,
    VmCdRom,
    VmInstance,
    VmNic,
    VmState,
    Volume,
    VolumeStatus,
    Zone,
)

ADMIN = "36c27e8ff05c4780bf6d2fa65700f22e"
GIB = 1 << 30


def new_uuid() -> str:
    return uuid4().hex


@dataclass
class Inventory:
    """The uuids of what `make_inventory` wrote."""

    zone: str
    cluster: str
    hosts: list[str]
    storage: str
    l3_network: str
    source: str
    root_volume: str
    data_volumes: list[str] = field(default_factory=list)


def make_account(
    connection: Connection, uuid: str | None = None, *, admin: bool = False, weight: float = 1.0
) -> str:
    uuid = uuid or new_uuid()
    connection.execute(
        insert(Account),
        {
            "uuid": uuid,
            "name": f"account-{uuid}",
            "type": AccountType.SYSTEM_ADMIN if admin else AccountType.NORMAL,
            "password_hash": "-",
            "weight": weight,
        },
    )
    return uuid


def make_inventory(
    connection: Connection,
    *,
    hosts: int = 1,
    cpu: int = 1000,
    memory: int = 1024 * GIB,
    slots: int | None = None,
    storage_type: StorageType = StorageType.SIMULATOR,
    storage_url: str = "/simulated",
    storage_bytes: int = 1024 * GIB,
    reflink: bool = False,
    first_ip: str = "10.0.0.10",
    last_ip: str = "10.0.255.250",
    ip_allocator: IpAllocator = IpAllocator.RANDOM,
    data_volumes: int = 1,
    state: VmState = VmState.STOPPED,
    strategy: str | None = "LeastVmPreferredHostAllocatorStrategy",
    vm_cpu: int = 1,
    vm_memory: int = GIB,
    root_path: str = "/images/root.qcow2",
    data_path: str = "/images/data-{n}.raw",
    seen: bool = True,
) -> Inventory:
    """A zone with one cluster of simulated hosts, a storage, a network, and a source VM."""
    make_account(connection, ADMIN, admin=True)
    made = Inventory(
        zone=new_uuid(),
        cluster=new_uuid(),
        hosts=[new_uuid() for _ in range(hosts)],
        storage=new_uuid(),
        l3_network=new_uuid(),
        source=new_uuid(),
        root_volume=new_uuid(),
        data_volumes=[new_uuid() for _ in range(data_volumes)],
    )
    connection.execute(insert(Zone), {"uuid": made.zone, "name": f"zone-{made.zone}"})
    connection.execute(
        insert(Cluster),
        {
            "uuid": made.cluster,
            "name": f"cluster-{made.cluster}",
            "zone_uuid": made.zone,
            "hypervisor_type": HypervisorType.SIMULATOR,
        },
    )
    for number, host in enumerate(made.hosts):
        make_host(
            connection,
            made.cluster,
            host,
            name=f"host-{number}-{host}",
            cpu=cpu,
            memory=memory,
            slots=slots,
            seen=seen,
        )
    _make_storage(
        connection, made, storage_type, storage_url, storage_bytes, reflink=reflink, seen=seen
    )
    _make_network(connection, made, first_ip, last_ip, ip_allocator)
    _make_source(
        connection,
        made,
        state,
        strategy,
        vm_cpu,
        vm_memory,
        root_path=root_path,
        data_path=data_path,
    )
    return made


def make_host(
    connection: Connection,
    cluster: str,
    uuid: str,
    *,
    name: str,
    cpu: int = 1000,
    memory: int = 1024 * GIB,
    slots: int | None = None,
    seen: bool = True,
) -> None:
    connection.execute(
        insert(Host),
        {
            "uuid": uuid,
            "name": name,
            "cluster_uuid": cluster,
            "management_ip": "127.0.0.1",
            "cpu_num": cpu,
            "memory_size": memory,
            "slots": slots,
        },
    )
    connection.execute(
        insert(HostCapacity),
        {
            "host_uuid": uuid,
            "total_cpu": cpu,
            "available_cpu": cpu,
            "total_memory": memory,
            "available_memory": memory,
        },
    )
    if seen:
        keep_seen(connection)


def keep_seen(connection: Connection) -> None:
    """As if every host's worker had just beaten."""
    connection.execute(text("UPDATE hosts SET seen_at = clock_timestamp() + interval '1 hour'"))


def _make_storage(
    connection: Connection,
    made: Inventory,
    storage_type: StorageType,
    url: str,
    total_bytes: int,
    *,
    reflink: bool,
    seen: bool,
) -> None:
    connection.execute(
        insert(PrimaryStorage),
        {
            "uuid": made.storage,
            "name": f"ps-{made.storage}",
            "zone_uuid": made.zone,
            "type": storage_type,
            "url": url,
            "declared_bytes": total_bytes,
            "reflink": reflink,
            "physical_total": total_bytes,
            "physical_free": total_bytes,
            "host_uuid": made.hosts[0] if storage_type is StorageType.LOCAL else None,
        },
    )
    if seen:
        connection.execute(
            text(
                "UPDATE primary_storages SET initialized_at = NULL, "
                "seen_at = clock_timestamp() + interval '1 hour'"
            )
        )
    connection.execute(
        insert(StorageCapacity),
        {
            "primary_storage_uuid": made.storage,
            "total_bytes": total_bytes,
            "available_bytes": total_bytes,
        },
    )
    connection.execute(
        insert(ClusterPrimaryStorage),
        {"cluster_uuid": made.cluster, "primary_storage_uuid": made.storage},
    )


def _make_network(
    connection: Connection,
    made: Inventory,
    first_ip: str,
    last_ip: str,
    ip_allocator: IpAllocator,
) -> None:
    connection.execute(
        insert(L3Network),
        {
            "uuid": made.l3_network,
            "name": f"l3-{made.l3_network}",
            "zone_uuid": made.zone,
            "ip_allocator": ip_allocator,
        },
    )
    connection.execute(
        insert(ClusterL3Network),
        {"cluster_uuid": made.cluster, "l3_network_uuid": made.l3_network},
    )
    connection.execute(
        insert(IpRange),
        {
            "uuid": new_uuid(),
            "name": "range",
            "l3_network_uuid": made.l3_network,
            "start_ip": first_ip,
            "end_ip": last_ip,
            "start_ip_in_long": addressing.to_number(first_ip),
            "end_ip_in_long": addressing.to_number(last_ip),
            "netmask": "255.255.0.0",
            "gateway": "10.0.0.1",
            "network_cidr": "10.0.0.0/16",
        },
    )


def _make_source(
    connection: Connection,
    made: Inventory,
    state: VmState,
    strategy: str | None,
    cpu: int,
    memory: int,
    *,
    root_path: str,
    data_path: str,
) -> None:
    connection.execute(
        insert(VmInstance),
        {
            "uuid": made.source,
            "name": "golden",
            "account_uuid": ADMIN,
            "zone_uuid": made.zone,
            "cluster_uuid": made.cluster,
            "last_host_uuid": made.hosts[0],
            "root_volume_uuid": made.root_volume,
            "default_l3_network_uuid": made.l3_network,
            "hypervisor_type": HypervisorType.SIMULATOR,
            "cpu_num": cpu,
            "memory_size": memory,
            "allocator_strategy": strategy,
            "state": state,
            "origin": Origin.ADOPTED,
        },
    )
    volumes = [(made.root_volume, VolumeType.ROOT, VolumeFormat.QCOW2, root_path)]
    volumes += [
        (uuid, VolumeType.DATA, VolumeFormat.RAW, data_path.format(n=number))
        for number, uuid in enumerate(made.data_volumes)
    ]
    connection.execute(
        insert(Volume),
        [
            {
                "uuid": uuid,
                "name": "source volume",
                "account_uuid": ADMIN,
                "vm_instance_uuid": made.source,
                "primary_storage_uuid": made.storage,
                "install_path": path,
                "type": kind,
                "format": volume_format,
                "size": 1 << 20,
                "device_id": number,
                "status": VolumeStatus.READY,
                "origin": Origin.ADOPTED,
            }
            for number, (uuid, kind, volume_format, path) in enumerate(volumes)
        ],
    )
    nic = new_uuid()
    connection.execute(
        insert(VmNic),
        {
            "uuid": nic,
            "vm_instance_uuid": made.source,
            "l3_network_uuid": made.l3_network,
            "mac": "fa:00:00:00:01:00",
            "internal_name": "vnic0.0",
            "device_id": 0,
            "state": NicState.ENABLE,
        },
    )
    connection.execute(
        insert(UsedIp),
        {
            "uuid": new_uuid(),
            "l3_network_uuid": made.l3_network,
            "vm_nic_uuid": nic,
            "ip": "10.0.0.9",
            "ip_in_long": addressing.to_number("10.0.0.9"),
        },
    )
    connection.execute(
        insert(VmCdRom),
        {"uuid": new_uuid(), "vm_instance_uuid": made.source, "device_id": 0, "name": "cd"},
    )


def make_job(
    connection: Connection,
    source: str,
    names: Sequence[str] = ("clone-1",),
    *,
    account: str = ADMIN,
    priority: int = 5,
    deadline_s: float = 3600,
    policy: dict[str, Any] | None = None,
    **parameters: Any,
) -> str:
    """An accepted job, as intake leaves it; parameters are ZStack's."""
    uuid = new_uuid()
    connection.execute(
        insert(Job),
        {
            "uuid": uuid,
            "account_uuid": account,
            "vm_instance_uuid": source,
            "request": json.loads(
                json.dumps({"names": list(names), "vmInstanceUuid": source} | parameters)
            ),
            "requested": len(names),
            "priority": priority,
            "policy": policy,
            "api_timeout_ms": int(deadline_s * 1000),
        },
    )
    connection.execute(
        text(
            "UPDATE jobs SET deadline_at = clock_timestamp() + make_interval(secs => :s) "
            "WHERE uuid = :uuid"
        ),
        {"uuid": uuid, "s": deadline_s},
    )
    return uuid
