"""Base sets: asked for by a job, made by a worker on the source's host, removed when unused."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from uuid import uuid4

import orjson
from sqlalchemy import Connection, Row, insert, text
from sqlmodel import col

from app.domain import paths
from app.domain.errors import CloneError, PrimaryStorageFull
from app.domain.plan import (
    BackingFile,
    BaseFile,
    SourceVolume,
    StorageRef,
    StorageType,
    VolumeFormat,
    VolumePlan,
    VolumeType,
)
from app.domain.spec import CloneSpec
from app.domain.states import BaseSetState, WaitReason, check_move
from app.store import capacity
from app.store.codec import error_to_json
from app.store.leases import MAY_STEAL, Claim, Flags, LeaseLost
from app.store.limits import BASE_RATE
from app.store.models import Base, BaseSet, PrimaryStorage, ReservationKind, Volume
from app.store.session import Database
from app.store.sql import select_columns


def ask(connection: Connection, job_uuid: str, spec: CloneSpec) -> str | None:
    """Give the job a base set to wait for: one that is asked for and not begun, or a new one.

    None while another one of the same source is being made: a set serves only jobs that were
    there before its moment, so this job must ask again.
    """
    row = connection.execute(
        text(
            "SELECT jobs.vm_instance_uuid AS vm, COALESCE(vm.host_uuid, vm.last_host_uuid, "
            "(SELECT s.host_uuid FROM volumes v JOIN primary_storages s "
            " ON s.uuid = v.primary_storage_uuid WHERE v.uuid = vm.root_volume_uuid)) AS host "
            "FROM jobs JOIN vm_instances vm ON vm.uuid = jobs.vm_instance_uuid "
            "WHERE jobs.uuid = :job_uuid"
        ),
        {"job_uuid": job_uuid},
    ).one()
    connection.execute(
        text(
            "INSERT INTO base_sets (uuid, vm_instance_uuid, host_uuid, with_data_volumes, state, "
            "fence, attempts, lapses) VALUES (:uuid, :vm, :host, :with_data, 'Wanted', 0, 0, 0) "
            "ON CONFLICT DO NOTHING"
        ),
        {
            "uuid": uuid4().hex,
            "vm": row.vm,
            "host": row.host,
            "with_data": spec.needs_data_volumes,
        },
    )
    base_set = connection.execute(
        text(
            "UPDATE base_sets SET with_data_volumes = with_data_volumes OR :with_data "
            "WHERE vm_instance_uuid = :vm AND state = 'Wanted' RETURNING uuid"
        ),
        {"vm": row.vm, "with_data": spec.needs_data_volumes},
    ).scalar_one_or_none()
    if base_set:
        connection.execute(
            text("UPDATE jobs SET base_set_uuid = :base_set WHERE uuid = :job_uuid"),
            {"base_set": base_set, "job_uuid": job_uuid},
        )
    return str(base_set) if base_set else None


def host_of(connection: Connection, base_set_uuid: str) -> str:
    host: str = connection.execute(
        select_columns(BaseSet.host_uuid).where(col(BaseSet.uuid) == base_set_uuid)
    ).scalar_one()
    return host


@dataclass(frozen=True, slots=True)
class BaseClaim:
    base_set_uuid: str
    vm_uuid: str
    host_uuid: str
    fence: int
    owner: str
    with_data_volumes: bool
    attempts: int
    lapses: int

    @property
    def uuid(self) -> str:
        return self.base_set_uuid

    @property
    def flags(self) -> Flags:
        """It is told with its first heartbeat."""
        return Flags()

    @property
    def key(self) -> dict[str, Any]:
        return {"uuid": self.base_set_uuid, "fence": self.fence}


_SAME_MACHINE = (
    "FROM hosts mine JOIN hosts peer "
    "ON COALESCE(peer.machine_id, peer.uuid) = COALESCE(mine.machine_id, mine.uuid) "
)
# One process of a machine is always left to what is quick.
_HAS_ROOM = f"""(
    SELECT count(*) FROM base_sets o WHERE o.state = 'Making' AND o.uuid <> base_sets.uuid
    AND o.lease_until > clock_timestamp() AND o.host_uuid IN
        (SELECT peer.uuid {_SAME_MACHINE} WHERE mine.uuid = base_sets.host_uuid)
) < GREATEST(1, COALESCE((SELECT processes FROM hosts WHERE uuid = base_sets.host_uuid), 2) - 1)
"""  # noqa: S608
CLAIM_LOCK = 7263515
_IS_DUE = "state = 'Wanted' AND COALESCE(not_before <= clock_timestamp(), TRUE)"


def claim(
    database: Database, base_set_uuid: str, *, owner: str, lease_s: float
) -> BaseClaim | None:
    """Take a Wanted set, or one whose lease has lapsed; None if it is neither, or where the
    machine makes as many others as it may."""
    check_move(BaseSetState.WANTED, BaseSetState.MAKING)

    def work(connection: Connection) -> Row[Any] | None:
        # Two at the same moment would not count each other.
        connection.execute(text("SELECT pg_advisory_xact_lock(:key)"), {"key": CLAIM_LOCK})
        return connection.execute(
            text(
                "UPDATE base_sets SET state = 'Making', fence = fence + 1, owner = :owner, "  # noqa: S608
                "lease_until = clock_timestamp() + make_interval(secs => :lease_s), "
                "attempts = attempts + (state = 'Wanted')::int, "
                "lapses = lapses + (state = 'Making' AND owner IS NOT NULL)::int "
                f"WHERE uuid = :uuid AND (({_IS_DUE}) "
                "OR (state = 'Making' AND lease_until <= clock_timestamp() "
                f"AND {MAY_STEAL.format(lease_s=':lease_s')})) AND {_HAS_ROOM} "
                "RETURNING vm_instance_uuid, host_uuid, fence, with_data_volumes, attempts, lapses"
            ),
            {"uuid": base_set_uuid, "owner": owner, "lease_s": lease_s},
        ).one_or_none()

    row = database.run(work)
    if row is None:
        return None
    return BaseClaim(
        base_set_uuid,
        row.vm_instance_uuid,
        row.host_uuid,
        row.fence,
        owner,
        row.with_data_volumes,
        row.attempts,
        row.lapses,
    )


def next_wanted(database: Database, host_uuid: str) -> tuple[str, str] | None:
    """The set that has waited longest for the host's machine to have room, after its host."""
    with database.single() as connection:
        row = connection.execute(
            text(
                f"SELECT host_uuid, uuid FROM base_sets WHERE {_IS_DUE} "  # noqa: S608
                f"AND host_uuid IN (SELECT peer.uuid {_SAME_MACHINE} WHERE mine.uuid = :host) "
                "ORDER BY created_at LIMIT 1"
            ),
            {"host": host_uuid},
        ).one_or_none()
    return (row.host_uuid, row.uuid) if row else None


