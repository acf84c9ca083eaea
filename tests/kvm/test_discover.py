"""A libvirt host that was there before vmclone: what it has becomes the inventory, and its VMs are
cloned."""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.e2e.stack import Stack, running_stack
from tests.guest.build import ROOT_MARKER
from tests.kvm.domains import Domain
from tests.kvm.libvirt_host import LibvirtHost, told_accelerator
from tests.kvm.shared.place import LAN, LAN_BRIDGE, LAN_NET

MAC, PLUGGED_MAC, PASSED_MAC, BUSY_MAC = (f"52:54:00:00:00:0{n}" for n in range(1, 5))
LAN_NIC = (
    f"<interface type='network'><mac address='{PLUGGED_MAC}'/><source network='{LAN}'/>"
    "<model type='virtio'/><rom enabled='no'/></interface>"
)
POOLED = (
    "<disk type='volume' device='disk'><driver name='qemu' type='raw'/>"
    "<source pool='images' volume='data.raw'/><target dev='vdb' bus='virtio'/></disk>"
)
HOSTDEV = (
    "<hostdev mode='subsystem' type='pci' managed='no'><source>"
    "<address domain='0' bus='6' slot='2' function='0'/></source></hostdev>"
)


@pytest.fixture
def images(tmp_path: Path, guest: Path) -> Path:
    """`golden.qcow2` and `busy.qcow2` stand on `base.qcow2`, which no domain names."""
    folder = tmp_path / "images"
    folder.mkdir()
    shutil.copyfile(guest, folder / "base.qcow2")
    make_image(folder / "golden.qcow2", "-b", folder / "base.qcow2", "-F", "qcow2")
    make_image(folder / "busy.qcow2", "-b", folder / "base.qcow2", "-F", "qcow2")
    make_image(folder / "passed.qcow2", "1M")
    (folder / "data.raw").write_bytes(bytes(1 << 20))
    return folder


def make_image(path: Path, *words: str | Path) -> None:
    # The size comes last.
    plain = [word for word in words if isinstance(word, Path) or not word.endswith("M")]
    size = [word for word in words if word not in plain]
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", *plain, path, *size], check=True)


@pytest.fixture
def stack(tmp_path: Path, host: LibvirtHost) -> Iterator[Stack]:
    with running_stack(
        told_accelerator(tmp_path / "home"), host.machine, VMCLONE_LEASE_S="3"
    ) as started:
        yield started


def define(host: LibvirtHost, images: Path, domain_type: str) -> None:
    host.add_network(LAN, bridge=LAN_BRIDGE, net=LAN_NET)
    golden = Domain("golden", domain_type, MAC, [images / "golden.qcow2"], devices=POOLED + LAN_NIC)
    passed = Domain("passed", domain_type, PASSED_MAC, [images / "passed.qcow2"], devices=HOSTDEV)
    busy = Domain("busy", domain_type, BUSY_MAC, [images / "busy.qcow2"])
    with host.connection() as libvirtd:
        pool = libvirtd.storagePoolDefineXML(
            f"<pool type='dir'><name>images</name><target><path>{images}</path></target></pool>"
        )
        pool.create()
        libvirtd.defineXML(golden.xml())
        libvirtd.defineXML(passed.xml())
        libvirtd.defineXML(busy.xml()).createWithFlags(1)  # paused
        libvirtd.networkLookupByName(LAN).update(
            3, 4, -1, f"<host mac='{PLUGGED_MAC}' ip='{LAN_NET}.77'/>", 3
        )


def document(stack: Stack, *words: str) -> str:
    done = stack.vmclone("inventory", "discover", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_discovered_vm_is_cloned_and_nothing_is_discovered_twice(
    host: LibvirtHost, stack: Stack, images: Path, tmp_path: Path, domain_type: str
) -> None:
    define(host, images, domain_type)
    before = domains(host)
    first = document(stack)
    assert "vm 'passed' is left out: its domain has <devices/hostdev>" in first
    found = yaml.safe_load(first)
    assert found["hosts"][0]["name"] == host.name
    assert [s["url"] for s in found["primaryStorage"]] == [str(images)]
    busy, golden = found["vmInstances"]
    assert (busy["name"], busy["state"]) == ("busy", "Running")
    assert (golden["name"], golden["state"]) == ("golden", "Stopped")
    assert [v["path"] for v in golden["volumes"]] == [
        str(images / name) for name in ("golden.qcow2", "data.raw")
    ]
    below = {"path": str(images / "base.qcow2"), "format": "qcow2"}
    assert [v.get("backing") for v in golden["volumes"]] == [[below], None]
    assert [v.get("backing") for v in busy["volumes"]] == [[below]]
    assert golden["nics"][1]["ip"] == f"{LAN_NET}.77"
    file = tmp_path / "found.yaml"
    file.write_text(first)
    applied = stack.vmclone("inventory", "apply", str(file))
    assert applied.returncode == 0, applied.stderr
    assert document(stack) == first
    again = stack.vmclone("inventory", "discover", "--apply")
    assert again.returncode == 0, again.stderr
    assert "note: vm 'passed' is left out" in again.stderr
    assert again.stdout == applied.stdout

    job = stack.clone("golden", names=["web-1"], systemTags=["cloneMode::linked"])
    (vm,) = results(stack, job)
    guest = host.identity(vm["vmNics"][0]["ip"])
    assert guest["hostname"] == vm["name"]
    assert guest["uuid"].replace("-", "") == vm["uuid"]
    assert guest["markers"]["root"] == ROOT_MARKER
    assert document(stack) == first, "clones are not discovered"
    removal = stack.ask(lambda client: client.remove_vms(job))
    assert stack.wait_for(removal)["outcome"] == "Succeeded"
    assert domains(host) == before


def results(stack: Stack, job: str) -> list[dict[str, Any]]:
    ended = stack.wait_for(job)
    errors = [i["error"] for i in stack.ask(lambda client: client.items(job)) if i["error"]]
    assert ended["outcome"] == "Succeeded", (ended, errors)
    return [entry["inventory"] for entry in stack.ask(lambda client: client.result(job))]


def domains(host: LibvirtHost) -> dict[str, str]:
    with host.connection() as libvirtd:
        return {domain.name(): domain.XMLDesc() for domain in libvirtd.listAllDomains()}
