"""The disks and drives of a clone's domain, in the slots of the source's."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import PurePosixPath
from uuid import UUID

from lxml import etree
from lxml.etree import _Element

from app.domain.errors import SourceNotCloneable
from app.domain.plan import BackingFile, VolumeFormat
from workers.hypervisors.kvm.clone_parts import CloneParts, SeedPart, VolumePart
from workers.hypervisors.kvm.drive_slots import add_disk, add_drive
from workers.hypervisors.kvm.element_walk import target_of

_ONLY_OF_QCOW2 = "metadata_cache"
_NAMING_SERIAL = 8  # characters: a shorter one names nothing, it counts
_DASHED = re.compile(r"[0-9a-f]{8}-[0-9a-f-]*", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Image:
    """What lies in a drive; None: nothing."""

    path: str | None


@dataclass(frozen=True, slots=True)
class Media:
    """What each disk and drive of the source becomes, by its target dev."""

    contents: dict[str, VolumePart | Image]
    new_drives: tuple[Image, ...]  # for which the source has no drive
    seed_disk: Image | None = None  # for which it is to have a disk
    new_disks: tuple[VolumePart, ...] = ()

    def rewrite(self, source: _Element, copy: _Element) -> _Element | None:
        content = self.contents.get(target_of(source))
        if content is None:
            return None
        if isinstance(content, Image):
            _put_image(copy, content)
        else:
            _put_volume(copy, content)
            _set_serial(source, copy, content)
        return copy

    def add_new_drives(self, domain: _Element) -> None:
        for part in self.new_disks:
            _put_volume(add_disk(domain, bus=_bus_of(domain)), part)
        for image in self.new_drives:
            _put_image(add_drive(domain), image)
        if self.seed_disk is not None:
            _put_image(add_disk(domain, bus="virtio"), self.seed_disk)


def media_of(source: _Element, parts: CloneParts) -> Media:
    """Raises SourceNotCloneable where the source has no disk that a part is to replace."""
    disks = {target_of(disk): disk for disk in source.iterfind("devices/disk")}
    contents: dict[str, VolumePart | Image] = {}
    for target, disk in disks.items():
        if disk.get("device") == "floppy":
            contents[target] = Image(None)
    replacing = [(part, part.source_target) for part in parts.volumes if part.source_target]
    for part, replaced_target in replacing:
        replaced = disks.get(replaced_target)
        if replaced is None or not _is_volume(replaced):
            raise _no_longer(f"no disk {replaced_target} for volume[uuid:{part.uuid}]", disks)
        contents[replaced_target] = part
    seed, on_disk = parts.seed, None
    if seed is not None and seed.replaces is None and _boots_from_virtio(disks, parts):
        on_disk = Image(seed.path)
        seed = None
    drives, new = _images(disks, parts, seed)
    contents.update(drives)
    further = tuple(part for part in parts.volumes if part.source_target is None)
    return Media(contents, new, on_disk, further)


def _bus_of(domain: _Element) -> str:
    """Of the clone's disks: what its guest boots from, it surely sees."""
    for disk in domain.iterfind("devices/disk"):
        target = disk.find("target")
        if disk.get("device", "disk") == "disk" and target is not None:
            return target.get("bus", "virtio")
    return "virtio"


def _boots_from_virtio(disks: dict[str, _Element], parts: CloneParts) -> bool:
    """Then a guest surely sees another virtio disk, and perhaps no other drive: kernels made for
    clouds know no SATA."""
    root = parts.volumes[0].source_target if parts.volumes else None
    target = disks[root].find("target") if root else None
    return target is not None and target.get("bus") == "virtio"