def beat(database: Database, claim: BaseClaim, *, lease_s: float) -> Flags | None:
    """Extend the lease; None once it is somebody else's. A base ignores cancel and deadlines
    while any job waits for it; without one, it is cancelled."""
    with database.single() as connection:
        row = connection.execute(
            text(
                "UPDATE base_sets "  # noqa: S608
                "SET lease_until = clock_timestamp() + make_interval(secs => :lease_s) "
                "WHERE uuid = :uuid AND fence = :fence AND owner = :owner AND state = 'Making' "
                "RETURNING NOT EXISTS (SELECT 1 FROM jobs WHERE base_set_uuid = base_sets.uuid "
                "AND jobs.state <> 'Finished' AND jobs.cancel_requested_at IS NULL) AS unwanted, "
                f"{BASE_RATE}"
            ),
            claim.key | {"owner": claim.owner, "lease_s": lease_s},
        ).one_or_none()
    return Flags(cancel=row.unwanted, rate_bytes_s=row.rate_bytes_s) if row else None


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


def any_resets_tpm(connection: Connection, base_set_uuid: str) -> bool:
    """Whether one of the set's jobs gives its clones a fresh TPM."""
    return bool(
        connection.scalar(
            text(
                "SELECT bool_or(COALESCE((spec->>'reset_tpm')::boolean, FALSE)) FROM jobs "
                "WHERE base_set_uuid = :uuid AND state <> 'Finished'"
            ),
            {"uuid": base_set_uuid},
        )
    )


