"""A running source on a KVM host: the tiny guest with its data volume, which writes and syncs all
the time, and what must be true of it whatever was done to it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lxml import etree

from tests.e2e.stack import Stack
from tests.guest.build import MEMORY_MIB, START_WORKLOAD, build_data
from tests.kvm.domains import Domain, static_network, write_seed
from tests.kvm.libvirt_host import LibvirtHost
from tests.kvm.waiting import until

DATA_MARKER = "the golden data"
AGENT = "org.qemu.guest_agent.0"
# The kernel of this guest sees no SATA drives.
DEVICES = (
    "<controller type='scsi' index='0' model='virtio-scsi'/>"
    f"<channel type='unix'><target type='virtio' name='{AGENT}'/></channel>"
)
ASKING_S = 0.2  # between two questions to a guest, which cost it more than its writes
NAME, MAC, IP = "golden", "fa:00:00:00:00:01", "10.77.0.5"
INVENTORY = """
zones: [{{name: z}}]
clusters: [{{name: c, zone: z, hypervisorType: KVM}}]
hosts: [{{name: h, cluster: c, managementIp: 127.0.0.1, cpuNum: 8, memorySize: 16GiB}}]
primaryStorage: [{{name: ps, type: LocalStorage, url: {storage}, clusters: [c]}}]
l3Networks:
  - {{name: l3, zone: z, bridge: br0, dns: [10.77.0.1], ipRanges: [{{startIp: 10.77.0.10,
     endIp: 10.77.0.250, netmask: 255.255.255.0, gateway: 10.77.0.1}}]}}
vmInstances:
  - {{name: golden, cluster: c, host: h, cpuNum: 1, memorySize: {memory}MiB,
     volumes: [{{type: Root, primaryStorage: ps, path: {images}/golden.qcow2}},
               {{type: Data, primaryStorage: ps, path: {images}/data.raw, format: raw}}],
     nics: [{{l3Network: l3}}]}}
"""


@dataclass
class Source:
    host: LibvirtHost
    folder: Path
    boots: int = 0  # so often was it started

    @property
    def images(self) -> Path:
        return self.folder / "images"

    def storage(self, name: str) -> Path:
        """Of clones."""
        return self.folder / "storages" / name

    @property
    def files(self) -> dict[str, Path]:
        """Of its disks, by target."""
        return {"vda": self.images / "golden.qcow2", "vdb": self.images / "data.raw"}

    def start(self) -> None:
        """It has written to both of its disks since."""
        with self.host.connection() as libvirtd:
            libvirtd.lookupByName(NAME).create()
        self.boots += 1
        first = self.said()["first_counts"]["data"] or 0
        until(
            lambda: (self.said()["counts"]["data"] or 0) > first + 5,
            "the guest writes",
            within_s=60,
            every_s=ASKING_S,
        )

    def stop(self) -> None:
        """In good order."""
        with self.host.connection() as libvirtd:
            domain = libvirtd.lookupByName(NAME)
            domain.shutdown()
            until(lambda: not domain.isActive(), "the guest stops", within_s=30)

    def runs(self) -> bool:
        """By libvirt's word."""
        with self.host.connection() as libvirtd:
            return bool(libvirtd.lookupByName(NAME).isActive())

    def tell_agent(self, how: str) -> None:
        """To be one that "answers" or is "silent", or not to be there ("none")."""
        self.host.get(IP, f"/agent/{how}")
        state = "disconnected" if how == "none" else "connected"
        channel = f"devices/channel/target[@name='{AGENT}'][@state='{state}']"
        until(lambda: self._domain().find(channel) is not None, "it hears", within_s=20)

    def said(self) -> dict[str, Any]:
        return self.host.identity(IP)

    def forget_gap(self) -> None:
        """Its longest time between two writes is taken anew."""
        self.host.get(IP, "/forget-gap")

    def written(self) -> int:
        """A count that is on both disks, or ahead by one on the first: root is durable before data
        is written, and data before the next root."""
        return int(self.said()["counts"]["data"]) - 1

    def assert_has(self, written: int) -> None:
        """What was on its disks then was there at its last start."""
        first = self.said()["first_counts"]
        assert first["root"] > written
        assert first["data"] >= written

    def disks(self, *, inactive: bool) -> dict[str, list[str]]:
        """What each disk stands on, top first, by target; "job" ends one that has a block job."""
        import libvirt

        domain = self._domain(libvirt.VIR_DOMAIN_XML_INACTIVE if inactive else 0)
        return {
            str(target.get("dev")): list(_chain(disk))
            for disk in domain.iterfind("devices/disk")
            if disk.get("device") == "disk" and (target := disk.find("target")) is not None
        }

    def _domain(self, flags: int = 0) -> Any:
        with self.host.connection() as libvirtd:
            return etree.fromstring(libvirtd.lookupByName(NAME).XMLDesc(flags))

    def assert_as_before(self) -> None:
        """Its disks are its own files again, live and for its next start; no overlay is left, and
        the guest writes on."""
        chains = {target: [str(path)] for target, path in self.files.items()}
        assert self.disks(inactive=False) == chains
        assert self.disks(inactive=True) == chains
        assert list(self.storage("").glob("*/work/*.qcow2")) == []
        self.assert_writes_on()

    def assert_writes_on(self) -> None:
        before = self.said()
        assert before["boots"] == self.boots, "it was started again"
        until(
            lambda: self.said()["counts"]["root"] > before["counts"]["root"],
            "the guest writes on",
            within_s=30,
            every_s=ASKING_S,
        )


def _chain(disk: Any) -> Iterator[str]:
    source, below = disk.find("source"), disk.find("backingStore")
    while source is not None:
        yield source.get("file")
        if below is None:
            break
        source, below = below.find("source"), below.find("backingStore")
    if disk.find("mirror") is not None:
        yield "job"


@contextmanager
def running_source(
    host: LibvirtHost, folder: Path, image: Path, domain_type: str
) -> Iterator[Source]:
    """It has written to both of its disks."""
    source = Source(host, folder)
    source.images.mkdir()
    shutil.copyfile(image, source.files["vda"])
    build_data(source.images, DATA_MARKER)
    seed = write_seed(
        source.images / "seed.iso",
        instance_id="i-golden",
        hostname="golden",
        network=static_network(MAC, IP, gateway="10.77.0.1"),
        vendor={"runcmd": [list(START_WORKLOAD)]},
    )
    domain = Domain(
        NAME,
        domain_type,
        MAC,
        list(source.files.values()),
        seed=seed,
        seed_bus="scsi",
        devices=DEVICES,
    )
    with host.connection() as libvirtd:
        libvirtd.defineXML(domain.xml())
    source.start()
    yield source


def declare(stack: Stack, source: Source, storage: Path) -> str:
    """The storage's uuid."""
    document = INVENTORY.format(storage=storage, images=source.images, memory=MEMORY_MIB)
    return stack.declare(document)["ps"]
