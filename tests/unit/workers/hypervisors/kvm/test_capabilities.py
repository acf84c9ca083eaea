"""What a source needs is said in the words in which a host says what it runs."""

from importlib.util import find_spec
from typing import Any

from tests.requirements import require
from tests.unit.workers.hypervisors.kvm.sources import domain

require(find_spec("libvirt"), "libvirt-python (requirements-kvm.lock)")

from workers.hypervisors.kvm.capabilities import needs_of, runs_of  # noqa: E402
from workers.hypervisors.kvm.default_source import default_source  # noqa: E402
from workers.hypervisors.kvm.source_xml import read_source  # noqa: E402

CAPABILITIES = """
<capabilities><host/>
  <guest><os_type>hvm</os_type><arch name='x86_64'><wordsize>64</wordsize>
    <machine maxCpus='255'>pc-q35-7.2</machine>
    <machine canonical='pc-q35-7.2' maxCpus='255'>q35</machine>
    <domain type='kvm'><machine canonical='pc-i440fx-7.2'>pc</machine></domain></arch></guest>
  <guest><os_type>hvm</os_type><arch name='aarch64'><machine>virt-7.2</machine></arch></guest>
</capabilities>"""
FIRMWARE = "<domainCapabilities><os><enum name='firmware'>{}</enum></os></domainCapabilities>"


class Libvirtd:
    """Has UEFI for x86_64 alone."""

    def getCapabilities(self) -> str:  # noqa: N802
        return CAPABILITIES

    def getDomainCapabilities(self, *, arch: str) -> str:  # noqa: N802
        return FIRMWARE.format("<value>efi</value>" if arch == "x86_64" else "<value>bios</value>")


def needs(xml: str) -> set[str]:
    return set(needs_of(read_source(xml, None)))


def test_a_host_runs_its_machines_under_each_of_their_names() -> None:
    libvirtd: Any = Libvirtd()
    runs = runs_of(libvirtd)
    assert needs(domain()) <= runs  # pc-q35-7.2
    assert needs(default_source("x86_64", volumes=())) <= runs  # q35
    old = "<os firmware='efi'><type arch='x86_64' machine='pc-i440fx-7.2'>hvm</type></os>"
    assert needs(domain(old)) <= runs
    assert needs(domain(old)) == {
        "UEFI firmware for x86_64",
        "machine type pc-i440fx-7.2 of x86_64",
    }


def test_what_a_host_lacks_is_named() -> None:
    libvirtd: Any = Libvirtd()
    newer = "<os firmware='efi'><type arch='aarch64' machine='virt-9.0'>hvm</type></os>"
    assert needs(domain(newer)) - runs_of(libvirtd) == {
        "UEFI firmware for aarch64",
        "machine type virt-9.0 of aarch64",
    }
