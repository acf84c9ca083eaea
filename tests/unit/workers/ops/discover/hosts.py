"""Hosts as libvirt describes them, for tests of what is made of them."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from app.store.inventory.known import AdoptedVm, Known
from app.store.inventory.values import Inventory
from tests.unit.workers.hypervisors.kvm.sources import domain
from workers.hypervisors.kvm.element_walk import parse, target_of
from workers.hypervisors.kvm.host_view import DomainView, HostAddress, HostView, NetworkView
from workers.hypervisors.kvm.source_xml import read_source
from workers.ops.inventory.document import Problems, compose_text
from workers.ops.inventory.reader import read
from workers.ops.inventory.shelves import open_shelves

UUID = "3a5d2c9e-7b1f-4a60-9d2e-5c8f0b1a2d3e"
MAC = "52:54:00:00:00:01"
LAN = (
    "<network><name>lan</name><forward mode='nat'/><bridge name='virbr1'/>"
    "<ip address='10.78.0.1' netmask='255.255.255.0'><dhcp>"
    "<range start='10.78.0.2' end='10.78.0.254'/>"
    "<host mac='52:54:00:00:00:09' ip='10.78.0.20'/></dhcp></ip></network>"
)


def domain_view(
    xml: str, *, addresses: Mapping[str, tuple[str, ...]] | None = None, running: bool = False
) -> DomainView:
    source = read_source(xml, xml if running else None)
    return DomainView(
        source=source,
        paths={d.target: d.path for d in source.disks if d.path},
        boot_order={
            target_of(disk): int(boot.get("order", "0"))
            for disk in parse(xml).iterfind("devices/disk")
            if (boot := disk.find("boot")) is not None
        },
        addresses=addresses or {},
    )


def golden(path: Path, devices: str = "", *, name: str = "golden", uuid: str = UUID) -> str:
    """A domain whose root disk is that file."""
    plain = domain(f"<name>{name}</name><uuid>{uuid}</uuid>", devices)
    return plain.replace("/images/golden.qcow2", str(path))


def disk(path: Path, target: str, more: str = "", *, kind: str = "qcow2") -> str:
    return (
        f"<disk type='file' device='disk'><driver name='qemu' type='{kind}'/>"
        f"<source file='{path}'/><target dev='{target}' bus='virtio'/>{more}</disk>"
    )


def nic(kind: str, source: str, mac: str = MAC) -> str:
    attribute = "dev" if kind == "direct" else kind
    return (
        f"<interface type='{kind}'><mac address='{mac}'/><source {attribute}='{source}'/>"
        "<model type='virtio'/></interface>"
    )


def network(xml: str, *, active: bool = True, **leases: str) -> NetworkView:
    """`leases`: addresses by the last octet of MACs, as m05."""
    given = {f"52:54:00:00:00:{mac[1:]}": (ip,) for mac, ip in leases.items()}
    found = parse(xml)
    return NetworkView(found.findtext("name") or "", found, active, given)


def host(
    *domains: DomainView,
    networks: Sequence[NetworkView] = (),
    addresses: Sequence[HostAddress] = (HostAddress("br0", "10.77.0.1", 24),),
    gateways: Mapping[str, str] | None = None,
    pools: Sequence[str] = (),
) -> HostView:
    return HostView(
        uri="qemu:///system",
        name="host-a",
        cpu_num=8,
        memory_bytes=16 << 30,
        domains=tuple(domains),
        networks=tuple(networks),
        pools=tuple(pools),
        addresses=tuple(addresses),
        gateways=gateways or {},
        nameservers=("10.77.0.3",),
    )


def after_apply(text: str) -> tuple[Known, list[AdoptedVm]]:
    """What the database would have of a document; AssertionError where `apply` would refuse it."""
    problems = Problems("")
    found: Inventory = read(compose_text(text, ""), open_shelves(Known(), lambda *_: 1), problems)
    assert problems.lines() == []
    adopted = [
        AdoptedVm(
            uuid=vm.uuid,
            name=vm.name,
            host_uuid=vm.host.uuid,
            description=vm.description,
            platform=vm.platform,
            guest_os_type=vm.guest_os_type,
            allocator_strategy=vm.allocator_strategy,
            system_tags=vm.system_tags,
            user_tags=vm.user_tags,
            addresses={str(n.mac): n.ip for n in vm.nics if n.ip is not None},
        )
        for vm in found.vms.values()
    ]
    places = Inventory(found.zones, found.clusters, found.hosts, found.storages, found.networks, {})
    return Known(places, {vm.name: vm.uuid for vm in adopted}), adopted
