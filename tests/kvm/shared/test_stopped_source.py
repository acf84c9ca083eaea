"""A stopped VM of a KVM host is cloned in bulk, and each clone comes up as itself."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from lxml import etree
from sqlalchemy import text

from app.domain.guest import hostname_of
from app.domain.plan import VolumeFormat
from tests.e2e.audit import assert_nothing_left_over
from tests.guest.build import MACHINE_ID, ROOT_MARKER
from tests.kvm.domains import TPM, UEFI, UEFI_MEMORY_MIB, Domain
from tests.kvm.shared.place import DATA_MARKER, LAN, LAN_NET, NO_BRIDGE, Place
from tests.kvm.waiting import until
from tests.requirements import require
from workers.storage import qcow2

MAC = "52:54:00:00:00:01"


@pytest.fixture(autouse=True)
def nothing_left_over(here: Place) -> Iterator[None]:
    """Once a test's clones are removed, there is nothing on the host but sources."""
    before = libvirts_state(here)
    yield
    here.remove()
    assert libvirts_state(here) == before
    with here.stack.database() as database:
        assert_nothing_left_over(database, here.uuids["ps"], here.folder / "ps")


def libvirts_state(here: Place) -> dict[str, Any]:
    """What libvirt keeps: domains, their NVRAM and TPMs, and the addresses of its network."""
    with here.host.connection() as libvirtd:
        network = etree.fromstring(libvirtd.networkLookupByName(LAN).XMLDesc())
        domains = {domain.name(): domain.XMLDesc() for domain in libvirtd.listAllDomains()}
    return {
        "domains": domains,
        "addresses": len(network.findall("ip/dhcp/host")),
        "folders": [
            sorted(os.listdir(path)) if (path := here.host.machine.path(folder)).exists() else []
            for folder in ("/var/lib/libvirt/qemu/nvram", "/var/lib/libvirt/swtpm")
        ],
    }


@pytest.mark.parametrize(
    ("mode", "name"), [("linked", "Web 2"), ("full", "web-1"), ("reflink", "web-1")]
)
def test_a_clone_comes_up_as_itself(here: Place, mode: str, name: str) -> None:
    job = here.clone("golden", name, mode=mode, full=True)
    (vm,) = here.made(job)
    assert vm["hypervisorType"] == "KVM"
    guest = here.host.identity(vm["vmNics"][0]["ip"])
    # No host name has a space, and `web-2` may be another VM's.
    assert guest["hostname"] == hostname_of(name)
    assert guest["uuid"].replace("-", "") == vm["uuid"] == guest["instance_id"]
    assert guest["nics"] == [{"mac": nic["mac"], "ip": nic["ip"]} for nic in vm["vmNics"]]
    assert guest["markers"] == {"root": ROOT_MARKER, "data": DATA_MARKER}
    assert guest["machine_id"] not in {MACHINE_ID, None}
    assert {item["method"] for item in items_of(here, job)} == {mode}
    until(
        lambda: {item["identity"] for item in items_of(here, job)} == {"applied"},
        "vmclone asked the guests, too",
        within_s=60,
        every_s=0.5,
    )


def items_of(here: Place, job: str) -> list[dict[str, Any]]:
    return here.stack.ask(lambda client: client.items(job))


def test_nics_are_on_bridges_and_libvirts_networks_plugged_in_or_not(here: Place) -> None:
    nics = [
        {"l3NetworkUuid": here.uuids["l3"], "state": "disable", "driverType": "e1000"},
        {"l3NetworkUuid": here.uuids["l3-lan"], "isDefaultNic": True},
    ]
    job = here.clone("golden", "two-nics", vmNicParams=nics)
    (vm,) = here.made(job)
    unplugged, plugged = sorted(vm["vmNics"], key=lambda nic: int(nic["deviceId"]))
    assert vm["defaultL3NetworkUuid"] == plugged["l3NetworkUuid"] == here.uuids["l3-lan"]
    assert (unplugged["state"], plugged["state"]) == ("disable", "enable")
    assert plugged["ip"].startswith(LAN_NET)
    said = here.host.identity(plugged["ip"])
    assert {"mac": plugged["mac"], "ip": plugged["ip"]} in said["nics"]
    first, second = etree.fromstring(here.domain_xml(vm["uuid"])).findall("devices/interface")
    assert [nic.get("type") for nic in (first, second)] == ["bridge", "network"]
    assert (attribute(first, "link", "state"), attribute(second, "link", "state")) == ("down", "up")
    assert attribute(first, "model", "type") == "e1000"
    assert attribute(second, "model", "type") == "virtio"
    with here.host.connection() as libvirtd:
        network = etree.fromstring(libvirtd.networkLookupByName(LAN).XMLDesc())
    (given,) = network.findall("ip/dhcp/host")
    assert (given.get("mac"), given.get("ip")) == (plugged["mac"], plugged["ip"])
    # A network that is stopped meanwhile would give the address again later.
    with here.host.connection() as libvirtd:
        libvirtd.networkLookupByName(LAN).destroy()
        here.remove()
        libvirtd.networkLookupByName(LAN).create()


