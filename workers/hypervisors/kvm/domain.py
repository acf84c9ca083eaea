"""A clone's domain: its source's template, with what is the clone's own."""

from dataclasses import dataclass
from uuid import UUID

from lxml import etree
from lxml.etree import _Element as Element

from app.domain.plan import CloneMethod, ClonePlan, NicPlan, VolumePlan
from workers.hypervisors.kvm.template import BASE, SEED, disk_paths, parse, to_text

NAMESPACE = "https://vmclone/domain/1"
_PREFIXES = {"virtio": "vd", "ide": "hd"}  # of a disk's name, by its bus
_TAP_LENGTH = 15  # an interface's name; source: linux/if.h, IFNAMSIZ


@dataclass(frozen=True, slots=True)
class Own:
    """What the plan does not say."""

    domain_type: str  # kvm or qemu
    job_uuid: str
    item_uuid: str
    nvram_path: str | None = None  # of the firmware's state, where the template has one


def build(template: str, plan: ClonePlan, own: Own) -> str:
    domain = parse(template)
    domain.set("type", own.domain_type)
    devices = domain.find("devices")
    assert devices is not None  # the template has them
    _identify(domain, plan, own)
    _size(domain, plan)
    if own.domain_type == "qemu":
        _emulate_cpu(domain)
    _firmware(domain, own)
    _disks(domain, devices, plan)
    _nics(devices, plan)
    _terminals(devices)
    for vsock in devices.iterfind("vsock/cid"):
        vsock.attrib.clear()
        vsock.set("auto", "yes")
    return to_text(domain)


def vm_of(metadata: str) -> str | None:
    """The VM's uuid in our metadata element, as libvirt gives it back."""
    try:
        return parse(metadata).get("vm")
    except etree.XMLSyntaxError:
        return None


def _identify(domain: Element, plan: ClonePlan, own: Own) -> None:
    uuid = str(UUID(plan.vm_uuid))
    title = etree.Element("title")
    title.text = plan.vm_name
    metadata = etree.Element("metadata")
    clone = etree.SubElement(metadata, f"{{{NAMESPACE}}}clone", nsmap={"vmclone": NAMESPACE})
    for key, value in (("vm", plan.vm_uuid), ("item", own.item_uuid), ("job", own.job_uuid)):
        clone.set(key, value)
    for number, element in enumerate(
        (_text("name", plan.vm_uuid), _text("uuid", uuid), title, metadata)
    ):
        domain.insert(number, element)
    for genid in domain.iterfind("genid"):
        genid.text = None  # libvirt makes one
    for block in domain.iterfind("sysinfo/system"):
        etree.SubElement(block, "entry", {"name": "uuid"}).text = uuid


def _text(tag: str, text: str) -> Element:
    element = etree.Element(tag)
    element.text = text
    return element


def _size(domain: Element, plan: ClonePlan) -> None:
    for tag in ("memory", "currentMemory"):
        for element in domain.findall(tag):
            domain.remove(element)
        element = etree.SubElement(domain, tag, {"unit": "KiB"})
        element.text = str(plan.memory_size >> 10)
    vcpu = domain.find("vcpu")
    if vcpu is None:
        vcpu = etree.SubElement(domain, "vcpu")
    vcpu.attrib.pop("current", "")
    vcpu.text = str(plan.cpu_num)
    topology = domain.find("cpu/topology")
    if topology is not None and _product(topology) != plan.cpu_num:
        domain.find("cpu").remove(topology)  # type: ignore[union-attr]


def _product(topology: Element) -> int:
    number = 1
    for name in ("sockets", "dies", "clusters", "cores", "threads"):
        number *= int(topology.get(name, "1"))
    return number


def _emulate_cpu(domain: Element) -> None:
    """Without KVM there is no host CPU to pass through."""
    cpu = domain.find("cpu")
    if cpu is not None and cpu.get("mode") in {"host-passthrough", "host-model", "maximum"}:
        cpu.attrib.clear()
        cpu.set("mode", "maximum")
        for child in list(cpu):
            if child.tag not in {"topology", "numa"}:
                cpu.remove(child)


def _firmware(domain: Element, own: Own) -> None:
    for nvram in domain.iterfind("os/nvram"):
        for child in list(nvram):
            nvram.remove(child)
        nvram.attrib.pop("type", "")
        nvram.text = own.nvram_path


