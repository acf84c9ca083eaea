"""A domain gets another size, and loses what only went with the former one."""

import pytest
from lxml import etree

from app.domain.errors import OperationFailed
from workers.hypervisors.kvm.resize_xml import resized

MIB = 1 << 20
DOMAIN = """
<domain type='kvm' xmlns:vmclone='https://vmclone/domain/1'><name>a</name>
<metadata><vmclone:clone vm='a' item='b' job='c'/></metadata>
<memory unit='MiB'>96</memory><currentMemory unit='MiB'>64</currentMemory>
<vcpu placement='static' current='1'>4</vcpu>{more}
<devices><graphics type='vnc' passwd='secret'/></devices></domain>
"""


def changed(vcpu: int, mib: int, more: str = "") -> "etree._Element":
    return etree.fromstring(resized(DOMAIN.format(more=more), vcpu, mib * MIB))


def test_cpus_and_memory_are_as_asked_for_and_all_else_stays() -> None:
    domain = changed(2, 128)
    assert domain.findtext("vcpu") == "2"
    assert domain.find("vcpu").attrib == {"placement": "static"}  # type: ignore[union-attr]
    for tag in ("memory", "currentMemory"):
        element = domain.find(tag)
        assert element is not None
        assert (element.text, element.get("unit")) == (str(128 << 10), "KiB")
    assert domain.find("devices/graphics").get("passwd") == "secret"  # type: ignore[union-attr]
    assert domain.find("metadata/{*}clone").get("vm") == "a"  # type: ignore[union-attr]


TOPOLOGY = "<cpu mode='maximum'><topology sockets='1' cores='4' threads='1'/></cpu>"


def test_a_topology_goes_with_its_cpus_alone() -> None:
    assert changed(2, 96, TOPOLOGY).find("cpu/topology") is None
    assert changed(2, 96, TOPOLOGY).find("cpu").get("mode") == "maximum"  # type: ignore[union-attr]
    whole = DOMAIN.replace(" current='1'", "").format(more=TOPOLOGY)
    grown = etree.fromstring(resized(whole, 4, 128 * MIB))
    assert grown.find("cpu/topology") is not None


def test_a_balloon_stays_where_only_cpus_change() -> None:
    assert changed(2, 96).findtext("currentMemory") == "64"


@pytest.mark.parametrize(
    ("more", "named"),
    [
        ("<cpu><numa><cell id='0' cpus='0-3' memory='98304' unit='KiB'/></numa></cpu>", "cpu/numa"),
        ("<maxMemory slots='2' unit='MiB'>512</maxMemory>", "maxMemory"),
    ],
)
def test_what_cannot_go_is_named(more: str, named: str) -> None:
    with pytest.raises(OperationFailed) as raised:
        changed(2, 128, more)
    assert f"its domain has <{named}>" in raised.value.details
    assert "leave its size" in raised.value.details