def test_a_nics_bandwidths_are_its_domains(here: Place) -> None:
    """It is not started: kernels of test machines may have no such queues."""
    rates = {"inboundBandwidth": 80_000_000, "outboundBandwidth": 8_000_000}
    nics = [{"l3NetworkUuid": here.uuids["l3"], **rates}]
    job = here.clone("golden", "slow", vmNicParams=nics, strategy="CreateStopped")
    (vm,) = here.made(job)
    (nic,) = etree.fromstring(here.domain_xml(vm["uuid"])).findall("devices/interface")
    assert attribute(nic, "bandwidth/inbound", "average") == "10000"  # kilobytes a second
    assert attribute(nic, "bandwidth/outbound", "average") == "1000"
    assert [item["identity"] for item in items_of(here, job)] == [None], "there is nobody to ask"


def attribute(nic: Any, path: str, name: str) -> str | None:
    element = nic.find(path)
    return None if element is None else element.get(name)


def test_uefi_variables_and_a_tpm_come_along(here: Place, guest: Path, domain_type: str) -> None:
    require(Path("/usr/share/OVMF/OVMF_CODE_4M.fd").exists(), "OVMF (package ovmf)")
    image = here.folder / "images" / "uefi.qcow2"
    shutil.copyfile(guest, image)
    source = Domain(
        "uefi",
        domain_type,
        MAC,
        [image],
        memory_mib=UEFI_MEMORY_MIB,
        firmware=UEFI,
        devices=TPM + "<sound model='ich9'/><graphics type='vnc' passwd='x'/>",
    )
    with here.host.connection() as libvirtd:
        defined = libvirtd.defineXML(source.xml())
        # Paused, it gets its variables and its TPM.
        defined.createWithFlags(1)
        defined.destroy()
        uuid = defined.UUIDString()
    here.declare_vm("uefi", image, memorySize=f"{UEFI_MEMORY_MIB}MiB")
    variables = nvram(here, "uefi_VARS")
    with variables.open("r+b") as stream:
        stream.seek(-16, os.SEEK_END)
        stream.write(b"the source's own")
    copied = here.clone("uefi", "copied", strategy="CreateStopped")
    fresh = here.clone("uefi", "fresh", strategy="CreateStopped", resetTpm=True)
    booted = here.clone("uefi", "booted")
    with_copy, without, running = (here.made(job)[0] for job in (copied, fresh, booted))
    assert tpm(here, with_copy["uuid"]).read_bytes() == tpm(here, uuid).read_bytes()
    assert not tpm(here, without["uuid"]).exists()
    for vm in (with_copy, without):
        assert nvram(here, vm["uuid"]).read_bytes() == variables.read_bytes()
    said = here.host.identity(running["vmNics"][0]["ip"])
    assert said["tpm"] is True
    assert said["uuid"].replace("-", "") == running["uuid"]
    notes = here.stack.ask(lambda client: client.job(copied))["notes"]
    assert any("console has no password" in note for note in notes), notes
    here.remove()
    for vm in (with_copy, without, running):
        assert not tpm(here, vm["uuid"]).parents[1].exists()
        assert not nvram(here, vm["uuid"]).exists()
    assert tpm(here, uuid).exists()
    assert variables.exists()
    with here.host.connection() as libvirtd:
        libvirtd.lookupByName("uefi").undefineFlags(4 | 32)  # NVRAM, TPM