def _disks(domain: Element, devices: Element, plan: ClonePlan) -> None:
    volumes = {BASE + volume.base.uuid: volume for volume in plan.volumes}
    seed = plan.seed_path
    for disk, path in list(disk_paths(domain)):
        if path == SEED and seed:
            _set_file(disk, seed, "raw")
            seed = None
        elif path in volumes:
            _set_volume(disk, volumes[path])
        else:
            devices.remove(disk)
    _fill_drives(devices, plan)
    if seed:
        devices.append(_seed_drive(devices, seed))


def _set_volume(disk: Element, volume: VolumePlan) -> None:
    _set_file(disk, volume.path, volume.format)
    if volume.method is not CloneMethod.LINKED:
        return
    # The whole chain by name, so that libvirt reads no header for it.
    below = etree.SubElement(disk, "backingStore", {"type": "file"})
    etree.SubElement(below, "format", {"type": str(volume.base.format)})
    etree.SubElement(below, "source", {"file": volume.base.path})
    etree.SubElement(below, "backingStore")


def _set_file(disk: Element, path: str, image_format: str) -> None:
    source = disk.find("source")
    if source is None:
        source = etree.SubElement(disk, "source")
    source.attrib.clear()
    source.set("file", path)
    driver = disk.find("driver")
    if driver is None:
        driver = etree.Element("driver", {"name": "qemu"})
        disk.insert(0, driver)
    driver.set("type", image_format)


def _fill_drives(devices: Element, plan: ClonePlan) -> None:
    """The plan's ISO images into the drives that have none, in order."""
    drives = [
        disk
        for disk in devices.iterfind("disk")
        if disk.get("device") == "cdrom" and disk.find("source") is None
    ]
    for drive, cdrom in zip(drives, plan.cdroms, strict=False):
        if cdrom.iso_path:
            _set_file(drive, cdrom.iso_path, "raw")


def _seed_drive(devices: Element, path: str) -> Element:
    """A drive of its own on the root volume's bus, which the guest surely sees: kernels made for
    clouds know no SATA. On virtio there are no CD-ROMs, and guests look at disks as well."""
    root = devices.find("disk[@device='disk']/target")
    bus = "virtio" if root is None else root.get("bus", "virtio")
    prefix = _PREFIXES.get(bus, "sd")
    taken = {target.get("dev") for target in devices.iterfind("disk/target")}
    name = next(n for letter in "abcdefghijklmnopqrstuvwxyz" if (n := prefix + letter) not in taken)
    disk = etree.Element("disk", {"type": "file", "device": "disk" if bus == "virtio" else "cdrom"})
    etree.SubElement(disk, "driver", {"name": "qemu", "type": "raw"})
    etree.SubElement(disk, "source", {"file": path})
    etree.SubElement(disk, "target", {"dev": name, "bus": bus})
    etree.SubElement(disk, "readonly")
    return disk


def _nics(devices: Element, plan: ClonePlan) -> None:
    interfaces = devices.findall("interface")
    for interface in interfaces[len(plan.nics) :]:
        devices.remove(interface)
    for number, nic in enumerate(plan.nics):
        old = interfaces[number] if number < len(interfaces) else None
        new = _interface(nic, old)
        if old is None:
            devices.append(new)
        else:
            devices.replace(old, new)


def _interface(nic: NicPlan, old: Element | None) -> Element:
    """The slot and tuning of the source's NIC, and the rest of the clone's."""
    kind = "network" if nic.libvirt_network else "bridge"
    interface = etree.Element("interface", {"type": kind})
    etree.SubElement(interface, "mac", {"address": nic.mac})
    etree.SubElement(interface, "source", {kind: nic.libvirt_network or nic.bridge or ""})
    etree.SubElement(interface, "target", {"dev": nic.internal_name[:_TAP_LENGTH]})
    etree.SubElement(interface, "model", {"type": nic.driver_type})
    if old is not None:
        for kept in ("driver", "mtu", "virtualport", "vlan", "rom", "boot", "address"):
            interface.extend(old.findall(kept))
    return interface


def _terminals(devices: Element) -> None:
    """Serial lines and consoles end in terminals, agents' channels in sockets of their own."""
    for tag in ("serial", "parallel", "console"):
        for element in devices.findall(tag):
            element.set("type", "pty")
            _drop(element, "source", "log", "protocol")
    for channel in devices.iterfind("channel"):
        _drop(channel, "source", "log")
    for graphics in devices.iterfind("graphics"):
        for name in ("port", "tlsPort", "websocket", "passwd", "passwdValidTo", "socket"):
            graphics.attrib.pop(name, "")
        graphics.set("autoport", "yes")
        for listen in graphics.iterfind("listen"):
            listen.attrib.pop("socket", "")


def _drop(element: Element, *names: str) -> None:
    for name in names:
        for child in element.findall(name):
            element.remove(child)
