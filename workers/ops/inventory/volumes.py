"""Reads a VM's volumes: their files, the chains below them and the storages they belong to."""

from collections.abc import Sequence
from dataclasses import dataclass

from app.domain.plan import BackingFile, StorageType, VolumeFormat, VolumeType
from app.store.inventory.values import Cluster, DeclaredVolume, Host, Storage
from workers.ops.inventory import scalars
from workers.ops.inventory.document import Fields
from workers.ops.inventory.shelves import Shelves, derived_uuid


@dataclass(frozen=True, slots=True)
class Place:
    """Whose volumes they are, and where."""

    uuid: str
    name: str
    cluster: Cluster
    host: Host


def read_volumes(
    fields: Fields, shelves: Shelves, vm_uuid: str, place: Place | None
) -> list[DeclaredVolume]:
    """The root volume first."""
    volumes: list[DeclaredVolume] = []
    data_count = roots = 0
    for node in fields.items("volumes"):
        entry = Fields(node, fields.what, fields.problems)
        kind = entry.required("type", scalars.choice(VolumeType), VolumeType.DATA)
        if kind is VolumeType.ROOT:
            roots += 1
            if roots > 1:
                entry.problem(entry.place_of("type"), "has a Root volume already; others are Data")
        else:
            data_count += 1
        device_id = 0 if kind is VolumeType.ROOT else data_count
        volume = _read_volume(entry, shelves, vm_uuid, kind, device_id, place)
        entry.finish()
        fields.broken |= entry.broken
        if volume:
            volumes.append(volume)
    if not roots and not fields.broken:
        fields.problem(fields.place_of("volumes"), "`volumes` must have one volume of type Root")
    return sorted(volumes, key=lambda volume: volume.device_id)


def _read_volume(
    entry: Fields,
    shelves: Shelves,
    vm_uuid: str,
    kind: VolumeType,
    device_id: int,
    place: Place | None,
) -> DeclaredVolume | None:
    uuid = entry.optional("uuid", scalars.uuid, derived_uuid("volume", vm_uuid, str(device_id)))
    default_name = f"{kind.upper()}-{device_id}" + (f"-{place.name}" if place else "")
    name = entry.optional("name", scalars.name, default_name)
    storage = shelves.storages.required(entry, "primaryStorage")
    path = entry.required("path", scalars.absolute_path, "")
    image_format = entry.optional("format", scalars.choice(VolumeFormat), VolumeFormat.QCOW2)
    size = entry.optional("size", scalars.size, None)
    backing = _read_backing(entry, path, image_format)
    if entry.broken or storage is None:
        return None
    shelves.claims.claim(entry, entry.place_of("path"), "the file", path)
    if entry.node_of("uuid"):
        shelves.claims.claim(entry, entry.place_of("uuid"), "the uuid", uuid)
    if place:
        _check_reach(entry, storage, place)
    return DeclaredVolume(
        uuid=uuid,
        name=name,
        type=kind,
        device_id=device_id,
        storage=storage,
        path=path,
        format=image_format,
        size=size or _size(entry, shelves, storage, path, image_format, backing),
        backing=backing,
    )


def _read_backing(entry: Fields, path: str, top: VolumeFormat) -> tuple[BackingFile, ...]:
    chain: list[BackingFile] = []
    above = (path, top)
    for node in entry.items("backing"):
        link = Fields(node, entry.what, entry.problems)
        below = BackingFile(
            link.required("path", scalars.absolute_path, ""),
            link.required("format", scalars.choice(VolumeFormat), VolumeFormat.QCOW2),
        )
        link.finish()
        if above[1] is VolumeFormat.RAW:
            link.problem(node, f"{above[0]} is raw and stands on nothing")
        if not link.broken and below.path in {path, *(file.path for file in chain)}:
            link.problem(link.place_of("path"), f"{below.path} stands in this chain already")
        entry.broken |= link.broken
        chain.append(below)
        above = (below.path, below.format)
    return tuple(chain)


def _check_reach(entry: Fields, storage: Storage, place: Place) -> None:
    node = entry.place_of("primaryStorage")
    if place.cluster.uuid not in {cluster.uuid for cluster in storage.clusters}:
        entry.problem(
            node,
            f"storage '{storage.name}' is not attached to cluster '{place.cluster.name}'",
        )
    elif storage.host and storage.host.uuid != place.host.uuid:
        entry.problem(
            node,
            f"storage '{storage.name}' is a folder of host '{storage.host.name}', "
            f"the VM is on '{place.host.name}'",
        )


def _size(
    entry: Fields,
    shelves: Shelves,
    storage: Storage,
    path: str,
    image_format: VolumeFormat,
    backing: Sequence[BackingFile],
) -> int:
    """Bytes by the file itself; 0 with a warning where this machine does not have it."""
    if storage.type is StorageType.SIMULATOR:
        entry.problem(entry.node, "`size` is missing: a simulated volume has no file to ask")
        return 0
    try:
        size = shelves.size_of(path, image_format, next(iter(backing), None))
    except ValueError as exc:
        entry.problem(entry.place_of("path"), str(exc))
        return 0
    if size is None:
        shelves.warnings.append(
            f"{entry.what}: {path} is not on this machine, so its size is not known until its "
            "host's worker copies it; `size` would declare it"
        )
    return size or 0
