"""A clone with every parameter set at once: its domain, its disks, its guest and its result."""

import json
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from http.client import HTTPException
from typing import Any

import pytest
from lxml import etree

from tests.e2e.audit import assert_nothing_left_over
from tests.guest.build import ROOT_MARKER
from tests.kvm.libvirt_host import BRIDGE
from tests.kvm.shared.place import DATA_MARKER, Place
from tests.kvm.waiting import until

MIB, GIB = 1 << 20, 1 << 30
NET, NET6 = "10.77.0", "fd77::"
MACS = ("fa:00:00:00:00:0e", "fa:00:00:00:00:0f")
KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAABAgMEBQYHCAkKCwwNDg8QERITFBUWFxgZGhscHR4f me"


@pytest.fixture(scope="module", autouse=True)
def networks(here: Place) -> Iterator[None]:
    """With IPv6. Afterwards nothing is left over."""
    range4 = {"startIp": f"{NET}.60", "endIp": f"{NET}.90", "netmask": "255.255.255.0"}
    range6 = {"startIp": f"{NET6}60", "endIp": f"{NET6}90", "prefixLen": 64}
    ranges = [range4 | {"gateway": f"{NET}.1"}, range6 | {"gateway": f"{NET6}1"}]
    here.declare(
        l3Networks=[{"name": "both", "zone": "z", "bridge": BRIDGE, "ipRanges": ranges}],
        diskOfferings=[{"name": "small", "diskSize": "32MiB"}],
    )
    here.host.run("ip", "-6", "addr", "add", f"{NET6}1/64", "dev", BRIDGE, "nodad")
    yield
    here.remove()
    with here.stack.database() as database:
        for storage in ("ps", "ps-2"):
            assert_nothing_left_over(database, here.uuids[storage], here.folder / storage)


def parameters(here: Place) -> dict[str, Any]:
    """Of a clone that is started on a host without packet filters and queues of traffic."""
    both, ps, ps2 = (here.uuids[name] for name in ("both", "ps", "ps-2"))
    nic = {
        "l3NetworkUuid": both,
        "mac": MACS[0],
        "ip": f"{NET}.70",
        "netmask": "255.255.255.0",
        "gateway": f"{NET}.1",
        "ip6": f"{NET6}70",
        "prefix6": "64",
        "gateway6": f"{NET6}1",
        "metaData": "uplink",
        "driverType": "virtio",
        "VmNicType": "VNIC",
        "state": "enable",
        "multiQueueNum": 2,
        "isDefaultNic": True,
        "sgUuids": [],
    }
    second = {"l3NetworkUuid": both, "driverType": "e1000", "state": "disable", "mac": MACS[1]}
    return {
        "full": True,
        "primaryStorageUuidForRootVolume": ps,
        "primaryStorageUuidForDataVolume": ps,
        "rootVolumeSystemTags": ["for::root"],
        "dataVolumeSystemTags": ["for::data"],
        "clusterUuid": here.uuids["c"],
        "hostUuid": here.uuids["h"],
        "description": "one with everything",
        "vmNicParams": json.dumps([nic, second]),
        "diskAOs": [
            {"boot": True, "size": 3 * GIB, "name": "system", "platform": "Linux"},
            json.dumps({"size": 16 * MIB, "name": "logs", "primaryStorageUuid": ps2}),
            {"diskOfferingUuid": here.uuids["small"], "systemTags": ["for::small"]},
        ],
        "vmCustomSpecification": {"platform": "Linux", "rootPassword": "secret"},
        "resetTpm": True,
        "userTags": ["a free text"],
        "systemTags": [
            "hostname::every",
            f"sshkey::{KEY}",
            "consolePassword::console",
            "bootOrder::HardDisk,Network",
            "driver::virtio",
            "vmPriority::High",
            "qemuga",
            "cdroms::empty::empty",
            "resourceConfig::kvm::x::y",
        ],
    }


def disks(xml: str) -> dict[str, str]:
    """Files by the disks' names."""
    found = {}
    for disk in etree.fromstring(xml).iterfind("devices/disk"):
        target, source = disk.find("target"), disk.find("source")
        assert target is not None
        if disk.get("device") == "disk" and source is not None:
            found[str(target.get("dev"))] = str(source.get("file"))
    return found


