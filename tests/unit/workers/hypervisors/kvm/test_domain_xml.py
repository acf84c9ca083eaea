"""A clone's domain is the source's machine with nothing of the source's own."""

from dataclasses import replace

import pytest
from lxml import etree
from lxml.etree import _Element

from app.domain.errors import SourceNotCloneable
from tests.unit.workers.hypervisors.kvm.sources import (
    DASHED,
    GIB,
    LINKED,
    NIC,
    PARTS,
    ROOT,
    VM,
    clone_of,
    domain,
    found,
    shape,
)
from workers.hypervisors.kvm.clone_parts import DomainType, SeedPart, TpmState, VolumePart
from workers.hypervisors.kvm.domain_xml import build
from workers.hypervisors.kvm.source_domain import OwnMetadata
from workers.hypervisors.kvm.source_xml import read_source

SHAPES = {
    "q35_inactive": (
        replace(
            PARTS,
            memory=GIB // 4,
            volumes=(LINKED, replace(ROOT, source_target="sda", path="/clones/data.qcow2")),
            seed=SeedPart("/seeds/1.iso", "sdc"),
            cdroms=("/isos/tools.iso",),
            nics=(NIC, replace(NIC, mac="fa:00:00:00:00:02", tap="vnic1.1")),
            nvram_path="/nvram/clone.fd",
            tpm=TpmState.COPIED,
            keep_cpu_pinning=True,
            log_folder="/logs",
        ),
        "golden touch 3a5d2c9e 52:54:00 /images/ 8f14e45f br-lan vnet SN- BB- credential"
        " /var/log 5999 5799 libosinfo e3a208e6 address='77' ua-root",
    ),
    "i440fx_inactive": (
        replace(PARTS, volumes=(replace(ROOT, source_target="hda"),), seed=SeedPart("/seed.iso")),
        "legacy 7c1d9f00 52:54:00 lab blue tapgold 10.9.8.7 1000 /images/ /dev/vg0 /dev/parport0"
        " 4555 telnet 5999 golden pulse +107",
    ),
    "aarch64_inactive": (
        replace(PARTS, volumes=(LINKED,), seed=SeedPart("/s.iso", "vdb"), nvram_path="/n.fd"),
        "arm-golden 0f0e0d0c 52:54:00 ovs0 5b1d0b0c /images/",
    ),
}

shapes = pytest.mark.parametrize("name", SHAPES)


@shapes
def test_nothing_of_the_sources_own_is_in_the_clone(name: str) -> None:
    parts, own = SHAPES[name]
    clone = build(shape(name), parts).xml.replace('"', "'")
    assert [word for word in own.split() if word in clone] == []


@shapes
def test_the_clone_is_the_same_machine(name: str) -> None:
    parts, _ = SHAPES[name]
    source, clone = etree.fromstring(shape(name)), etree.fromstring(build(shape(name), parts).xml)
    for path in ("os/type/@arch", "os/type/@machine", "os/loader", "cpu/@mode", "features/*"):
        assert found(clone, path) == found(source, path)
    for path in ("devices/controller", "devices/video", "devices/input", "devices/memballoon"):
        assert [plain(e) for e in clone.findall(path)] == [plain(e) for e in source.findall(path)]


def plain(element: _Element) -> bytes:
    text = etree.tostring(element)
    parser = etree.XMLParser(remove_blank_text=True)
    return etree.tostring(etree.fromstring(text, parser), method="c14n2")


@shapes
def test_devices_stay_in_their_slots(name: str) -> None:
    parts, _ = SHAPES[name]
    before = slots(etree.fromstring(shape(name)))
    after = slots(etree.fromstring(build(shape(name), parts).xml))
    assert after
    assert {slot: before.get(slot) for slot in after} == after


def slots(tree: _Element) -> dict[bytes, str]:
    """What kind of device is at which address."""
    return {plain(address): parent_tag(address) for address in tree.iterfind("devices/*/address")}


def parent_tag(element: _Element) -> str:
    parent = element.getparent()
    return "" if parent is None else str(parent.tag)


@shapes
def test_building_twice_is_the_same_text(name: str) -> None:
    parts, _ = SHAPES[name]
    assert build(shape(name), parts) == build(shape(name), parts)


def test_a_clone_can_be_cloned() -> None:
    first = build(shape("q35_inactive"), SHAPES["q35_inactive"][0]).xml
    second = replace(
        SHAPES["q35_inactive"][0],
        vm_uuid="9" * 32,
        item_uuid="8" * 32,
        job_uuid="7" * 32,
        title="second",
    )
    clone = build(first, second).xml
    assert VM not in clone
    assert DASHED not in clone
    assert read_source(clone, None).own == OwnMetadata("9" * 32, "8" * 32, "7" * 32)


def test_names_are_the_clones() -> None:
    clone = clone_of(domain(), title="a <b> & 'c' \ufffe é")
    assert found(clone, "name") == [VM]
    assert found(clone, "uuid") == [DASHED]
    assert found(clone, "title") == ["a <b> & 'c' \ufffd é"]  # XML cannot say U+FFFE
    assert read_source(build(domain(), PARTS).xml, None).own == OwnMetadata(VM, "b" * 32, "a" * 32)


