"""The files of base sets: named and reserved before they are made, handed over to the last clone,
or removed."""

from collections.abc import Sequence
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection, insert, text
from sqlmodel import col

from app.domain import paths
from app.domain.plan import (
    BaseFile,
    SourceVolume,
    StorageRef,
    StorageType,
    VolumeFormat,
    VolumePlan,
)
from app.domain.states import BaseSetState, check_move
from app.store import base_claims, capacity
from app.store.base_claims import BaseClaim
from app.store.leases import Claim
from app.store.models import Base, BaseSet, PrimaryStorage
from app.store.session import Database
from app.store.sql import select_columns


def name_files(
    database: Database, claim: BaseClaim, sources: Sequence[tuple[SourceVolume, int]]
) -> list[BaseFile]:
    """Name and reserve the files before they are made: for each source volume and the bytes its
    base will hold. A second call finds the first one's. Raises PrimaryStorageFull."""

    def work(connection: Connection) -> list[BaseFile]:
        known = {
            row.volume_uuid: row
            for row in connection.execute(
                select_columns(Base).where(col(Base.base_set_uuid) == claim.base_set_uuid)
            )
        }
        base_claims.move(connection, claim, BaseSetState.MAKING)
        files = []
        for source, amount in sources:
            row = known.get(source.uuid)
            uuid = row.uuid if row else uuid4().hex
            # A chain is flattened into one qcow2 file, so that a base stands on nothing.
            file_format = VolumeFormat.QCOW2 if source.backing else source.format
            file = BaseFile(
                uuid=uuid,
                storage=source.storage,
                path=paths.base_path(source.storage, uuid, file_format),
                format=file_format,
                virtual_size=0,
            )
            if row is None:
                _insert_base(connection, claim, source, file, amount)
            files.append(file)
        return files

    return database.run(work)


def _insert_base(
    connection: Connection, claim: BaseClaim, source: SourceVolume, file: BaseFile, amount: int
) -> None:
    connection.execute(
        insert(Base),
        {
            "uuid": file.uuid,
            "base_set_uuid": claim.base_set_uuid,
            "volume_uuid": source.uuid,
            "primary_storage_uuid": source.storage.uuid,
            "install_path": file.path,
            "format": file.format,
            "virtual_size": 0,
        },
    )
    capacity.reserve_storage(
        connection, source.storage, file.uuid, amount, f"the base of volume[uuid:{source.uuid}]"
    )


def hand_over(database: Database, claim: Claim, volume: VolumePlan) -> bool:
    """True if the base's own file becomes this volume: nobody else stands on its set or waits for
    it. Named here before the file moves, so that a second try finds the same answer."""
    check_move(BaseSetState.READY, BaseSetState.DELETING)
    assert volume.base is not None  # a new disk asks for none
    parameters = {
        "base": volume.base.uuid,
        "volume": volume.uuid,
        "mine": claim.volume_uuids,
        "item": claim.item_uuid,
        "job": claim.job_uuid,
    }

    def work(connection: Connection) -> bool:
        held = connection.execute(
            text(
                "SELECT s.uuid, s.state::text AS state, b.handed_to FROM base_sets s "
                "JOIN bases b ON b.base_set_uuid = s.uuid WHERE b.uuid = :base FOR UPDATE OF s"
            ),
            parameters,
        ).one()
        if held.handed_to is not None or _needed_elsewhere(connection, held.uuid, parameters):
            return bool(held.handed_to == volume.uuid)
        connection.execute(
            text("UPDATE base_sets SET state = 'Deleting', published_at = NULL WHERE uuid = :uuid"),
            {"uuid": held.uuid},
        )
        connection.execute(
            text("UPDATE bases SET handed_to = :volume WHERE uuid = :base"), parameters
        )
        return True

    return database.run(work)


def _needed_elsewhere(
    connection: Connection, base_set_uuid: str, parameters: dict[str, Any]
) -> bool:
    return bool(
        connection.scalar(
            text(
                "SELECT EXISTS (SELECT 1 FROM jobs WHERE base_set_uuid = :base_set "
                " AND state <> 'Finished' AND uuid <> :job) "
                "OR EXISTS (SELECT 1 FROM items WHERE job_uuid = :job AND uuid <> :item "
                " AND state NOT IN ('Succeeded', 'Failed', 'Canceled')) "
                "OR EXISTS (SELECT 1 FROM volumes JOIN bases ON bases.uuid = volumes.base_uuid "
                " WHERE bases.base_set_uuid = :base_set AND volumes.uuid <> ALL(:mine))"
            ),
            parameters | {"base_set": base_set_uuid},
        )
    )


def deleting_files(database: Database, base_set_uuid: str) -> list[BaseFile] | None:
    """The files of a set that is being removed; None if it is not, or not yet."""
    with database.single() as connection:
        state = connection.scalar(
            select_columns(BaseSet.state).where(col(BaseSet.uuid) == base_set_uuid)
        )
        if state is not BaseSetState.DELETING or _is_referred_to(connection, base_set_uuid):
            return None
        rows = connection.execute(
            select_columns(Base, col(PrimaryStorage.type).label("storage_type"), PrimaryStorage.url)
            .join(PrimaryStorage, col(PrimaryStorage.uuid) == col(Base.primary_storage_uuid))
            .where(col(Base.base_set_uuid) == base_set_uuid)
        ).all()
    return [
        BaseFile(
            uuid=row.uuid,
            storage=StorageRef(row.primary_storage_uuid, StorageType(row.storage_type), row.url),
            path=row.install_path,
            format=VolumeFormat(row.format),
            virtual_size=row.virtual_size,
        )
        for row in rows
    ]


def _is_referred_to(connection: Connection, base_set_uuid: str) -> bool:
    """By a volume that it is being handed to, or a snapshot of its source that is not gone."""
    return bool(
        connection.scalar(
            text(
                "SELECT EXISTS (SELECT 1 FROM volumes JOIN bases ON bases.uuid = volumes.base_uuid "
                " WHERE bases.base_set_uuid = :uuid) "
                "OR EXISTS (SELECT 1 FROM source_snapshots WHERE base_set_uuid = :uuid)"
            ),
            {"uuid": base_set_uuid},
        )
    )


def removed(database: Database, base_set_uuid: str, base_uuids: Sequence[str]) -> None:
    """The set's files are gone: so are its rows and what it held."""

    def work(connection: Connection) -> None:
        capacity.release(connection, base_uuids)
        connection.execute(
            text("UPDATE jobs SET base_set_uuid = NULL WHERE base_set_uuid = :uuid"),
            {"uuid": base_set_uuid},
        )
        connection.execute(
            text("DELETE FROM base_sets WHERE uuid = :uuid AND state = 'Deleting'"),
            {"uuid": base_set_uuid},
        )

    database.run(work)
