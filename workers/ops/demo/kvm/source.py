"""The document that declares this host and the demo's source VM, and what the doctor says of it."""

import json
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from app.domain.plan import HostRef, HypervisorType, StorageRef, StorageType
from app.endpoints import database_url
from app.settings import Settings
from app.store.inventory.values import Kind
from app.store.session import Database
from workers.hypervisors.kvm.own_bridge import address_of
from workers.ops.demo.kvm.image import GuestImage
from workers.ops.demo.kvm.place import Place
from workers.ops.doctor.findings import Check
from workers.ops.doctor.kvm import HostNetwork, check_host
from workers.ops.inventory.commands import apply

HOST, STORAGE, NETWORK, VM = "demo-host", "demo-storage", "demo-network", "vmclone-demo-golden"
_DOCUMENT = """\
# What `vmclone demo --hypervisor kvm` declares: this host, and a VM that libvirt does not know.
zones: [{{name: demo-zone}}]
clusters: [{{name: demo, zone: demo-zone, hypervisorType: KVM}}]
hosts:
  - name: demo-host
    cluster: demo
    managementIp: 127.0.0.1
    libvirtUri: {uri}
    cpuNum: {cpu_num}
    memorySize: {memory_bytes}
primaryStorage:
  - {{name: demo-storage, type: LocalStorage, url: {storage}, clusters: [demo]}}
l3Networks:
  - name: demo-network
    zone: demo-zone
    bridge: {bridge}
    ipRanges:
      - {{startIp: {first}, endIp: {last}, netmask: {netmask}, gateway: {gateway}}}
vmInstances:
  - name: vmclone-demo-golden
    cluster: demo
    host: demo-host
    state: Stopped
    cpuNum: 1
    memorySize: {guest_bytes}
    volumes:
      - {{type: Root, primaryStorage: demo-storage, path: {image}, format: {format}}}
    nics: [{{l3Network: demo-network}}]
"""


@dataclass(frozen=True, slots=True)
class KvmSource:
    vm_uuid: str
    file: Path
    host: HostRef
    storage: StorageRef


def prepare(settings: Settings, place: Place, image: GuestImage) -> KvmSource:
    """A source VM that is declared. Raises InvalidArgument."""
    document = settings.home / "inventory.yaml"
    document.write_text(_text(place, image))
    with closing(Database(database_url(settings))) as database:
        applied = apply(database, settings, document)
    uuids = {(kind, name): uuid for kind, name, uuid in applied.entries}
    return KvmSource(
        uuids[Kind.VM, VM],
        image.path,
        HostRef(uuids[Kind.HOST, HOST], HOST, HypervisorType.KVM, place.uri),
        StorageRef(uuids[Kind.STORAGE, STORAGE], StorageType.LOCAL, str(place.storage)),
    )


def check(settings: Settings, place: Place, source: KvmSource) -> list[Check]:
    """What the doctor says of the host, once its storage is there."""
    network = HostNetwork(NETWORK, place.bridge, None)
    return list(check_host(source.host, [source.storage], [network], settings))


def _text(place: Place, image: GuestImage) -> str:
    subnet = place.subnet
    # A JSON string is a YAML string, whatever characters a path has.
    words = {"uri": place.uri, "storage": str(place.storage), "image": str(image.path)}
    return _DOCUMENT.format(
        cpu_num=place.cpu_num,
        memory_bytes=place.memory_bytes,
        bridge=place.bridge,
        gateway=address_of(subnet),
        netmask=subnet.netmask,
        first=subnet[10],
        last=subnet[-2],
        guest_bytes=image.memory_bytes,
        format=image.format,
        **{name: json.dumps(word) for name, word in words.items()},
    )
