"""Disks and what they stand on, as a domain's XML says, and as QEMU itself does."""

import os
from collections.abc import Iterator

from lxml.etree import _Element

from app.domain.plan import BackingFile, VolumeFormat
from app.domain.snapshots import FrozenDisk, Place
from workers.storage import overlays


def disks_of(domain: _Element) -> Iterator[tuple[str, _Element]]:
    """Every disk and drive, by its target."""
    for disk in domain.iterfind("devices/disk"):
        target = disk.find("target")
        if target is not None:
            yield target.get("dev", ""), disk


def disk_of(domain: _Element, target: str) -> _Element | None:
    return next((disk for name, disk in disks_of(domain) if name == target), None)


def file_of(element: _Element) -> str | None:
    """Of a disk or a backing store."""
    source = element.find("source")
    return None if source is None else source.get("file")


def format_of(disk: _Element) -> str:
    driver = disk.find("driver")
    return "" if driver is None else driver.get("type", "")


def files_of(disk: _Element) -> list[tuple[str, str]]:
    """(path, format) of the disk's chain, top first, as far as the XML has it."""
    found = []
    path, form, layer = file_of(disk), format_of(disk), disk.find("backingStore")
    while path is not None:
        found.append((path, form))
        if layer is None:
            break
        named = layer.find("format")
        path, form = file_of(layer), "" if named is None else named.get("type", "")
        layer = layer.find("backingStore")
    return found


def chain_of(disk: _Element) -> tuple[BackingFile, ...] | None:
    """None where a layer is of a format that nothing here reads."""
    try:
        return tuple(BackingFile(path, VolumeFormat(form)) for path, form in files_of(disk))
    except ValueError:
        return None


def same_file(one: str, other: str) -> bool:
    return os.path.realpath(one) == os.path.realpath(other)


def live_place(disk: _Element | None, overlay: str) -> Place:
    """By a running domain's XML, which has whole chains."""
    return _place([] if disk is None else [path for path, _ in files_of(disk)], overlay)


def inactive_place(disk: _Element | None, overlay: str) -> Place:
    """By the XML that a domain starts with, and where that ends by the files' own headers."""
    paths = [] if disk is None else [path for path, _ in files_of(disk)]
    if disk is not None and paths and _last_format(disk) == VolumeFormat.QCOW2:
        # Headers alone lead on, so this only searches: nothing that they name is believed.
        below = overlays.names_below(paths[-1])
        while overlay not in paths and below is not None and below not in paths:
            paths.append(below)
            below = overlays.names_below(below)
    return _place(paths, overlay)


def _last_format(disk: _Element) -> str:
    return files_of(disk)[-1][1]


def _place(paths: list[str], overlay: str) -> Place:
    if overlay not in paths:
        return Place.NONE
    return Place.TOP if paths[0] == overlay else Place.BELOW


def point_back(disk: _Element, frozen: FrozenDisk) -> None:
    """The disk names its own file again, and below it what the XML has below that one."""
    source, driver, store = disk.find("source"), disk.find("driver"), disk.find("backingStore")
    assert source is not None
    source.set("file", frozen.base.path)
    source.attrib.pop("index", "")
    if driver is not None:
        driver.set("type", frozen.base.format)
    if store is not None:
        deeper = store.find("backingStore")
        if deeper is None:
            disk.remove(store)
        else:
            disk.replace(store, deeper)
