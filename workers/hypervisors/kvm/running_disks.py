"""The disks of a running domain that a snapshot is to hold still: found, held against what the
inventory declares, and named in libvirt's order for it."""

import os
from collections.abc import Sequence

import libvirt
from lxml import etree
from lxml.etree import _Element

from app.domain.errors import SourceNotCloneable, SourceVolumeBusy
from app.domain.plan import SourceVolume, VolumeFormat
from app.domain.snapshots import FrozenDisk
from workers.hypervisors.kvm.chains import (
    chain_of,
    disks_of,
    file_of,
    files_of,
    format_of,
    same_file,
)
from workers.hypervisors.snapshots import RunningDisk


def running_disk(domain: libvirt.virDomain, live: _Element, volume: SourceVolume) -> RunningDisk:
    """The disk of a running domain that is this volume, if it is as it was declared."""
    for target, disk in disks_of(live):
        chain = chain_of(disk)
        if chain is None and same_file(file_of(disk) or "", volume.path):
            layers = " over ".join(f"{path} ({form or 'unknown'})" for path, form in files_of(disk))
            raise SourceNotCloneable(
                f"disk {target} stands on {layers}, and vmclone reads files of formats "
                f"{' and '.join(VolumeFormat)} only; convert it"
            )
        paths = [os.path.realpath(file.path) for file in chain or ()]
        if os.path.realpath(volume.path) not in paths:
            continue
        if paths[0] != os.path.realpath(volume.path):
            raise SourceVolumeBusy(
                f"disk {target} stands on {paths[0]}, a snapshot of somebody else's: it is held "
                f"still once that is committed to {volume.path}, or once the inventory declares it"
            )
        assert chain is not None
        _check_disk(target, disk, volume)
        return RunningDisk(
            target=target,
            volume=volume,
            chain=chain,
            virtual_size=domain.blockInfo(target, 0)[0],
            allocated=sum(_allocated(target, file.path) for file in chain),
        )
    raise SourceNotCloneable(
        f"volume[uuid:{volume.uuid}, path:{volume.path}] is no disk of its running domain; correct "
        "the inventory, or attach it"
    )


def _allocated(target: str, path: str) -> int:
    try:
        return os.stat(path).st_blocks * 512
    except OSError as error:
        raise SourceNotCloneable(
            f"disk {target} stands on {path}, which cannot be read ({error.strerror}), though its "
            "domain runs: nothing can be copied from it, and it will not start again. Put the file "
            "back, or shut the VM down and restore it"
        ) from error


def _check_disk(target: str, disk: _Element, volume: SourceVolume) -> None:
    chain = chain_of(disk) or ()
    declared = (volume.path, *(file.path for file in volume.backing))
    if len(chain) != len(declared) or not all(
        same_file(file.path, path) for file, path in zip(chain, declared, strict=True)
    ):
        raise SourceNotCloneable(
            f"disk {target} stands on {' over '.join(f.path for f in chain)}, but the inventory "
            f"declares {' over '.join(declared)}; correct its path and backing there"
        )
    if format_of(disk) != volume.format:
        raise SourceNotCloneable(
            f"disk {target} is {format_of(disk)}, but the inventory declares it {volume.format}; "
            "correct its format there"
        )
    kinds = ("readonly", "shareable", "transient")
    hindrance = next((kind for kind in kinds if disk.find(kind) is not None), None)
    if hindrance is not None:
        raise SourceNotCloneable(
            f"disk {target} is {hindrance}, so no snapshot can hold it still; stop the VM, or "
            "leave the volume out"
        )


def snapshot_xml(live: _Element, disks: Sequence[FrozenDisk]) -> str:
    """The overlays of these disks; every other disk and drive stays as it is."""
    overlays = {disk.target: disk.overlay_path for disk in disks}
    snapshot = etree.Element("domainsnapshot")
    etree.SubElement(snapshot, "memory", {"snapshot": "no"})
    listed = etree.SubElement(snapshot, "disks")
    for target, _ in disks_of(live):
        if target not in overlays:
            etree.SubElement(listed, "disk", {"name": target, "snapshot": "no"})
            continue
        disk = etree.SubElement(
            listed, "disk", {"name": target, "snapshot": "external", "type": "file"}
        )
        etree.SubElement(disk, "driver", {"type": "qcow2"})
        etree.SubElement(disk, "source", {"file": overlays[target]})
    return etree.tostring(snapshot, encoding="unicode")
