"""A stopped VM of a KVM host is cloned in bulk, and each clone comes up as itself."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from app.domain.guest import hostname_of
from tests.e2e.audit import assert_nothing_left_over
from tests.e2e.stack import Stack, running_stack
from tests.guest.build import MEMORY_MIB, ROOT_MARKER, build_data, build_guest, cache_folder
from tests.kvm.libvirt_host import LibvirtHost, libvirt_host

DATA_MARKER = "the golden data"
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


@pytest.fixture
def host(tmp_path: Path) -> Iterator[LibvirtHost]:
    with libvirt_host(tmp_path / "host", "host-a") as made:
        yield made


@pytest.fixture
def stack(host: LibvirtHost, tmp_path: Path) -> Iterator[Stack]:
    with running_stack(tmp_path / "home", host.machine, VMCLONE_LEASE_S="3") as running:
        yield running


def declare(stack: Stack, tmp_path: Path) -> str:
    """The storage's uuid."""
    images = tmp_path / "images"
    images.mkdir()
    shutil.copyfile(build_guest(cache_folder()), images / "golden.qcow2")
    build_data(images, DATA_MARKER)
    document = tmp_path / "inventory.yaml"
    document.write_text(INVENTORY.format(storage=tmp_path / "ps", images=images, memory=MEMORY_MIB))
    done = stack.vmclone("inventory", "apply", "--json", str(document))
    assert done.returncode == 0, done.stderr
    return next(str(e["uuid"]) for e in json.loads(done.stdout) if e["name"] == "ps")


@pytest.mark.parametrize("mode", ["linked", "full"])
def test_each_clone_comes_up_as_itself(
    stack: Stack, host: LibvirtHost, tmp_path: Path, mode: str
) -> None:
    storage = declare(stack, tmp_path)
    names = ["web-1", "Web 2", "web-3"]
    job = stack.clone("golden", names=names, full=True, systemTags=[f"cloneMode::{mode}"])
    assert stack.wait_for(job)["outcome"] == "Succeeded"
    made = [entry["inventory"] for entry in stack.ask(lambda client: client.result(job))]
    assert [vm["hypervisorType"] for vm in made] == ["KVM"] * 3
    guests = [host.identity(vm["vmNics"][0]["ip"]) for vm in made]
    # No host name has a space, and `web-2` may be another VM's.
    hostnames = ("web-1", hostname_of("Web 2"), "web-3")
    for vm, guest, hostname in zip(made, guests, hostnames, strict=True):
        assert_is(guest, vm, hostname)
    assert len({guest["machine_id"] for guest in guests}) == 3
    remove(stack, job)
    with host.connection() as libvirtd:
        assert libvirtd.listAllDomains() == []
    with stack.database() as database:
        assert_nothing_left_over(database, storage, tmp_path / "ps")


def assert_is(guest: dict[str, Any], vm: dict[str, Any], hostname: str) -> None:
    (nic,) = vm["vmNics"]
    assert guest["hostname"] == hostname
    assert guest["uuid"].replace("-", "") == vm["uuid"] == guest["instance_id"]
    assert guest["nics"][0]["mac"] == nic["mac"]
    assert guest["markers"] == {"root": ROOT_MARKER, "data": DATA_MARKER}


def remove(stack: Stack, job: str) -> None:
    removal = stack.ask(lambda client: client.remove_vms(job))
    assert stack.wait_for(removal)["outcome"] == "Succeeded"
