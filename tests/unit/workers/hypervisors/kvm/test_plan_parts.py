"""What a plan says is what its domain is built from."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from app.domain.errors import SourceNotCloneable
from app.domain.machine_wish import MachineWish
from app.domain.plan import (
    BackingFile,
    BaseFile,
    CdRomPlan,
    CloneMethod,
    ClonePlan,
    CloneStrategy,
    HostRef,
    HypervisorType,
    NicPlan,
    StorageRef,
    StorageType,
    VolumeFormat,
    VolumePlan,
    VolumeType,
)
from tests.unit.workers.hypervisors.kvm.sources import domain
from workers.hypervisors.base import DomainTemplate
from workers.hypervisors.kvm.clone_parts import (
    CloneParts,
    DomainType,
    NicKind,
    SeedPart,
    TpmState,
)
from workers.hypervisors.kvm.plan_parts import parts_of
from workers.hypervisors.kvm.source_xml import read_source
from workers.storage import qcow2

STORAGE = StorageRef("5" * 32, StorageType.LOCAL, "/ps")
BASE = BaseFile("b" * 32, STORAGE, "/ps/base.qcow2", VolumeFormat.QCOW2, 1 << 20, "vda")
VOLUME = VolumePlan(
    uuid="a" * 32,
    type=VolumeType.ROOT,
    device_id=0,
    storage=STORAGE,
    path="/ps/root.qcow2",
    format=VolumeFormat.QCOW2,
    size=1 << 20,
    method=CloneMethod.LINKED,
    base=BASE,
)
NIC = NicPlan(
    uuid="c" * 32,
    device_id=0,
    mac="fa:00:00:00:00:00",
    internal_name="vnic1.0",
    l3_network_uuid="d" * 32,
    bridge="br0",
    driver_type="e1000",
    ip="10.0.0.9",
    netmask="255.0.0.0",
    gateway=None,
)
PLAN = ClonePlan(
    vm_uuid="e" * 32,
    vm_name="web",
    host=HostRef("f" * 32, "h", HypervisorType.KVM),
    cpu_num=2,
    memory_size=1 << 30,
    platform="Linux",
    architecture="x86_64",
    strategy=CloneStrategy.INSTANT_START,
    volumes=(VOLUME,),
    nics=(NIC,),
)
TPM = "<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm>"


def parts(
    devices: str = "", *, running: bool = False, template: dict[str, Any] | None = None, **plan: Any
) -> CloneParts:
    xml = domain(devices=devices)
    kept = DomainTemplate(xml, xml if running else None, **template or {})
    return parts_of(
        replace(PLAN, **plan),
        kept,
        read_source(xml, kept.live_xml),
        domain_type=DomainType.QEMU,
        nvram_path=None,
    )


def backing(volume: VolumePlan) -> tuple[BackingFile, ...]:
    return parts(volumes=(volume,)).volumes[0].backing


@pytest.mark.parametrize(
    ("method", "stands_on_base"),
    [(CloneMethod.LINKED, True), (CloneMethod.REFLINK, False), (CloneMethod.FULL, False)],
)
def test_a_linked_volume_stands_on_its_base(method: CloneMethod, stands_on_base: bool) -> None:
    expected = (BackingFile(BASE.path, BASE.format),) if stands_on_base else ()
    assert backing(replace(VOLUME, method=method)) == expected


@pytest.mark.parametrize("became", [CloneMethod.LINKED, CloneMethod.REFLINK])
def test_where_the_storage_took_another_method_the_file_tells(
    tmp_path: Path, became: CloneMethod
) -> None:
    """Without its base, an overlay would read as zeros."""
    path = tmp_path / "root.qcow2"
    with path.open("w+b") as stream:
        qcow2.write_overlay(stream.fileno(), 1 << 20, BASE.path, BASE.format)
        if became is CloneMethod.REFLINK:
            stream.seek(8)
            stream.write(bytes(12))  # no backing file
    volume = replace(VOLUME, path=str(path), method=CloneMethod.REFLINK, fallback=True)
    expected = (BackingFile(BASE.path, BASE.format),) if became is CloneMethod.LINKED else ()
    assert backing(volume) == expected


def test_the_image_that_tells_the_source_who_it_is_is_in_no_drive() -> None:
    drive = (
        "<disk type='file' device='cdrom'><source file='/gold-seed.iso'/>"
        "<target dev='sda' bus='sata'/></disk>"
    )
    cdroms = tuple(
        CdRomPlan("1" * 32, number, None, path)
        for number, path in enumerate(("/gold-seed.iso", None, "/tools.iso"))
    )
    made = parts(drive, template={"seed_target": "sda"}, cdroms=cdroms, seed_path="/ps/seed.iso")
    assert made.cdroms == (None, "/tools.iso")
    assert made.seed == SeedPart("/ps/seed.iso", "sda")
    untold = parts(drive, template={"seed_target": "sda"}, cdroms=cdroms)
    assert (untold.cdroms, untold.seed) == ((None, "/tools.iso"), None)


@pytest.mark.parametrize(
    ("devices", "state", "reset", "expected"),
    [
        ("", None, False, TpmState.NONE),
        ("", None, True, TpmState.NONE),
        (TPM, b"keys", False, TpmState.COPIED),
        (TPM, b"keys", True, TpmState.FRESH),
        (TPM, None, False, TpmState.FRESH),  # never started
    ],
)
def test_a_stopped_sources_tpm_is_copied_unless_a_fresh_one_is_asked_for(
    devices: str, state: bytes | None, reset: bool, expected: TpmState
) -> None:
    assert parts(devices, template={"tpm_state": state}, reset_tpm=reset).tpm is expected


def test_a_running_sources_tpm_is_not_copied() -> None:
    """Another job of the same base asked for fresh ones."""
    assert parts(TPM, running=True, reset_tpm=True).tpm is TpmState.FRESH
    with pytest.raises(SourceNotCloneable, match="resetTpm"):
        parts(TPM, running=True)


def test_a_nic_is_on_its_network() -> None:
    (on_bridge,) = parts().nics
    assert (on_bridge.kind, on_bridge.source, on_bridge.tap) == (NicKind.BRIDGE, "br0", "vnic1.0")
    assert (on_bridge.mac, on_bridge.ips) == (NIC.mac, ("10.0.0.9",))
    (on_network,) = parts(nics=(replace(NIC, libvirt_network="lan", bridge=None),)).nics
    assert (on_network.kind, on_network.source) == (NicKind.NETWORK, "lan")


def test_a_nic_is_as_it_was_asked_for_else_as_the_sources() -> None:
    asked = replace(NIC, model="rtl8139", link_up=False, inbound=8000, outbound=16000)
    usual, wished = parts(nics=(NIC, asked)).nics
    assert (usual.model, usual.link_up, usual.inbound, usual.outbound) == (None, True, None, None)
    assert (wished.model, wished.link_up) == ("rtl8139", False)
    assert (wished.inbound, wished.outbound) == (8000, 16000)


def test_a_new_disk_replaces_none_of_the_sources() -> None:
    new = replace(VOLUME, uuid="9" * 32, base=None, method=CloneMethod.FULL)
    assert parts(volumes=(VOLUME, new)).volumes[1].source_target is None


def test_what_the_request_asks_of_the_machine_is_told() -> None:
    wish = MachineWish(clean_traffic=True, guest_agent=True)
    nic = replace(NIC, ip6="fd00::9", queues=3)
    told = parts(machine=wish, description="d", nics=(nic,))
    assert (told.wish, told.description) == (wish, "d")
    assert told.nics[0].ips == (NIC.ip, "fd00::9")
    assert (told.nics[0].queues, told.nics[0].clean_traffic) == (3, True)
