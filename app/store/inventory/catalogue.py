"""Images and instance offerings: what VMs are described by, and nothing that clones need."""

from collections.abc import Iterable
from dataclasses import asdict

from sqlalchemy import Connection, select
from sqlmodel import col

from app.store import models
from app.store.inventory.rows import upsert
from app.store.inventory.values import Image, Inventory, Offering


def write_catalogue(connection: Connection, inventory: Inventory) -> None:
    upsert(connection, models.Image, _rows(inventory.images.values()))
    upsert(connection, models.InstanceOffering, _rows(inventory.offerings.values()))


def _rows(entries: Iterable[Image | Offering]) -> list[dict[str, object]]:
    return [asdict(entry) for entry in entries]


def known_images(connection: Connection) -> dict[str, Image]:
    rows = connection.execute(select(models.Image).order_by(col(models.Image.created_at)))
    return {
        row.name: Image(
            uuid=row.uuid,
            name=row.name,
            description=row.description,
            platform=row.platform,
            architecture=row.architecture,
            format=row.format,
            size=row.size,
        )
        for row in rows
    }


def known_offerings(connection: Connection) -> dict[str, Offering]:
    offering = models.InstanceOffering
    rows = connection.execute(select(offering).order_by(col(offering.created_at)))
    return {
        row.name: Offering(
            uuid=row.uuid,
            name=row.name,
            description=row.description,
            cpu_num=row.cpu_num,
            cpu_speed=row.cpu_speed,
            memory_size=row.memory_size,
            allocator_strategy=row.allocator_strategy,
        )
        for row in rows
    }
