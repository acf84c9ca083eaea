"""What is read of a source's domain is what libvirt says of it."""

import pytest
from lxml import etree

from app.domain.errors import SourceNotCloneable
from tests.unit.workers.hypervisors.kvm.sources import domain, found, shape
from workers.hypervisors.kvm.source_domain import (
    BackingLayer,
    SourceDisk,
    SourceNic,
    SourceTpm,
    check_cloneable,
)
from workers.hypervisors.kvm.source_xml import masked, read_source

TPM = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"


def test_a_running_q35_machine_is_read() -> None:
    source = read_source(shape("q35_inactive"), shape("q35_live"))
    assert (source.name, source.running, source.type) == ("golden", True, "kvm")
    assert (source.arch, source.machine) == ("x86_64", "pc-q35-7.2")
    assert (source.vcpu, source.max_vcpu, source.memory) == (2, 4, 256 << 20)
    assert source.cpu_mode == "host-passthrough"
    assert source.loader == "/usr/share/OVMF/OVMF_CODE_4M.fd"
    assert source.nvram_path == "/var/lib/libvirt/qemu/nvram/golden_VARS.fd"
    assert source.nvram_template == "/usr/share/OVMF/OVMF_VARS_4M.fd"
    assert source.tpm == SourceTpm("emulator", "tpm-crb", "2.0", persistent=True, place=None)
    assert source.has_genid
    assert source.has_vsock
    assert source.own is None
    assert [disk.target for disk in source.disks] == ["vda", "vdb", "sda", "sdb", "sdc"]
    assert source.disks[0] == SourceDisk(
        target="vda",
        bus="virtio",
        device="disk",
        type="file",
        path="/images/8f14e45fceea4676b1d0e5f2a3c4d5e6.qcow2",
        pool=None,
        volume=None,
        format="qcow2",
        backing=(BackingLayer("file", "/images/root.qcow2", "qcow2"),),
        readonly=False,
        shareable=False,
        transient=False,
    )
    assert source.disks[1].shareable
    assert [(disk.device, disk.readonly) for disk in source.disks[3:]] == [("cdrom", True)] * 2
    assert source.nics[1] == SourceNic(
        "52:54:00:aa:bb:02",
        "e1000e",
        "bridge",
        "br-lan",
        link_up=False,
        inbound=None,
        outbound=None,
    )


def test_a_stopped_i440fx_machine_is_read() -> None:
    source = read_source(shape("i440fx_inactive"), None)
    assert (source.running, source.machine, source.tpm) == (False, "pc-i440fx-7.2", None)
    assert (source.vcpu, source.max_vcpu) == (1, 1)
    assert not source.has_genid
    assert not source.has_vsock
    disks = [(disk.type, disk.device, disk.path, disk.format) for disk in source.disks]
    assert disks == [
        ("file", "disk", "/images/legacy.raw", "raw"),
        ("file", "cdrom", None, "raw"),
        ("block", "disk", "/dev/vg0/legacy-data", "raw"),
        ("file", "floppy", "/images/answers.img", "raw"),
    ]
    assert {disk.backing for disk in source.disks} == {None}  # a stopped one does not say
    nic = source.nics[0]
    assert (nic.type, nic.source) == ("network", "lab")
    assert (nic.inbound, nic.outbound) == (8_000_000, 1_024_000)


def test_an_aarch64_machine_is_read() -> None:
    source = read_source(shape("aarch64_inactive"), None)
    assert (source.arch, source.machine, source.firmware) == ("aarch64", "virt-7.2", "efi")
    assert source.disks[1].readonly
    assert source.nics[0].source == "ovs0"


@pytest.mark.parametrize("name", ["q35_inactive", "i440fx_inactive", "aarch64_inactive"])
def test_the_shapes_can_be_cloned(name: str) -> None:
    check_cloneable(read_source(shape(name), None))


@pytest.mark.parametrize(
    ("memory", "size"),
    [
        ("<memory>2048</memory>", 2 << 20),
        ("<memory unit='KiB'>2048</memory>", 2 << 20),
        ("<memory unit='bytes'>4096</memory>", 4096),
        ("<memory unit='MB'>3</memory>", 3_000_000),
        ("<memory unit='MiB'>3</memory>", 3 << 20),
        ("<memory unit='G'>1</memory>", 1 << 30),
        ("<memory unit='TiB'>1</memory>", 1 << 40),
    ],
)
def test_memory_is_read_in_its_unit(memory: str, size: int) -> None:
    assert read_source(domain(memory), None).memory == size


