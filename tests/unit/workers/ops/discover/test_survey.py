"""A host's document has its VMs, `apply` takes it, and what cannot be cloned is told."""

import subprocess
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import yaml

from app.domain.errors import InvalidArgument
from app.domain.plan import HypervisorType, VolumeFormat
from app.store.inventory.known import AdoptedVm, Known
from app.store.inventory.values import Cluster, Host, Inventory, Zone
from tests.unit.workers.ops.discover.hosts import (
    LAN,
    MAC,
    UUID,
    after_apply,
    disk,
    domain_view,
    golden,
    host,
    network,
    nic,
)
from workers.guest.seed import make_seed
from workers.hypervisors.kvm.host_view import HostView
from workers.ops.demo.images import write_qcow2
from workers.ops.discover.survey import Discovered, survey
from workers.storage import qcow2

MIB = 1 << 20


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_qcow2(tmp_path / "root.qcow2", MIB, {0: b"x"})
    return tmp_path / "root.qcow2"


def found(view: HostView, known: Known | None = None, adopted: Any = ()) -> Discovered:
    return survey(view, known or Known(), adopted, None)


def vms(discovered: Discovered) -> list[dict[str, Any]]:
    return list(yaml.safe_load(discovered.text).get("vmInstances", []))


def test_a_whole_host(root: Path, tmp_path: Path) -> None:
    data = tmp_path / "pool" / "deep" / "data.raw"
    data.parent.mkdir(parents=True)
    data.write_bytes(bytes(MIB))
    xml = golden(root, disk(data, "vdb", kind="raw") + nic("bridge", "br0"))
    view = host(domain_view(xml, running=True), networks=[network(LAN)], pools=[f"{tmp_path}/pool"])
    discovered = found(view)
    after_apply(discovered.text)
    (vm,) = vms(discovered)
    assert (vm["name"], vm["uuid"], vm["state"]) == ("golden", UUID.replace("-", ""), "Running")
    assert (vm["cpuNum"], vm["memorySize"]) == (2, "1GiB")
    assert vm["volumes"] == [
        {
            "type": "Root",
            "primaryStorage": f"host-a-{tmp_path.name}",
            "path": str(root),
            "format": "qcow2",
        },
        {"type": "Data", "primaryStorage": "host-a-pool", "path": str(data), "format": "raw"},
    ]
    assert vm["nics"] == [{"l3Network": "host-a-br0", "mac": MAC, "driverType": "virtio"}]
    document = yaml.safe_load(discovered.text)
    urls = {storage["url"] for storage in document["primaryStorage"]}
    assert urls == {str(tmp_path), f"{tmp_path}/pool"}
    assert [n["name"] for n in document["l3Networks"]] == ["host-a-br0", "host-a-lan"]
    assert document["hosts"] == [
        {
            "name": "host-a",
            "cluster": "host-a",
            "managementIp": "10.77.0.1",
            "libvirtUri": "qemu:///system",
            "cpuNum": 8,
            "memorySize": "16GiB",
        }
    ]


