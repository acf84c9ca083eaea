"""The disks that a CloneVmInstance request says something of (`diskAOs`): the root's, and further
data disks. Sizes are bytes.

Source of names and defaults: docs/zstack-compatibility.md.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from app.domain.elements import Element
from app.domain.errors import InvalidArgument, NotImplementedHere

MAX_DISKS = 24  # ZStack's limit of a VM's data volumes
MAX_DISK_BYTES = 1 << 50
_SOURCES = ("size", "templateUuid", "diskOfferingUuid", "sourceUuid")
_LIKE_THE_SOURCE = ("platform", "architecture", "guestOsType")


@dataclass(frozen=True, slots=True)
class DiskWish:
    """`size` and `offering_uuid`: at most one until the offering is looked up, then the size."""

    size: int | None = None
    offering_uuid: str | None = None
    name: str | None = None  # None: made of the VM's
    storage_uuid: str | None = None  # None: the root volume's
    system_tags: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class DiskWishes:
    root: DiskWish | None = None
    data: tuple[DiskWish, ...] = ()
    # (field, its name, value) that elements say of the source, and that must be so.
    claims: tuple[tuple[str, str, str], ...] = ()


def parse_disks(elements: Sequence[Any]) -> DiskWishes:
    """Raises InvalidArgument, and NotImplementedHere for copies of other images and volumes."""
    if len(elements) > MAX_DISKS + 1:
        raise InvalidArgument(
            f"field[diskAOs] has {len(elements)} elements, a VM has one root disk and at most "
            f"{MAX_DISKS} data disks"
        )
    root: list[DiskWish] = []
    data: list[DiskWish] = []
    claims: list[tuple[str, str, str]] = []
    for number, content in enumerate(elements):
        element = Element("diskAOs", number, content)
        boots = element.flag("boot")
        (root if boots else data).append(_wish(element, boots=boots))
        claims += list(_claims(element))
    if len(root) > 1:
        raise InvalidArgument(
            f"field[diskAOs] has {len(root)} elements with boot; a VM has one root disk"
        )
    return DiskWishes(root[0] if root else None, tuple(data), tuple(claims))


def _wish(element: Element, *, boots: bool) -> DiskWish:
    size = element.number("size", "bytes", MAX_DISK_BYTES)
    offering = element.uuid("diskOfferingUuid", "a disk offering")
    given = [field for field in _SOURCES if field != "size" and element.text(field)]
    given += ["size"] if size else []
    if len(given) > 1 or (not given and not boots):
        raise InvalidArgument(
            f"field[{element.where}] must have exactly one of {', '.join(_SOURCES)}"
            f"{' (or none: it is the root disk)' if boots else ''}, it has "
            f"{', '.join(given) or 'none'}"
        )
    for field in ("templateUuid", "sourceUuid"):
        if field in given:
            raise NotImplementedHere(
                f"field[{element.where}.{field}]: vmclone fills no disk from another image or "
                "volume than the source VM's; ask for an empty disk with size, or attach the "
                "volume to the source and clone with full"
            )
    return DiskWish(
        size=size,
        offering_uuid=offering,
        name=element.text("name"),
        storage_uuid=element.text("primaryStorageUuid"),
        system_tags=element.texts("systemTags"),
    )


def _claims(element: Element) -> Iterator[tuple[str, str, str]]:
    for field in _LIKE_THE_SOURCE:
        value = element.text(field)
        if value is not None:
            yield element.where, field, value
