"""A domain in another size: what only went with its former CPUs or memory goes, by the rows of the
table that ask for as many."""

from collections.abc import Iterator

from lxml.etree import _Element

from app.domain.errors import OperationFailed
from workers.hypervisors.kvm.element_table import Action, Row, When, below, name_of
from workers.hypervisors.kvm.element_walk import TABLE, parse, to_text
from workers.hypervisors.kvm.machine_xml import in_kib
from workers.hypervisors.kvm.source_xml import memory_kib, memory_of, vcpus_of


def resized(xml: str, vcpu: int, memory: int) -> str:
    """`memory` in bytes. Raises OperationFailed where something in it cannot go."""
    domain = parse(xml)
    lost = frozenset(_lost(domain, vcpu, memory))
    _drop(domain, "", lost)
    if When.SAME_VCPUS in lost:
        for element in domain.findall("vcpu"):
            element.text = str(vcpu)
    if When.SAME_MEMORY in lost:
        for element in (*domain.iterfind("memory"), *domain.iterfind("currentMemory")):
            in_kib(element, memory_kib(memory))
    return to_text(domain)


def _lost(domain: _Element, vcpu: int, memory: int) -> Iterator[When]:
    if (vcpu, vcpu) != vcpus_of(domain):
        yield When.SAME_VCPUS
    if memory_kib(memory) != memory_kib(memory_of(domain)):
        yield When.SAME_MEMORY


def _drop(parent: _Element, path: str, lost: frozenset[When]) -> None:
    for element in list(parent.iterchildren("*")):
        here = below(path, name_of(element))
        if _goes(TABLE.row(here, element), here, lost):
            parent.remove(element)
            continue
        for name in list(element.attrib):
            if _goes(TABLE.attribute_row(here, str(name)), here, lost):
                del element.attrib[name]
        if TABLE.has_parts(here):
            _drop(element, here, lost)


def _goes(row: Row | None, path: str, lost: frozenset[When]) -> bool:
    if row is None or not row.when & lost:
        return False
    if row.otherwise is Action.REFUSED:
        raise OperationFailed(
            f"its domain has <{path}>, which goes with the CPUs and memory that it has: take that "
            "out of the domain, or leave its size"
        )
    return True