Signature = list[dict[str, Any]]


def reuse(
    database: Database,
    claim: BaseClaim,
    signatures: dict[str, Signature],
    domain_digest: str | None,
) -> bool:
    """Where a Ready set of the source has exactly these files' signatures (by volume uuid) and is
    of the same domain, the waiting jobs take that one and the claimed set goes. False if there is
    none."""
    check_move(BaseSetState.MAKING, BaseSetState.DELETING)

    def work(connection: Connection) -> bool:
        candidates = connection.execute(
            text(
                "SELECT uuid FROM base_sets WHERE vm_instance_uuid = :vm AND state = 'Ready' "
                "AND domain_digest IS NOT DISTINCT FROM CAST(:digest AS varchar) "
                "ORDER BY frozen_at DESC FOR SHARE"
            ),
            {"vm": claim.vm_uuid, "digest": domain_digest},
        ).scalars()
        found = next(
            (uuid for uuid in candidates if _has_signatures(connection, uuid, signatures)), None
        )
        if found is None:
            return False
        _guarded(connection, claim, BaseSetState.DELETING)
        connection.execute(
            text("UPDATE jobs SET base_set_uuid = :found WHERE base_set_uuid = :uuid"),
            {"found": found, "uuid": claim.base_set_uuid},
        )
        connection.execute(
            text("UPDATE base_sets SET last_used_at = clock_timestamp() WHERE uuid = :found"),
            {"found": found},
        )
        _tell_jobs(connection, found)
        return True

    return database.run(work)


def _has_signatures(
    connection: Connection, base_set_uuid: str, signatures: dict[str, Signature]
) -> bool:
    rows = connection.execute(
        select_columns(Base.volume_uuid, Base.signature).where(
            col(Base.base_set_uuid) == base_set_uuid
        )
    ).all()
    recorded = {row.volume_uuid: row.signature for row in rows}
    return all(recorded.get(volume) == signature for volume, signature in signatures.items())


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
        _guarded(connection, claim, BaseSetState.MAKING)
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
    available = connection.execute(
        text(
            "SELECT available_bytes FROM storage_capacities "
            "WHERE primary_storage_uuid = :uuid FOR UPDATE"
        ),
        {"uuid": source.storage.uuid},
    ).scalar_one()
    if available < amount:
        raise PrimaryStorageFull(
            f"primary storage[uuid:{source.storage.uuid}, url:{source.storage.url}] has "
            f"{available} bytes available, the base of volume[uuid:{source.uuid}] needs {amount}; "
            "remove clones that are no longer needed or enlarge the storage"
        )
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
    capacity.reserve(
        connection,
        [capacity.Holding(ReservationKind.STORAGE, source.storage.uuid, file.uuid, amount)],
    )


@dataclass(frozen=True, slots=True)
class MadeDomain:
    """What the source's clones are defined from; all None where a domain needs nothing."""

    xml: str | None = None  # inactive
    live_xml: str | None = None
    nvram: bytes | None = None
    tpm_state: bytes | None = None
    seed_target: str | None = None
    digest: str | None = None
    notes: tuple[str, ...] = ()  # what the clones will lack
    needs: tuple[str, ...] = ()  # what their host has to run


@dataclass(frozen=True, slots=True)
class MadeBase:
    uuid: str
    volume_uuid: str
    format: VolumeFormat
    virtual_size: int
    actual_size: int
    signature: Signature
    source_target: str | None = None