def _images(
    disks: dict[str, _Element], parts: CloneParts, seed: SeedPart | None
) -> tuple[dict[str, Image], tuple[Image, ...]]:
    """The plan's images in the order of the drives; the seed in the place of the source's own,
    else in the first drive that would be empty, else in a new one."""
    drives = [target for target, disk in disks.items() if disk.get("device") == "cdrom"]
    images: dict[str, Image] = {}
    if seed is not None and seed.replaces is not None:
        if seed.replaces not in disks:
            raise _no_longer(f"no drive {seed.replaces} for the clone's seed", disks)
        images[seed.replaces] = Image(seed.path)
        seed = None
    paths = iter(parts.cdroms)
    for target in drives:
        if target not in images:
            images[target] = Image(next(paths, None))
    new = [Image(path) for path in paths]
    if seed is not None:
        _place_seed(seed, images, new)
    return images, tuple(new)


def _place_seed(seed: SeedPart, images: dict[str, Image], new: list[Image]) -> None:
    nothing = Image(None)
    empty = next((target for target, image in images.items() if image == nothing), None)
    if empty is not None:
        images[empty] = Image(seed.path)
        return
    if nothing in new:
        new.remove(nothing)
    new.append(Image(seed.path))


def _is_volume(disk: _Element) -> bool:
    return disk.get("device", "disk") == "disk" and disk.find("shareable") is None


def _no_longer(missing: str, disks: dict[str, _Element]) -> SourceNotCloneable:
    return SourceNotCloneable(
        f"its domain has {missing}, but only {', '.join(disks) or 'none at all'}: it was changed "
        "since the clone was planned, or the disk is shared; clone again"
    )


def _put_image(disk: _Element, image: Image) -> None:
    _point_at(disk, image.path, VolumeFormat.RAW)
    if disk.get("device") == "floppy":
        return
    # A seed in a disk's slot must not be written either: it is one file for all starts.
    if disk.find("readonly") is None:
        etree.SubElement(disk, "readonly")


def _put_volume(disk: _Element, part: VolumePart) -> None:
    _point_at(disk, part.path, part.format)
    source = disk.find("source")
    assert source is not None  # made by the line above
    # Without a declared chain libvirt would read it from the file, which its guest may write.
    source.addnext(backing_store(part.backing))


def _point_at(disk: _Element, path: str | None, format_: VolumeFormat) -> None:
    disk.set("type", "file")
    driver = disk.find("driver")
    if driver is None:
        driver = etree.Element("driver")
        disk.insert(0, driver)
    driver.set("name", "qemu")
    driver.set("type", format_.value)
    if format_ is not VolumeFormat.QCOW2:
        driver.attrib.pop("discard_no_unref", "")
        for element in driver.findall(_ONLY_OF_QCOW2):
            driver.remove(element)
    if path is not None:
        driver.addnext(etree.Element("source", {"file": path}))


def backing_store(backing: tuple[BackingFile, ...]) -> _Element:
    """The files below a disk's, down to an empty element that says where they end."""
    store = etree.Element("backingStore")
    if backing:
        first, *rest = backing
        store.set("type", "file")
        etree.SubElement(store, "format", {"type": first.format.value})
        etree.SubElement(store, "source", {"file": first.path})
        store.append(backing_store(tuple(rest)))
    return store


def _set_serial(source: _Element, disk: _Element, part: VolumePart) -> None:
    serial = source.findtext("serial")
    if not serial:
        return
    if any(_names(serial, volume) for volume in _volumes_of(source)):
        uuid = str(UUID(part.uuid)) if _DASHED.match(serial) else part.uuid
        serial = uuid[: len(serial)]
    etree.SubElement(disk, "serial").text = serial


def _volumes_of(disk: _Element) -> Iterator[str]:
    """The names that the source's volume goes by."""
    for source in disk.findall("source"):
        for name in ("file", "dev", "volume"):
            if source.get(name):
                yield PurePosixPath(source.get(name, "")).stem


def _names(serial: str, volume: str) -> bool:
    """QEMU shows a guest 20 characters of it, so people cut uuids short."""
    short, name = (text.replace("-", "").lower() for text in (serial, volume))
    if min(len(short), len(name)) < _NAMING_SERIAL:
        return False
    return short in name or name in short
