"""The guest that the other tests here boot, without a seed: of itself it renews nothing."""

import shutil
from pathlib import Path

from tests.guest.build import MACHINE_ID, build_guest, cache_folder
from tests.kvm.domains import Domain
from tests.kvm.libvirt_host import LibvirtHost
from tests.kvm.waiting import until

MAC = "fa:00:00:00:00:01"


def test_a_guest_without_a_seed_keeps_its_machine_id(
    host: LibvirtHost, guest: Path, domain_type: str, tmp_path: Path
) -> None:
    disk = tmp_path / "root.qcow2"
    shutil.copyfile(guest, disk)
    host.add_network("lan", bridge="virbr1", net="10.78.0")
    domain = Domain("two", domain_type, MAC, [disk], bridge="virbr1")
    with host.connection() as libvirtd:
        defined = libvirtd.defineXML(domain.xml())
        defined.create()
        network = libvirtd.networkLookupByName("lan")
        (lease,) = until(network.DHCPLeases, "the guest asks for an address", within_s=60)
        said = host.identity(lease["ipaddr"])
    assert said["nics"] == [{"mac": MAC, "ip": lease["ipaddr"]}]
    assert said["hostname"] == "golden"
    assert said["machine_id"] == said["dbus_machine_id"] == MACHINE_ID
    assert said["instance_id"] is None
    assert said["markers"]["data"] is None
    assert said["tpm"] is False
    assert said["vmgenid"] is None


def test_the_guest_is_built_once(guest: Path) -> None:
    made = guest.stat()
    again = build_guest(cache_folder())
    assert (again, again.stat().st_ino) == (guest, made.st_ino)
    assert made.st_size < 24 << 20