def ready(
    database: Database,
    claim: BaseClaim,
    made: Sequence[MadeBase],
    domain: MadeDomain,
    *,
    consistency: str,
) -> None:
    """The set serves the jobs that wait for it from here on."""
    check_move(BaseSetState.MAKING, BaseSetState.READY)

    def work(connection: Connection) -> None:
        for base in made:
            connection.execute(
                text(
                    "UPDATE bases SET format = :format, virtual_size = :virtual_size, "
                    "actual_size = :actual_size, signature = CAST(:signature AS jsonb), "
                    "source_target = :source_target WHERE uuid = :uuid"
                ),
                {
                    "uuid": base.uuid,
                    "format": base.format,
                    "virtual_size": base.virtual_size,
                    "actual_size": base.actual_size,
                    "signature": orjson.dumps(base.signature).decode(),
                    "source_target": base.source_target,
                },
            )
            # An adopted volume whose size nobody could read when it was declared.
            connection.execute(
                text("UPDATE volumes SET size = :size WHERE uuid = :uuid AND size = 0"),
                {"uuid": base.volume_uuid, "size": base.virtual_size},
            )
        _guarded(
            connection,
            claim,
            BaseSetState.READY,
            "owner = NULL, lease_until = NULL, wait_reason = NULL, error = NULL, "
            "consistency = :consistency, frozen_at = clock_timestamp(), "
            "last_used_at = clock_timestamp(), domain_xml = :xml, live_xml = :live_xml, "
            "nvram = :nvram, tpm_state = :tpm_state, seed_target = :seed_target, "
            "domain_digest = :digest, notes = CAST(:notes AS jsonb), "
            "needs = CAST(:needs AS jsonb)",
            consistency=consistency,
            **asdict(domain)
            | {
                "notes": orjson.dumps(domain.notes).decode(),
                "needs": orjson.dumps(domain.needs).decode(),
            },
        )
        _tell_jobs(connection, claim.base_set_uuid)

    database.run(work)


def hold(connection: Connection, base_set_uuid: str) -> bool:
    """Keep a Ready set from being removed or handed over until the transaction ends, which writes
    a reference to it. False where it is not Ready."""
    return bool(
        connection.scalar(
            text("SELECT 1 FROM base_sets WHERE uuid = :uuid AND state = 'Ready' FOR SHARE"),
            {"uuid": base_set_uuid},
        )
    )


def _tell_jobs(connection: Connection, base_set_uuid: str) -> None:
    """The jobs that take the set say what their clones will lack."""
    connection.execute(
        text(
            "WITH told AS (UPDATE jobs SET notes = s.notes FROM base_sets s WHERE s.uuid = :uuid "
            " AND jobs.base_set_uuid = s.uuid AND jobs.state <> 'Finished' "
            " AND jsonb_array_length(s.notes) > 0 RETURNING jobs.uuid, s.notes) "
            "INSERT INTO events (job_uuid, kind, facts) "
            "SELECT uuid, 'job.noted', jsonb_build_object('notes', notes) FROM told"
        ),
        {"uuid": base_set_uuid},
    )


def domain_of(database: Database, base_set_uuid: str) -> MadeDomain | None:
    """Of a Ready set, or one that is being handed over; None if it is gone."""
    with database.single() as connection:
        row = connection.execute(
            select_columns(
                BaseSet.domain_xml,
                BaseSet.live_xml,
                BaseSet.nvram,
                BaseSet.tpm_state,
                BaseSet.seed_target,
                BaseSet.domain_digest,
            ).where(col(BaseSet.uuid) == base_set_uuid)
        ).one_or_none()
    return MadeDomain(*row) if row else None


def retry_later(
    database: Database,
    claim: BaseClaim,
    error: CloneError,
    *,
    delay_s: float,
    reason: WaitReason,
) -> None:
    check_move(BaseSetState.MAKING, BaseSetState.WANTED)
    database.run(
        lambda connection: _guarded(
            connection,
            claim,
            BaseSetState.WANTED,
            "owner = NULL, lease_until = NULL, wait_reason = :reason, "
            "error = CAST(:error AS jsonb), "
            "not_before = clock_timestamp() + make_interval(secs => :delay_s)",
            reason=reason,
            error=orjson.dumps(error_to_json(error)).decode(),
            delay_s=delay_s,
        )
    )


