"""Reads images and instance offerings, which VMs may name."""

from app.domain.placement import ALLOCATOR_STRATEGIES
from app.domain.plan import VolumeFormat
from app.store.inventory.values import Image, Offering
from workers.ops.inventory import scalars
from workers.ops.inventory.document import Fields
from workers.ops.inventory.machines import PLATFORMS
from workers.ops.inventory.shelves import Shelves


def read_image(fields: Fields, shelves: Shelves) -> Image | None:
    uuid, name = shelves.images.identity(fields, shelves.claims)
    return Image(
        uuid=uuid,
        name=name,
        description=fields.optional("description", scalars.text, None),
        platform=fields.optional("platform", scalars.one_of(PLATFORMS), "Linux"),
        architecture=fields.optional("architecture", scalars.name, "x86_64"),
        format=fields.optional("format", scalars.choice(VolumeFormat), VolumeFormat.QCOW2),
        size=fields.required("size", scalars.size, 1),
    )


def read_offering(fields: Fields, shelves: Shelves) -> Offering | None:
    uuid, name = shelves.offerings.identity(fields, shelves.claims)
    return Offering(
        uuid=uuid,
        name=name,
        description=fields.optional("description", scalars.text, None),
        cpu_num=fields.required("cpuNum", scalars.count, 1),
        cpu_speed=fields.optional("cpuSpeed", scalars.count, 0),
        memory_size=fields.required("memorySize", scalars.size, 1),
        allocator_strategy=fields.optional(
            "allocatorStrategy", scalars.one_of(ALLOCATOR_STRATEGIES), None
        ),
    )
