"""The volumes of a source that a base set is copied from."""

from collections.abc import Sequence

from sqlalchemy import Connection, text
from sqlmodel import col

from app.domain.plan import (
    BackingFile,
    SourceVolume,
    StorageRef,
    StorageType,
    VolumeFormat,
    VolumeType,
)
from app.store.models import PrimaryStorage, Volume
from app.store.sql import select_columns


def source_volumes(
    connection: Connection, vm_uuid: str, *, with_data_volumes: bool
) -> list[SourceVolume]:
    """The volumes to copy, the root volume first, as the inventory declares them."""
    types = [VolumeType.ROOT, VolumeType.DATA] if with_data_volumes else [VolumeType.ROOT]
    rows = connection.execute(
        select_columns(Volume, col(PrimaryStorage.type).label("storage_type"), PrimaryStorage.url)
        .join(PrimaryStorage, col(PrimaryStorage.uuid) == col(Volume.primary_storage_uuid))
        .where(col(Volume.vm_instance_uuid) == vm_uuid, col(Volume.type).in_(types))
        .where(col(Volume.is_shareable).is_(False))
        .order_by(col(Volume.type) != VolumeType.ROOT, col(Volume.device_id), col(Volume.uuid))
    ).all()
    chains = _linked_bases(connection, [row.uuid for row in rows])
    return [
        SourceVolume(
            uuid=row.uuid,
            storage=StorageRef(row.primary_storage_uuid, StorageType(row.storage_type), row.url),
            path=row.install_path,
            format=VolumeFormat(row.format),
            backing=chains.get(row.uuid)
            or tuple(BackingFile(b["path"], VolumeFormat(b["format"])) for b in row.backing or ()),
        )
        for row in rows
    ]


def _linked_bases(
    connection: Connection, volume_uuids: Sequence[str]
) -> dict[str, tuple[BackingFile, ...]]:
    """A linked clone as a source stands on its base; bases stand on nothing."""
    rows = connection.execute(
        text(
            "SELECT volumes.uuid, bases.install_path, bases.format::text AS format FROM volumes "
            "JOIN bases ON bases.uuid = volumes.base_uuid WHERE volumes.uuid = ANY(:uuids)"
        ),
        {"uuids": list(volume_uuids)},
    ).all()
    return {row.uuid: (BackingFile(row.install_path, VolumeFormat(row.format)),) for row in rows}
