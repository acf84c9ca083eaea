"""Which disks of a source's domain are the volumes of its clones, and which one is its own seed."""

import os
from collections.abc import Mapping, Sequence

from app.domain.errors import SourceNotCloneable
from app.domain.plan import SourceVolume, VolumeFormat
from workers.guest.labels import is_seed
from workers.hypervisors.kvm.source_domain import SourceDisk

_FORMATS = frozenset(VolumeFormat)


def targets_of(
    volumes: Sequence[SourceVolume], disks: Sequence[SourceDisk], paths: Mapping[str, str]
) -> dict[str, str]:
    """By the volume's uuid the target dev of its disk; `paths` has each disk's file by target dev.

    Raises SourceNotCloneable for a volume that is no disk of the domain's, or one that the domain
    reads in another format: then either the clone or the source would see something else.
    """
    by_path = {os.path.realpath(paths[d.target]): d for d in disks if d.target in paths}
    found = {}
    for volume in volumes:
        disk = by_path.get(os.path.realpath(volume.path))
        if disk is None or disk.device != "disk":
            raise SourceNotCloneable(
                f"volume[uuid:{volume.uuid}, path:{volume.path}] is no disk of its domain, which "
                f"has {', '.join(sorted(paths.values())) or 'none'}; correct the inventory, or "
                "attach it"
            )
        read_as = disk.format or VolumeFormat.RAW  # Source: libvirt, which probes nothing
        if read_as != volume.format:
            raise SourceNotCloneable(
                f"volume[uuid:{volume.uuid}, path:{volume.path}] is {volume.format} in the "
                f"inventory, and its domain reads disk {disk.target} as {read_as}; correct the "
                "inventory"
            )
        found[volume.uuid] = disk.target
    return found


def seed_of(
    disks: Sequence[SourceDisk], paths: Mapping[str, str], volumes: frozenset[str]
) -> str | None:
    """The target dev of the first disk or drive beside the volumes by which guests are configured:
    a clone gets its own in this place."""
    for disk in disks:
        path, read_as = paths.get(disk.target), disk.format or VolumeFormat.RAW
        if path is None or disk.target in volumes or read_as not in _FORMATS:
            continue
        if is_seed(path, VolumeFormat(read_as)):
            return disk.target
    return None