def nvram(here: Place, name: str) -> Path:
    return here.host.machine.path(f"/var/lib/libvirt/qemu/nvram/{name}.fd")


def tpm(here: Place, uuid: str) -> Path:
    plain = uuid.replace("-", "")
    dashed = "-".join((plain[:8], plain[8:12], plain[12:16], plain[16:20], plain[20:]))
    return here.host.machine.path(f"/var/lib/libvirt/swtpm/{dashed}/tpm2/tpm2-00.permall")


# Each verb is one of the driver's, or of somebody else's who works with the same libvirt.
DRIVER = """
import json, sys
import libvirt
from sqlalchemy import text
from app.domain.errors import CloneError
from app.settings import Settings
from app.store.codec import plan_from_json
from workers.context import WorkerContext

vm_uuid, foreign, *verbs = sys.argv[1:]
worker = WorkerContext.open(Settings())
with worker.database.single() as connection:
    plan = plan_from_json(connection.execute(
        text("SELECT plan FROM items WHERE vm_uuid = :vm AND kind = 'clone'"), {"vm": vm_uuid}
    ).scalar_one())
hypervisor, libvirtd = worker.hypervisor(plan.host), libvirt.open("qemu:///system")
can = {
    "define": lambda: hypervisor.define(plan, worker.template(plan.base_set_uuid)),
    "leftovers": lambda: hypervisor.leftovers(),
    "plant": lambda: libvirtd.defineXML(foreign).XMLDesc(),
    "look": lambda: libvirtd.lookupByName(vm_uuid).XMLDesc(),
    "uproot": lambda: libvirtd.lookupByName(vm_uuid).undefine(),
}
said = []
for verb in verbs:
    try:
        said.append(can[verb]() if verb in can else getattr(hypervisor, verb)(vm_uuid))
    except CloneError as error:
        said.append(error.details)
print(json.dumps(said))
"""


def test_twice_is_once_and_a_foreign_domain_is_not_touched(here: Place, domain_type: str) -> None:
    job = here.clone("golden", "again", strategy="CreateStopped")
    (vm,) = here.made(job)
    foreign = Domain(vm["uuid"], domain_type, MAC, []).xml()
    verbs = ["look", "define", "define", "look", "undefine", "undefine", "destroy"]
    verbs += ["plant", "define", "start", "destroy", "undefine", "look", "uproot", "define"]
    said = dict(enumerate(here.run_inside(DRIVER, vm["uuid"], foreign, *verbs)))
    assert said[0] == said[3]
    assert [said[number] for number in (1, 2, 4, 5, 6)] == [None] * 5
    refused = f"domain {vm['uuid']} on this host was not made by vmclone; rename or remove it"
    assert [said[number] for number in range(8, 12)] == [refused] * 4
    assert said[7] == said[12]
    assert said[14] is None


def test_what_a_lost_domain_left_is_found_and_removed(here: Place) -> None:
    job = here.clone("golden", "lost", strategy="CreateStopped")
    (vm,) = here.made(job)
    here.remove()
    left, theirs = nvram(here, vm["uuid"]), nvram(here, "f" * 32)
    for path in (left, theirs):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    assert here.run_inside(DRIVER, vm["uuid"], "", "leftovers") == [sorted([vm["uuid"], "f" * 32])]
    found = here.stack.vmclone("doctor", "--orphans", "--repair")
    assert vm["uuid"] in found.stdout
    assert "f" * 32 not in found.stdout
    assert not left.exists()
    assert theirs.exists(), "nobody knows whose it is"
    theirs.unlink()


NEEDS = """
SELECT s.needs FROM base_sets s JOIN bases b ON b.base_set_uuid = s.uuid
JOIN volumes v ON v.base_uuid = b.uuid WHERE v.vm_instance_uuid = :vm
"""


def test_a_host_runs_what_its_own_sources_need(here: Place) -> None:
    """As it said itself: an unknown one takes everything."""
    (vm,) = here.made(here.clone("golden", "placed", strategy="CreateStopped"))
    with here.stack.database() as database, database.single() as connection:
        needs = connection.scalar(text(NEEDS), {"vm": vm["uuid"]})
        runs = connection.scalar(text("SELECT runs FROM hosts"))
    assert needs == ["machine type q35 of x86_64"]
    assert set(needs) <= set(runs)
    assert "machine type q36 of x86_64" not in runs


