"""A form that is filled in is the domain that would be built."""

import re
from dataclasses import replace

import pytest

from app.domain.errors import SourceNotCloneable
from app.domain.machine_wish import BootDevice, MachineWish
from tests.unit.workers.hypervisors.kvm.sources import NIC, PARTS, ROOT, domain, shape
from tests.unit.workers.hypervisors.kvm.test_domain_xml import SHAPES
from tests.unit.workers.hypervisors.kvm.test_table import ALL, rows, source_of
from workers.hypervisors.kvm import domain_form
from workers.hypervisors.kvm.clone_parts import CloneParts, SeedPart
from workers.hypervisors.kvm.domain_form import clone_xml
from workers.hypervisors.kvm.domain_xml import build
from workers.hypervisors.kvm.element_table import Row


def another(parts: CloneParts, digit: str) -> CloneParts:
    """A clone of the same source, made by the same job."""
    return replace(
        parts,
        vm_uuid=digit * 32,
        title=f"clone {digit}",
        item_uuid=f"{digit}b" * 16,
        volumes=tuple(
            replace(volume, uuid=f"{digit}{number}" * 16, path=f"/clones/{digit}/{number}.qcow2")
            for number, volume in enumerate(parts.volumes)
        ),
        seed=parts.seed and replace(parts.seed, path=f"/seeds/{digit}.iso"),
        nics=tuple(
            replace(nic, mac=f"fa:0{digit}:00:00:00:0{n}", tap=f"vnic{digit}.{n}")
            for n, nic in enumerate(parts.nics)
        ),
        nvram_path=parts.nvram_path and f"/nvram/{digit}.fd",
    )


def built_for_each(xml: str, parts: CloneParts) -> None:
    """And equal to what is filled in, or refused alike."""
    for clone in (another(parts, digit) for digit in "12"):
        try:
            expected = build(xml, clone).xml
        except SourceNotCloneable as refusal:
            with pytest.raises(SourceNotCloneable, match=f"^{re.escape(str(refusal))}$"):
                clone_xml(xml, clone)
        else:
            assert clone_xml(xml, clone) == expected


@rows
def test_whatever_the_source_has_the_clone_is_as_built(row: Row) -> None:
    built_for_each(source_of(row), replace(ALL, seed=SeedPart("/seeds/0.iso")))


@pytest.mark.parametrize("name", SHAPES)
def test_a_clone_of_a_real_domain_is_as_built(name: str) -> None:
    built_for_each(shape(name), SHAPES[name][0])


@pytest.mark.parametrize(
    "changed",
    [
        {"title": "a<b>&\"c' \u00e4\U0001f600\x07\n"},
        {"description": "it says <so> & more"},
        {"description": ""},
        {"volumes": (replace(ROOT, path='/a "b" & c/1.qcow2'),)},
        {"nics": ()},
        {"nics": (replace(NIC, ips=("10.0.0.5", "fd00::5")),)},
        {"nics": (replace(NIC, ips=("10.0.0.5",), clean_traffic=True),)},
        {"wish": MachineWish(console_password="a&b", boot_order=(BootDevice.NETWORK,))},
    ],
)
def test_whatever_is_asked_for_the_clone_is_as_built(changed: dict[str, object]) -> None:
    for _ in range(2):
        parts = replace(PARTS, **changed)  # type: ignore[arg-type]
        assert clone_xml(domain(), parts) == build(domain(), parts).xml


@pytest.mark.parametrize(
    "serial",
    [
        "golden-golden-golden",  # the start of a uuid in its place
        "golden-golden-golden-golden-golden-golden-golden",
        "0f0e0d0c",
    ],
)
def test_a_serial_number_that_names_the_volume_is_as_built(serial: str) -> None:
    xml = domain().replace("golden.qcow2", f"{serial}.qcow2")
    xml = xml.replace("<target dev='vda'", f"<serial>{serial}</serial><target dev='vda'")
    built_for_each(xml, PARTS)


def test_filters_get_each_clones_own_addresses() -> None:
    nic = "<interface type='bridge'><source bridge='br0'/><filterref filter='clean-traffic'>"
    nic += "<parameter name='IP' value='10.0.0.1'/></filterref></interface>"
    for ip in ("10.0.0.5", "10.0.0.6"):
        parts = replace(PARTS, nics=(replace(NIC, ips=(ip,)),))
        assert f'value="{ip}"' in clone_xml(domain(devices=nic), parts)


def test_the_clones_of_a_source_are_built_once(monkeypatch: pytest.MonkeyPatch) -> None:
    domain_form._form.cache_clear()
    builds = []

    def counted(xml: str, parts: CloneParts, live: str | None = None) -> object:
        builds.append(parts)
        return build(xml, parts, live)

    monkeypatch.setattr(domain_form, "build", counted)
    for digit in "12345":
        clone_xml(domain(), another(PARTS, digit))
    assert len(builds) == 1