def virtual_size(volume: dict[str, Any]) -> int:
    """As QEMU takes it."""
    words = ["qemu-img", "info", "-U", "-f", volume["format"], "--output=json"]
    done = subprocess.run([*words, volume["installPath"]], check=True, capture_output=True)
    return int(json.loads(done.stdout)["virtual-size"])


def test_all_of_it_is_on_disk_and_in_the_guest(here: Place) -> None:
    job = here.clone("golden", "every-1", **parameters(here))
    (vm,) = here.made(job)
    print(json.dumps(vm, indent=2))
    assert (vm["state"], vm["description"]) == ("Running", "one with everything")
    first, second = vm["vmNics"]
    assert [ip["ip"] for ip in first["usedIps"]] == [f"{NET}.70", f"{NET6}70"]
    assert (first["mac"], second["mac"], first["metaData"]) == (*MACS, "uplink")
    volumes = {volume["name"]: volume for volume in vm["allVolumes"]}
    assert {name: virtual_size(volume) for name, volume in volumes.items()} == {
        "system": 3 * GIB,
        "DATA-for-every-1": volumes["DATA-for-every-1"]["size"],
        "logs": 16 * MIB,
        "DATA-for-every-1-2": 32 * MIB,
    }
    assert volumes["logs"]["installPath"].startswith(str(here.folder / "ps-2"))
    assert volumes["DATA-for-every-1-2"]["diskOfferingUuid"] == here.uuids["small"]
    xml = here.domain_xml(vm["uuid"])
    in_order = [volume["installPath"] for volume in vm["allVolumes"]]
    assert list(disks(xml).values())[:4] == in_order
    said = here.host.identity(f"{NET}.70")
    assert said["hostname"] == "every"
    assert said["markers"] == {"root": ROOT_MARKER, "data": DATA_MARKER}
    assert {"mac": MACS[0], "ip": f"{NET}.70"} in said["nics"]

    def by_ipv6() -> dict[str, Any] | None:
        with suppress(OSError, HTTPException):
            found: dict[str, Any] = json.loads(here.host.get(f"{NET6}70", timeout_s=2))
            return found
        return None

    found = until(by_ipv6, "the guest answers by IPv6", within_s=30)
    assert found is not None
    assert found["hostname"] == "every"
    view = here.stack.ask(lambda client: client.job(job))
    assert view["ignored"] == ["systemTags[resourceConfig]"]
    here.remove()


def test_all_of_it_is_in_the_domain(here: Place) -> None:
    """With what a test's host cannot start (filters, bandwidths) and its guest not within the
    memory that it has (UEFI)."""
    every = parameters(here)
    tags = ["cleanTraffic::true", "bootMode::UEFI", *every["systemTags"]]
    nics = json.loads(every["vmNicParams"])
    nics[0] |= {"inboundBandwidth": 80_000_000, "outboundBandwidth": 8_000_000}
    more = {"systemTags": tags, "vmNicParams": nics, "strategy": "CreateStopped"}
    (vm,) = here.made(here.clone("golden", "every-2", **every | more))
    assert vm["state"] == "Stopped"
    assert "hostUuid" not in vm
    with here.host.connection() as libvirtd:
        xml = libvirtd.lookupByName(vm["uuid"]).XMLDesc(1)  # with the console's password
    domain = etree.fromstring(xml)

    def at(path: str) -> list[str]:
        return [str(item) for item in domain.xpath(path)]  # type: ignore[union-attr]

    assert at("description/text()") == ["one with everything"]
    assert at("cputune/shares/text()") == ["2048"]
    assert at("os/@firmware") == ["efi"]
    assert at("os/boot/@dev") == ["hd", "network"]
    assert at("devices/graphics/@passwd") == ["console"]
    assert at("devices/channel/target/@name") == ["org.qemu.guest_agent.0"]
    assert at("devices/interface/mac/@address") == list(MACS)
    assert at("devices/interface/model/@type") == ["virtio", "e1000"]
    assert at("devices/interface/link/@state") == ["up", "down"]
    assert at("devices/interface/driver/@queues") == ["2"]
    assert at("devices/interface/bandwidth/*/@average") == ["10000", "1000"]
    assert at("devices/interface/filterref/@filter") == ["clean-traffic"] * 2
    assert at("devices/interface[1]/filterref/parameter/@value") == [f"{NET}.70"]
    assert at("devices/disk[@device='disk']/target/@bus") == ["virtio"] * 5  # and the seed
    assert len(at("devices/disk[@device='cdrom']/target/@dev")) == 2