def test_a_bridge_that_is_not_there_fails_the_names_by_its_name(here: Place) -> None:
    nics = [{"l3NetworkUuid": here.uuids["l3-gone"]}]
    job = here.clone("golden", "nowhere", vmNicParams=nics)
    assert here.stack.wait_for(job)["outcome"] == "Failed"
    (error,) = here.errors(job)
    assert f"has no bridge {NO_BRIDGE}" in error
    assert "CLONE.1014" in error


HOSTDEV = (
    "<hostdev mode='subsystem' type='pci' managed='no'><source>"
    "<address domain='0' bus='6' slot='2' function='0'/></source></hostdev>"
)
NETWORK_DISK = (
    "<disk type='network' device='disk'><driver name='qemu' type='raw'/>"
    "<source protocol='nbd' name='x'><host name='10.0.0.1' port='10809'/></source>"
    "<target dev='vdb' bus='virtio'/></disk>"
)
GONE_POOL = (
    "<disk type='volume' device='disk'><driver name='qemu' type='raw'/>"
    "<source pool='vanished' volume='x.raw'/><target dev='vdb' bus='virtio'/></disk>"
)


@pytest.mark.parametrize(
    ("name", "devices", "said"),
    [
        ("hostdev", HOSTDEV, "<devices/hostdev>"),
        ("network-disk", NETWORK_DISK, "<devices/disk[type=network]> of vdb"),
        ("gone-pool", GONE_POOL, "no storage pool with matching name 'vanished'"),
    ],
)
def test_a_source_that_cannot_be_cloned_is_refused_before_a_byte_is_copied(
    here: Place, domain_type: str, name: str, devices: str, said: str
) -> None:
    image = here.folder / "images" / f"{name}.qcow2"
    subprocess.run(["qemu-img", "create", "-q", "-f", "qcow2", image, "1M"], check=True)
    with here.host.connection() as libvirtd:
        source = libvirtd.defineXML(Domain(name, domain_type, MAC, [image], devices=devices).xml())
        here.declare_vm(name, image)
        before = here.files("ps")
        job = here.clone(name, "never")
        assert here.stack.wait_for(job)["outcome"] == "Failed"
        (error,) = here.errors(job)
        assert said in error
        assert "CLONE.1013" in error
        assert set(here.files("ps")) <= set(before)
        source.undefine()


@pytest.mark.parametrize("mode", ["linked", "full"])
def test_a_raw_disk_that_begins_like_a_qcow2_file_stays_raw(here: Place, mode: str) -> None:
    """Its guest wrote that header: read by it, the clone would get a file of the host."""
    secret = here.folder / "images" / "secret"
    secret.write_bytes(b"the host's own" * 1000)
    disk = here.folder / "images" / f"trap-{mode}.raw"
    with disk.open("w+b") as stream:
        qcow2.write_overlay(stream.fileno(), 1 << 20, str(secret), VolumeFormat.RAW)
        stream.truncate(1 << 20)
    golden = here.folder / "images" / "golden.qcow2"
    root = golden.with_name(f"trap-{mode}.qcow2")
    os.link(golden, root)
    here.declare_vm(f"trap-{mode}", root, disk)
    job = here.clone(f"trap-{mode}", "trapped", mode=mode, full=True, strategy="CreateStopped")
    (vm,) = here.made(job)
    (data,) = (v for v in vm["allVolumes"] if v["type"] == "Data")
    read = f"{disk}.read"
    words = ["-f", data["format"], "-O", "raw", f"if={data['installPath']}", f"of={read}"]
    subprocess.run(["qemu-img", "dd", *words], check=True, capture_output=True)
    assert Path(read).read_bytes() == disk.read_bytes()
    (attached,) = (
        found
        for found in etree.fromstring(here.domain_xml(vm["uuid"])).iterfind("devices/disk")
        if attribute(found, "target", "dev") == "vdb"
    )
    below = attribute(attached, "backingStore/format", "type")
    expected = ("qcow2", "raw") if mode == "linked" else ("raw", None)
    assert (attribute(attached, "driver", "type"), below) == expected
