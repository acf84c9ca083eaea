"""A composed document becomes checked values, or the list of everything that is wrong with it."""

from collections.abc import Callable

from yaml import MappingNode, Node, ScalarNode

from app.store.inventory.values import Inventory
from workers.ops.inventory.catalogue import read_image, read_offering
from workers.ops.inventory.document import Fields, Problems
from workers.ops.inventory.machines import read_vm
from workers.ops.inventory.sections import (
    read_cluster,
    read_disk_offering,
    read_host,
    read_network,
    read_storage,
    read_zone,
)
from workers.ops.inventory.shelves import Shelf, Shelves, T


def read(root: Node, shelves: Shelves, problems: Problems) -> Inventory:
    """What the document declares, complete only if `problems` stayed empty. References go to
    earlier sections, so sections are read in this order wherever they stand in the file."""
    document = Fields(root, "the document", problems)
    _read_section(document, "zones", shelves.zones, read_zone, shelves)
    _read_section(document, "clusters", shelves.clusters, read_cluster, shelves)
    _read_section(document, "hosts", shelves.hosts, read_host, shelves)
    _read_section(document, "primaryStorage", shelves.storages, read_storage, shelves)
    _read_section(document, "l3Networks", shelves.networks, read_network, shelves)
    _read_section(document, "images", shelves.images, read_image, shelves)
    _read_section(document, "instanceOfferings", shelves.offerings, read_offering, shelves)
    _read_section(document, "diskOfferings", shelves.disk_offerings, read_disk_offering, shelves)
    _read_section(document, "vmInstances", shelves.vms, read_vm, shelves)
    document.finish()
    return Inventory(
        zones=shelves.zones.declared,
        clusters=shelves.clusters.declared,
        hosts=shelves.hosts.declared,
        storages=shelves.storages.declared,
        networks=shelves.networks.declared,
        images=shelves.images.declared,
        offerings=shelves.offerings.declared,
        disk_offerings=shelves.disk_offerings.declared,
        vms=shelves.vms.declared,
    )


def _read_section(
    document: Fields,
    key: str,
    shelf: Shelf[T],
    read_entry: Callable[[Fields, Shelves], T | None],
    shelves: Shelves,
) -> None:
    for index, node in enumerate(document.items(key)):
        fields = Fields(node, _label(shelf.kind, node, f"{key}[{index}]"), document.problems)
        entry = read_entry(fields, shelves)
        fields.finish()
        if entry is not None and not fields.broken:
            shelf.declared[entry.name] = entry
            shelf.nodes[entry.name] = node


def _label(kind: str, node: Node, otherwise: str) -> str:
    """How its problems call the entry: by its name where it has one."""
    if isinstance(node, MappingNode):
        for key, value in node.value:
            if key.value == "name" and isinstance(value, ScalarNode) and value.value:
                return f"{kind} '{value.value}'"
    return otherwise
