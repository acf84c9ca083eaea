"""Each row of the table is true of a domain that has what it is about, and is on the page."""

import re
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from lxml import etree
from lxml.etree import _Element

from app.domain.errors import SourceNotCloneable
from tests.unit.workers.hypervisors.kvm.device_cases import DEVICE_CASES
from tests.unit.workers.hypervisors.kvm.domain_cases import DOMAIN_CASES
from tests.unit.workers.hypervisors.kvm.sources import DATA, NAMES, PARTS, ROOT, domain, found
from workers.hypervisors.kvm.clone_parts import CloneParts, TpmState
from workers.hypervisors.kvm.domain_xml import ClonedDomain, build
from workers.hypervisors.kvm.element_table import Action, Row, When, below, name_of
from workers.hypervisors.kvm.element_walk import TABLE
from workers.hypervisors.kvm.source_domain import check_cloneable
from workers.hypervisors.kvm.source_xml import read_source

CASES = DOMAIN_CASES | DEVICE_CASES
PAGE = Path(__file__).parents[5] / "docs" / "kvm-elements.md"
ALL = replace(
    PARTS,
    keep_cpu_pinning=True,
    tpm=TpmState.COPIED,
    nvram_path="/nv/clone.fd",
    log_folder="/logs",
)
BUT: dict[When, CloneParts] = {
    When.PINNING: replace(ALL, keep_cpu_pinning=False),
    When.SAME_VCPUS: replace(ALL, vcpu=1),
    When.SAME_MEMORY: replace(ALL, memory=ALL.memory // 2),
    When.TPM_COPIED: replace(ALL, tpm=TpmState.FRESH),
}

rows = pytest.mark.parametrize("row", TABLE.rows, ids=lambda row: row.path)


def source_of(row: Row) -> str:
    case = CASES[row.path]
    inside = row.path.startswith("devices")
    return domain(
        inner="" if inside else case.xml,
        devices=case.xml if inside else "",
        attributes=case.attributes,
    )


def cloned(row: Row, parts: CloneParts = ALL) -> ClonedDomain:
    xml = source_of(row)
    cloneable = etree.fromstring(xml).xpath(
        "devices/disk[@device='disk'][target/@dev='vdb'][not(shareable)]"
    )
    return build(xml, replace(parts, volumes=(ROOT, DATA) if cloneable else (ROOT,)))


def at(xml: str, row: Row) -> list[_Element | str]:
    """What a row is about, in a domain."""
    path = re.sub(r"\[(\w+)=([^\]]+)\]", r"[@\1='\2']", row.path).replace("@", "/@")
    path = path.replace("[/@", "[@").removeprefix("/")
    parser = etree.XMLParser(remove_blank_text=True)
    result = etree.fromstring(xml, parser).xpath(path, namespaces=NAMES)
    assert isinstance(result, list)
    return [item if isinstance(item, etree._Element) else str(item) for item in result]


def plain(item: _Element | str, row: Row) -> object:
    """An element with all in it; one whose parts have rows of their own, without them."""
    if not isinstance(item, etree._Element):
        return str(item)
    path = re.sub(r"\[[^\]]+\]", "", row.path)
    own = {name for name in map(str, item.attrib) if TABLE.attribute_row(path, name) is None}
    attributes = {name: item.get(name) for name in own}
    if TABLE.has_parts(path):
        return item.tag, attributes
    return item.tag, attributes, item.text, [etree.tostring(e, method="c14n2") for e in item]


def test_each_row_has_a_domain_to_try_it_on() -> None:
    paths = [row.path for row in TABLE.rows]
    assert sorted(paths) == sorted(CASES)


@rows
def test_a_domain_has_what_the_row_is_about(row: Row) -> None:
    """No row is hidden behind an earlier one."""
    assert row in set(_rows_of(etree.fromstring(source_of(row)), ""))


def _rows_of(parent: _Element, path: str) -> Iterator[Row | None]:
    yield from (TABLE.attribute_row(path, str(name)) for name in parent.attrib)
    for element in parent.iterchildren("*"):
        here = below(path, name_of(element))
        yield TABLE.row(here, element)
        yield from _rows_of(element, here)


@pytest.mark.parametrize(
    "row", [row for row in TABLE.rows if row.action is Action.KEPT], ids=lambda row: row.path
)
def test_what_is_kept_is_in_the_clone_unchanged(row: Row) -> None:
    before, after = at(source_of(row), row), at(cloned(row).xml, row)
    assert before
    assert [plain(item, row) for item in after] == [plain(item, row) for item in before]


@pytest.mark.parametrize(
    ("row", "when"),
    [(row, when) for row in TABLE.rows for when in sorted(row.when)],
    ids=lambda value: value.path if isinstance(value, Row) else value.name,
)
def test_what_is_kept_on_a_condition_is_not_without_it(row: Row, when: When) -> None:
    if row.otherwise is Action.REFUSED:
        with pytest.raises(SourceNotCloneable, match=re.escape(row.path)):
            cloned(row, BUT[when])
        return
    clone = cloned(row, BUT[when])
    assert not at(clone.xml, row)
    assert any(f"<{row.path}>" in note for note in clone.notes) is row.noted


@pytest.mark.parametrize(
    "row", [row for row in TABLE.rows if row.action is Action.DROPPED], ids=lambda row: row.path
)
def test_what_is_dropped_is_not_in_the_clone(row: Row) -> None:
    assert at(source_of(row), row)
    clone = cloned(row)
    assert not at(clone.xml, row)
    assert any(f"<{row.path}>" in note for note in clone.notes) is row.noted


@pytest.mark.parametrize(
    "row", [row for row in TABLE.rows if row.action is Action.REFUSED], ids=lambda row: row.path
)
def test_what_is_refused_is_named_by_its_element(row: Row) -> None:
    named = re.escape(row.path.replace("*", "teleporter"))
    with pytest.raises(SourceNotCloneable, match=f"<{named}>.*: {re.escape(row.reason)}"):
        cloned(row)
    with pytest.raises(SourceNotCloneable, match=f"<{named}>"):
        check_cloneable(read_source(source_of(row), None), reset_tpm=True)


@pytest.mark.parametrize(
    "row", [row for row in TABLE.rows if row.action is Action.REWRITTEN], ids=lambda row: row.path
)
def test_what_is_rewritten_is_the_clones_own(row: Row) -> None:
    case = CASES[row.path]
    before, after = source_of(row), cloned(row).xml
    assert at(before, row)
    clone = etree.fromstring(after)
    assert {path: found(clone, path) for path in case.becomes} == case.becomes
    assert not case.lost or case.lost in before
    assert not case.lost or case.lost not in after


def on_page(row: Row) -> str:
    action = row.action.value
    if row.when:
        action += f" if {' and '.join(sorted(row.when))}, else {row.otherwise}"
    if row.noted:
        action += ", with a note"
    return f"| `{row.path}` | {action} | {row.reason} |"


def test_the_page_shows_exactly_the_table() -> None:
    shown = [line for line in PAGE.read_text().splitlines() if line.startswith("| `")]
    assert shown == [on_page(row) for row in TABLE.rows]