@pytest.mark.parametrize(
    ("cpu", "becomes"),
    [
        ("<cpu mode='host-passthrough' migratable='on'/>", {"mode": "maximum"}),
        ("<cpu mode='host-model' check='partial'/>", {"mode": "maximum"}),
        ("<cpu mode='custom' match='exact'/>", {"mode": "custom", "match": "exact"}),
    ],
)
def test_an_emulated_clone_asks_for_no_cpu_of_the_host(cpu: str, becomes: dict[str, str]) -> None:
    element = clone_of(domain(cpu), domain_type=DomainType.QEMU).find("cpu")
    assert element is not None
    assert dict(element.items()) == becomes


def test_an_emulated_clone_keeps_its_topology_and_no_feature_of_the_host() -> None:
    topology = "<topology sockets='2' cores='1' threads='1'/>"
    cpu = f"<cpu mode='host-passthrough'>{topology}<feature policy='require' name='vmx'/></cpu>"
    clone = clone_of(domain(cpu), domain_type=DomainType.QEMU)
    assert found(clone, "cpu/topology/@sockets") == ["2"]
    assert found(clone, "cpu/feature") == []


@pytest.mark.parametrize(
    ("current", "memory", "becomes"),
    [
        ("<currentMemory unit='KiB'>524288</currentMemory>", GIB, ["524288"]),
        ("<currentMemory unit='GiB'>1</currentMemory>", GIB, ["1048576"]),
        ("<currentMemory unit='GiB'>2</currentMemory>", GIB, []),  # larger than the memory
        ("<currentMemory unit='KiB'>524288</currentMemory>", 2 * GIB, []),  # another memory
        ("", GIB, []),
    ],
)
def test_the_balloon_fits_the_memory(current: str, memory: int, becomes: list[str]) -> None:
    clone = clone_of(domain(current), memory=memory)
    assert found(clone, "currentMemory") == becomes
    assert found(clone, "memory") == [str(memory // 1024)]


@pytest.mark.parametrize(
    ("vcpu", "asked", "becomes", "current"),
    [
        ("<vcpu>4</vcpu>", 4, "4", []),
        ("<vcpu>4</vcpu>", 2, "2", []),
        ("<vcpu current='2'>4</vcpu>", 2, "4", ["2"]),  # two can be plugged in later
        ("<vcpu current='2'>4</vcpu>", 4, "4", []),
        ("<vcpu current='2'>4</vcpu>", 8, "8", []),
    ],
)
def test_the_clone_has_as_many_vcpus_as_asked(
    vcpu: str, asked: int, becomes: str, current: list[str]
) -> None:
    clone = clone_of(domain(vcpu), vcpu=asked)
    assert (found(clone, "vcpu"), found(clone, "vcpu/@current")) == ([becomes], current)


@pytest.mark.parametrize(
    ("nvram", "path", "becomes", "template"),
    [
        ("<nvram template='/t'>/old</nvram>", "/new", ["/new"], ["/t"]),
        ("<nvram template='/t'>/old</nvram>", None, [""], ["/t"]),  # libvirt makes one
        ("<nvram>/old</nvram>", None, [], []),
        ("", "/new", ["/new"], []),  # libvirt chose, and the source's was copied
        ("", None, [], []),
    ],
)
def test_the_firmwares_variables_are_the_clones(
    nvram: str, path: str | None, becomes: list[str], template: list[str]
) -> None:
    system = f"<os firmware='efi'><type arch='x86_64' machine='q35'>hvm</type>{nvram}</os>"
    clone = clone_of(domain(system), nvram_path=path)
    assert found(clone, "os/nvram") == becomes
    assert found(clone, "os/nvram/@template") == template


@pytest.mark.parametrize("state", TpmState)
def test_the_clone_has_a_tpm_where_it_was_asked_for(state: TpmState) -> None:
    tpm = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"
    clone = build(domain(devices=tpm), replace(PARTS, tpm=state))
    wanted = state is not TpmState.NONE
    assert ("<tpm" in clone.xml) is wanted
    assert any("<devices/tpm>" in note for note in clone.notes) is not wanted


@pytest.mark.parametrize(
    ("device", "kind", "becomes"),
    [
        ("serial", "file", "pty"),
        ("serial", "tcp", "pty"),
        ("serial", "unix", "pty"),
        ("serial", "dev", "pty"),
        ("serial", "null", "null"),
        ("parallel", "dev", "pty"),
        ("console", "stdio", "pty"),
        ("channel", "unix", "unix"),
        ("channel", "tcp", "unix"),
        ("channel", "pty", "pty"),
        ("channel", "spicevmc", "spicevmc"),
        ("channel", "qemu-vdagent", "qemu-vdagent"),
    ],
)
def test_ports_end_in_something_of_the_clones(device: str, kind: str, becomes: str) -> None:
    source = f"<{device} type='{kind}'><target type='virtio'/></{device}>"
    assert found(clone_of(domain(devices=source)), f"devices/{device}/@type") == [becomes]


def test_a_port_of_the_display_keeps_its_name() -> None:
    port = "<channel type='spiceport'><source channel='org.a.b'/><target type='virtio'/></channel>"
    assert found(clone_of(domain(devices=port)), "devices/channel/source/@channel") == ["org.a.b"]


def test_a_console_is_logged_once_with_its_serial_port() -> None:
    ports = "".join(
        f"<{tag} type='pty'><log file='/l'/><target type='{kind}' port='{number}'/></{tag}>"
        for tag, kind, number in (
            ("serial", "isa-serial", 0),
            ("serial", "isa-serial", 1),
            ("console", "serial", 0),
            ("console", "virtio", 1),
        )
    )
    clone = clone_of(domain(devices=ports), log_folder="/logs")
    names = ("serial0", "serial1", "serial0", "console1")
    assert found(clone, "devices/*/log/@file") == [f"/logs/{VM}-{name}.log" for name in names]
    assert found(clone_of(domain(devices=ports)), "devices/*/log") == []


def test_a_password_that_was_left_out_is_noted() -> None:
    notes = build(domain(devices="<graphics type='vnc' passwd='x'/>"), PARTS).notes
    assert [note for note in notes if "no password" in note]
    assert not build(domain(devices="<graphics type='vnc'/>"), PARTS).notes


@pytest.mark.parametrize("kind", ["egl-headless", "dbus"])
def test_a_display_without_ports_gets_none(kind: str) -> None:
    clone = clone_of(domain(devices=f"<graphics type='{kind}'/>"))
    assert found(clone, "devices/graphics/@*") == [kind]


@pytest.mark.parametrize(
    ("inner", "devices", "named"),
    [
        ("<wormhole/>", "", "<wormhole>"),
        ("<x:wormhole xmlns:x='https://x.example/1'/>", "", "<?:wormhole>"),
        ("<qemu:wormhole/>", "", "<qemu:wormhole>"),
        ("<cputune><wormhole/></cputune>", "", "<cputune/wormhole>"),
        ("", "<rng model='virtio'><wormhole/></rng>", "<devices/rng/wormhole>"),
    ],
)
def test_an_element_that_nobody_knows_is_left_out_with_a_note(
    inner: str, devices: str, named: str
) -> None:
    clone = build(domain(inner, devices), PARTS)
    assert "wormhole" not in clone.xml
    assert [note for note in clone.notes if named in note]


def test_comments_and_entities_do_not_reach_the_clone() -> None:
    entity = "<!DOCTYPE domain [<!ENTITY e 'golden-entity'>]>"
    features = "<features><hyperv><!-- golden comment --><?golden to do?></hyperv></features>"
    clone = build(entity + domain(features).replace("hvm", "hvm&e;"), PARTS).xml
    assert "golden" not in clone
    assert "&e;" not in clone


def test_everything_that_is_refused_is_named_at_once() -> None:
    xml = domain(devices="<hostdev mode='subsystem' type='usb'/><shmem name='x'/>")
    with pytest.raises(SourceNotCloneable, match=r"<devices/hostdev>.*<devices/shmem>.*Take that"):
        build(xml, PARTS)


def test_a_running_source_is_cloned_from_its_disks_of_now() -> None:
    parts = replace(PARTS, volumes=(ROOT, VolumePart("3" * 32, "vdz", "/c/z", ROOT.format)))
    inactive = domain(devices="<disk type='network' device='disk'><target dev='vdb'/></disk>")
    live = domain(
        devices="<disk type='file' device='disk'><source file='/z'/><target dev='vdz'/>"
        "</disk><hostdev mode='subsystem' type='usb'/>",
        attributes="type='kvm' id='3'",
    )
    clone = clone_of(inactive, live, volumes=parts.volumes)
    assert found(clone, "devices/disk/target/@dev") == ["vda", "vdz"]
    assert found(clone, "devices/hostdev") == []  # unplugged when the source stops


@pytest.mark.parametrize(
    ("inactive", "slot"),
    [
        ("<target dev='vdb' bus='virtio'/><address type='pci' slot='0x04'/>", ["0x04"]),
        ("<target dev='vdb' bus='scsi'/><address type='pci' slot='0x04'/>", []),  # another bus
        ("<target dev='vdc' bus='virtio'/><address type='pci' slot='0x04'/>", []),  # another disk
    ],
)
def test_a_running_disks_slot_is_free_in_the_clone(inactive: str, slot: list[str]) -> None:
    """What is in use now may be another device's slot at the next start."""
    disk = "<disk type='file' device='disk'><source file='/d'/>{}</disk>"
    now = "<target dev='vdb' bus='virtio'/><address type='pci' slot='0x09'/>"
    clone = clone_of(
        domain(devices=disk.format(inactive)),
        domain(devices=disk.format(now)),
        volumes=(ROOT, replace(ROOT, source_target="vdb")),
    )
    assert found(clone, "devices/disk[2]/address/@slot") == slot
