"""Walks over a domain by the table: what a clone cannot have, and a copy with all that stays."""

from collections.abc import Callable, Iterator, Mapping
from copy import deepcopy
from dataclasses import dataclass

from lxml import etree
from lxml.etree import _Element

from app.domain.errors import SourceNotCloneable
from workers.hypervisors.kvm.device_rows import DEVICE_ROWS
from workers.hypervisors.kvm.domain_rows import DOMAIN_ROWS
from workers.hypervisors.kvm.element_table import Action, Row, Table, When, below, name_of

TABLE = Table((*DOMAIN_ROWS, *DEVICE_ROWS))
_NOBODY_DECIDED = "vmclone does not know it"

# Gets the source's element and a copy with what stays of it; returns the clone's, or None.
Rewriter = Callable[[_Element, _Element], _Element | None]


@dataclass(frozen=True, slots=True)
class Finding:
    path: str
    reason: str
    subject: str  # which one, where a domain can have several
    refused: bool

    def __str__(self) -> str:
        return f"<{self.path}>{self.subject}: {self.reason}"


def survey(domain: _Element, holds: frozenset[When]) -> tuple[Finding, ...]:
    """All that a clone is refused for, and all that is left out and worth a note; each once."""
    return tuple(dict.fromkeys(_survey(domain, "", "", holds)))


def refuse(findings: tuple[Finding, ...]) -> None:
    """Raises SourceNotCloneable for those that are refused."""
    refused = [str(finding) for finding in findings if finding.refused]
    if refused:
        raise SourceNotCloneable(
            f"its domain has {'; '.join(refused)}. Take that out of the source's domain, or clone "
            "a VM without it"
        )


def _survey(parent: _Element, path: str, subject: str, holds: frozenset[When]) -> Iterator[Finding]:
    for element in _elements(parent):
        here = below(path, name_of(element))
        row = TABLE.row(here, element)
        about = subject or _subject(here, element)
        if row is None:
            if TABLE.lists_parts(path):
                yield Finding(here, _NOBODY_DECIDED, about, refused=False)
            continue
        action = row.action_if(holds)
        if action is Action.REFUSED:
            yield Finding(_shown(row, here), row.reason, about, refused=True)
        elif action is Action.DROPPED:
            if row.noted:
                yield Finding(_shown(row, here), row.reason, about, refused=False)
        elif TABLE.has_parts(here):
            yield from _survey(element, here, about, holds)


def _shown(row: Row, path: str) -> str:
    return path if "*" in row.path else row.path


def _subject(path: str, element: _Element) -> str:
    if path == "devices/disk":
        return f" of {target_of(element)}"
    if path == "devices/interface":
        mac = element.find("mac")
        return "" if mac is None else f" of {mac.get('address')}"
    return ""


def target_of(disk: _Element) -> str:
    """The name by which libvirt tells a domain's disks apart, such as vda."""
    target = disk.find("target")
    return "" if target is None else target.get("dev", "")


@dataclass(frozen=True, slots=True)
class Keeper:
    """Copies what stays. What is rewritten is left to the rewriter of its path or, where it has
    none, to that of the element around it, and is not in the copy."""

    holds: frozenset[When]
    rewriters: Mapping[str, Rewriter]

    def domain(self, source: _Element) -> _Element:
        return self._copy(source, "")

    def _kept(self, element: _Element, path: str) -> _Element | None:
        row = TABLE.row(path, element)
        action = row.action_if(self.holds) if row else Action.DROPPED
        rewriter = self.rewriters.get(path)
        if action is Action.KEPT or (action is Action.REWRITTEN and rewriter is not None):
            copy = self._copy(element, path)
            return rewriter(element, copy) if rewriter else copy
        return None

    def _copy(self, element: _Element, path: str) -> _Element:
        copy = etree.Element(element.tag)
        copy.text = element.text
        for name, value in element.attrib.items():
            row = TABLE.attribute_row(path, str(name))
            if row is None or (row.action is Action.KEPT and row.when <= self.holds):
                copy.set(name, value)
        for child in _elements(element):
            part = self._part(child, path)
            if part is not None:
                copy.append(part)
        return copy

    def _part(self, child: _Element, path: str) -> _Element | None:
        here = below(path, name_of(child))
        if TABLE.lists_parts(path) or TABLE.row(here, child) is not None:
            return self._kept(child, here)
        return deepcopy(child)


def _elements(parent: _Element) -> Iterator[_Element]:
    return parent.iterchildren("*")


def parse(xml: str) -> _Element:
    """Without entities, comments and network. Raises SourceNotCloneable where it is no XML."""
    parser = etree.XMLParser(
        resolve_entities=False,
        no_network=True,
        remove_blank_text=True,
        remove_comments=True,
        remove_pis=True,
    )
    try:
        return etree.fromstring(xml.encode(), parser)
    except etree.XMLSyntaxError as error:
        raise SourceNotCloneable(f"its domain cannot be read: {error}") from error


def to_text(domain: _Element) -> str:
    etree.cleanup_namespaces(domain)
    return etree.tostring(domain, encoding="unicode", pretty_print=True)