@pytest.mark.parametrize(
    ("store", "backing"),
    [
        ("", None),
        ("<backingStore/>", ()),
        (
            "<backingStore type='file'><format type='raw'/><source file='/b'/></backingStore>",
            (BackingLayer("file", "/b", "raw"),),
        ),
        (
            "<backingStore type='block'><source dev='/dev/b'/><backingStore type='network'>"
            "<format type='raw'/><source protocol='nbd' name='x'/><backingStore/></backingStore>"
            "</backingStore>",
            (BackingLayer("block", "/dev/b", None), BackingLayer("network", None, "raw")),
        ),
    ],
)
def test_a_chain_is_read_as_far_as_it_is_declared(
    store: str, backing: tuple[BackingLayer, ...] | None
) -> None:
    disk = f"<disk type='file'><source file='/t'/>{store}<target dev='vdb' bus='virtio'/></disk>"
    assert read_source(domain(devices=disk), None).disks[1].backing == backing


def test_a_volume_of_a_pool_is_read_by_its_names() -> None:
    disk = "<disk type='volume'><source pool='p' volume='v'/><target dev='vdb'/></disk>"
    read = read_source(domain(devices=disk), None).disks[1]
    assert (read.path, read.pool, read.volume) == (None, "p", "v")


def test_the_firmwares_variables_are_those_that_libvirt_chose() -> None:
    system = "<os firmware='efi'><type arch='x86_64' machine='q35'>hvm</type>{}</os>"
    live = domain(system.format("<nvram template='/t'>/chosen.fd</nvram>"))
    assert read_source(domain(system.format("")), live).nvram_path == "/chosen.fd"
    own = domain(system.format("<nvram>/own.fd</nvram>"))
    assert read_source(own, live).nvram_path == "/own.fd"
    assert read_source(domain(system.format("")), None).nvram_path is None


def test_variables_may_lie_in_a_source_element() -> None:
    nvram = "<nvram type='file'><source file='/nv.fd'/></nvram>"
    system = f"<os><type arch='x86_64' machine='q35'>hvm</type>{nvram}</os>"
    assert read_source(domain(system), None).nvram_path == "/nv.fd"


@pytest.mark.parametrize(
    ("running", "reset", "refused"),
    [(True, False, True), (True, True, False), (False, False, False), (False, True, False)],
)
def test_a_running_sources_tpm_needs_a_reset(running: bool, reset: bool, refused: bool) -> None:
    xml = domain(devices=TPM)
    source = read_source(xml, xml if running else None)
    if refused:
        with pytest.raises(SourceNotCloneable, match=r"runs and has <devices/tpm>.*resetTpm"):
            check_cloneable(source, reset_tpm=reset)
    else:
        check_cloneable(source, reset_tpm=reset)


def test_a_consoles_password_is_kept_as_a_fact_alone() -> None:
    xml = masked(domain(devices="<graphics type='vnc' passwd='secret'/><graphics type='spice'/>"))
    assert "secret" not in xml
    assert found(etree.fromstring(xml), "devices/graphics/@passwd") == ["-"]


def test_a_tpm_state_that_lies_elsewhere_is_not_copied() -> None:
    tpm = TPM.replace("</backend>", "").replace(
        "version='2.0'/>", "version='2.0'><source type='dir' path='/tpms/a'/></backend>"
    )
    source = read_source(domain(devices=tpm), None)
    with pytest.raises(SourceNotCloneable, match=r"state in /tpms/a.*resetTpm"):
        check_cloneable(source)
    check_cloneable(source, reset_tpm=True)


def test_a_shared_disk_is_left_out_with_a_note() -> None:
    notes = check_cloneable(read_source(shape("q35_inactive"), None))
    assert [note for note in notes if "<devices/disk/shareable> of vdb" in note]


@pytest.mark.parametrize("xml", ["", "<domain", "no xml"])
def test_what_is_no_domain_is_refused(xml: str) -> None:
    with pytest.raises(SourceNotCloneable, match="cannot be read"):
        read_source(xml, None)