def test_the_same_host_gives_the_same_document_after_an_apply(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.ops.discover.places.is_local", lambda _: True)
    seen = {MAC: ("10.77.0.9",)}
    view = host(domain_view(golden(root, nic("bridge", "br0")), addresses=seen))
    first = found(view)
    assert vms(first)[0]["nics"][0]["ip"] == "10.77.0.9"
    known, adopted = after_apply(first.text)
    assert found(view, known, adopted).text == first.text
    # Nobody asked the guest lately: its address is kept, not drawn anew.
    quiet = replace(view, domains=(domain_view(golden(root, nic("bridge", "br0"))),))
    assert found(quiet, known, adopted).text == first.text


def test_what_an_operator_said_of_a_vm_stays(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("workers.ops.discover.places.is_local", lambda _: True)
    view = host(domain_view(golden(root)))
    known, (vm,) = after_apply(found(view).text)
    said = replace(vm, name="gold", platform="Windows", user_tags=("a",))
    (again,) = vms(found(view, known, [said]))
    assert (again["name"], again["platform"], again["userTags"]) == ("gold", "Windows", ["a"])


def adopted(name: str, host_uuid: str) -> AdoptedVm:
    return AdoptedVm("d" * 32, name, host_uuid, None, "Linux", None, None, (), (), {})


def test_a_name_that_another_host_has_is_told_apart(root: Path) -> None:
    view = host(domain_view(golden(root)))
    (vm,) = vms(found(view, adopted=[adopted("golden", "e" * 32)]))
    assert (vm["name"], vm["uuid"]) == ("golden@host-a", UUID.replace("-", ""))


def test_a_vm_that_was_declared_by_hand_keeps_its_uuid(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("workers.ops.discover.places.is_local", lambda _: True)
    view = host(domain_view(golden(root)))
    known, (vm,) = after_apply(found(view).text)
    by_hand = replace(vm, uuid="6f1b7c1e3c585f1d9a396d2f0c7d4e11")
    known.vm_uuids["golden"] = by_hand.uuid
    (again,) = vms(found(view, known, [by_hand]))
    assert "uuid" not in again


def test_vmclones_own_are_not_discovered(root: Path) -> None:
    own = (
        "<metadata><c:clone xmlns:c='https://vmclone/domain/1' vm='1' item='2' job='3'/></metadata>"
    )
    xml = golden(root).replace("<devices>", f"{own}<devices>")
    assert vms(found(host(domain_view(xml)))) == []


def test_what_has_one_fault_is_left_out_and_the_rest_goes_on(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.qcow2"
    write_qcow2(other, MIB, {})
    loose = tmp_path / "loose.qcow2"
    subprocess.run(
        ["qemu-img", "create", "-q", "-f", "qcow2", "-b", root, "-F", "qcow2", loose], check=True
    )
    unnamed = tmp_path / "unnamed.qcow2"
    content = bytearray(loose.read_bytes())
    at = content.index(b"\xe2\x79\x2a\xca")  # the extension that names the format below
    content[at : at + 4] = b"\x11\x11\x11\x11"
    unnamed.write_bytes(content)
    faults = {
        "device": (other, "<hostdev mode='subsystem' type='pci'/>", "<devices/hostdev>"),
        "gone": (tmp_path / "gone.qcow2", "", "gone.qcow2 cannot be read"),
        "gone-raw": (other, disk(tmp_path / "x", "vdb", kind="raw"), "x is missing"),
        "vmdk": (other, disk(tmp_path / "x", "vdb", kind="vmdk"), "disk vdb is vmdk"),
        "twin": (root, "", "is a disk of another VM as well"),
        "unnamed": (unnamed, "", "of format unknown"),
        "multicast": (other, nic("bridge", "br0", "53:54:00:00:00:07"), "multicast"),
    }
    domains = [
        domain_view(golden(path, devices, name=name, uuid=f"{n:08d}-7b1f-4a60-9d2e-5c8f0b1a2d3e"))
        for n, (name, (path, devices, _)) in enumerate(faults.items())
    ]
    discovered = found(host(domain_view(golden(root)), *domains))
    assert [vm["name"] for vm in vms(discovered)] == ["golden"]
    for name, (_, _, reason) in faults.items():
        (note,) = [n for n in discovered.notes if n.startswith(f"vm '{name}' is left out: ")]
        assert reason in note
        assert note.splitlines()[0] in discovered.text


def test_a_chain_is_what_the_xml_declares_else_what_the_headers_record(tmp_path: Path) -> None:
    base = tmp_path / "base.raw"
    with base.open("w+b") as stream:  # a raw disk whose guest wrote it a header
        qcow2.write_overlay(stream.fileno(), MIB, "/etc/shadow", VolumeFormat.RAW)
        stream.truncate(MIB)
    top = tmp_path / "top.qcow2"
    with top.open("w+b") as stream:
        qcow2.write_overlay(stream.fileno(), MIB, str(base), VolumeFormat.RAW)
    recorded = found(host(domain_view(golden(top))))
    below = [{"path": str(base), "format": "raw"}]
    assert vms(recorded)[0]["volumes"][0]["backing"] == below
    said = (
        f"<backingStore type='file'><format type='raw'/><source file='{base}'/><backingStore/>"
        "</backingStore></disk>"
    )
    declared = found(host(domain_view(golden(top).replace("</disk>", said, 1))))
    assert vms(declared)[0]["volumes"][0]["backing"] == below
    wrong = said.replace(str(base), "/images/else.raw")
    refused = found(host(domain_view(golden(top).replace("</disk>", wrong, 1))))
    assert vms(refused) == []
    assert "but only /images/else.raw is declared" in refused.text


def test_which_disks_are_volumes(root: Path, tmp_path: Path) -> None:
    first, shared, seed = tmp_path / "first.raw", tmp_path / "shared.raw", tmp_path / "seed.iso"
    first.write_bytes(bytes(MIB))
    shared.write_bytes(bytes(MIB))
    seed.write_bytes(make_seed({"meta-data": b"{}"}))
    drives = "".join(
        f"<disk type='file' device='cdrom'><driver name='qemu' type='raw'/>{source}"
        f"<target dev='sd{letter}' bus='sata'/><readonly/></disk>"
        for letter, source in (("a", f"<source file='{seed}'/>"), ("b", ""))
    )
    devices = (
        disk(first, "vdb", "<boot order='1'/>", kind="raw")
        + disk(shared, "vdc", "<shareable/>", kind="raw")
        + disk(seed, "vdd", kind="raw")
        + drives
    )
    discovered = found(host(domain_view(golden(root, devices))))
    after_apply(discovered.text)
    (vm,) = vms(discovered)
    assert [v["path"] for v in vm["volumes"]] == [str(first), str(root)]
    assert vm["cdroms"] == [{"iso": None}]


def test_a_nic_that_clones_cannot_have_is_told_and_the_vm_stays(root: Path) -> None:
    devices = nic("direct", "eth0") + nic("bridge", "br9", "52:54:00:00:00:02")
    discovered = found(host(domain_view(golden(root, devices))))
    assert "nics" not in vms(discovered)[0]
    assert f"NIC {MAC} is left out: it is of type direct" in discovered.text
    assert "nobody here knows which addresses bridge br9 has" in discovered.text


def test_two_vms_with_one_mac_have_it_once(root: Path, tmp_path: Path) -> None:
    other = tmp_path / "other.qcow2"
    write_qcow2(other, MIB, {})
    twin = golden(other, nic("bridge", "br0"), name="twin", uuid=UUID.replace("3a5d", "4b6e"))
    view = host(domain_view(golden(root, nic("bridge", "br0"))), domain_view(twin))
    discovered = found(view)
    after_apply(discovered.text)
    assert [vm["nics"][0].get("mac") for vm in vms(discovered)] == [MAC, None]
    assert f"vm 'twin': its MAC {MAC} is another VM's as well" in discovered.text


def test_an_address_that_libvirt_promises_is_the_stopped_vms(root: Path) -> None:
    xml = golden(root, nic("network", "lan", "52:54:00:00:00:09"))
    (vm,) = vms(found(host(domain_view(xml), networks=[network(LAN, active=False)])))
    assert vm["nics"][0]["ip"] == "10.78.0.20"
    assert (
        "`virsh net-start lan`"
        in found(host(domain_view(xml), networks=[network(LAN, active=False)])).text
    )


@pytest.mark.parametrize(
    ("kind", "address", "said"),
    [
        (HypervisorType.SIMULATOR, "127.0.0.1", "is simulated"),
        (HypervisorType.KVM, "192.0.2.7", "is not this machine"),
    ],
)
def test_a_host_of_the_inventory_that_is_not_this_one(
    kind: HypervisorType, address: str, said: str
) -> None:
    cluster = Cluster("c" * 32, "c", None, Zone("1" * 32, "z", None), kind)
    other = Host("2" * 32, "host-a", None, cluster, address, None, 1, MIB, None)
    with pytest.raises(InvalidArgument) as refused:
        found(host(), Known(Inventory(hosts={"host-a": other})))
    assert said in refused.value.details