def hand_back(database: Database, claim: BaseClaim) -> None:
    """The worker stops: the set is free at once, and this counts as nothing."""
    check_move(BaseSetState.MAKING, BaseSetState.WANTED)
    database.run(
        lambda connection: _guarded(
            connection,
            claim,
            BaseSetState.WANTED,
            "owner = NULL, lease_until = NULL, attempts = attempts - 1, published_at = NULL",
        )
    )


def fail(database: Database, claim: BaseClaim, error: CloneError) -> None:
    """The names that wait for the set will end with `error`; the scheduler sees to that."""
    check_move(BaseSetState.MAKING, BaseSetState.FAILED)
    database.run(
        lambda connection: _guarded(
            connection,
            claim,
            BaseSetState.FAILED,
            "owner = NULL, lease_until = NULL, error = CAST(:error AS jsonb)",
            error=orjson.dumps(error_to_json(error)).decode(),
        )
    )


def hand_over(database: Database, claim: Claim, volume: VolumePlan) -> bool:
    """True if the base's own file becomes this volume: nobody else stands on its set or waits for
    it. Named here before the file moves, so that a second try finds the same answer."""
    check_move(BaseSetState.READY, BaseSetState.DELETING)
    assert volume.base is not None  # a new disk asks for none
    parameters = {
        "base": volume.base.uuid,
        "volume": volume.uuid,
        "mine": [v.uuid for v in claim.plan.volumes],
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


def mark_unused(connection: Connection, *, grace_s: float) -> None:
    """Sets that nothing refers to move to Deleting, after their grace period: the references are
    counted in a second statement, once the rows are held."""
    check_move(BaseSetState.READY, BaseSetState.DELETING)
    held = list(
        connection.execute(
            text(
                "SELECT uuid FROM base_sets WHERE (state = 'Ready' AND last_used_at < "
                "clock_timestamp() - make_interval(secs => :grace_s)) "
                "OR state IN ('Failed', 'Wanted') ORDER BY uuid LIMIT 200 FOR UPDATE SKIP LOCKED"
            ),
            {"grace_s": grace_s},
        ).scalars()
    )
    connection.execute(
        text(
            "UPDATE base_sets SET state = 'Deleting', published_at = NULL WHERE uuid = ANY(:held) "
            "AND NOT EXISTS (SELECT 1 FROM jobs WHERE jobs.base_set_uuid = base_sets.uuid "
            " AND jobs.state <> 'Finished') "
            "AND NOT EXISTS (SELECT 1 FROM bases JOIN volumes ON volumes.base_uuid = bases.uuid "
            " WHERE bases.base_set_uuid = base_sets.uuid)"
        ),
        {"held": held},
    )


def deleting_files(database: Database, base_set_uuid: str) -> list[BaseFile] | None:
    """The files of a set that is being removed; None if it is not."""
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
    """By a volume that it is being handed to."""
    return bool(
        connection.scalar(
            text(
                "SELECT EXISTS (SELECT 1 FROM volumes JOIN bases ON bases.uuid = volumes.base_uuid "
                "WHERE bases.base_set_uuid = :uuid)"
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


def _guarded(
    connection: Connection,
    claim: BaseClaim,
    new: BaseSetState,
    assignments: str = "",
    **parameters: Any,
) -> None:
    changed = connection.execute(
        text(
            f"UPDATE base_sets SET state = '{new}'{', ' if assignments else ''}{assignments} "  # noqa: S608
            "WHERE uuid = :uuid AND fence = :fence AND state = 'Making'"
        ),
        claim.key | parameters,
    ).rowcount
    if not changed:
        raise LeaseLost
