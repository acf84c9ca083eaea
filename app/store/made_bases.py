"""What a base set is once it is made: its volumes' copies, what they were copied from and what that
moment is worth, and the domain that clones of it are defined from."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import orjson
from sqlalchemy import Connection, text
from sqlmodel import col

from app.domain.plan import VolumeFormat
from app.domain.states import BaseSetState, check_move
from app.store import base_claims
from app.store.base_claims import BaseClaim
from app.store.models import Base, BaseSet
from app.store.session import Database
from app.store.sql import select_columns

Signature = list[dict[str, Any]]


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
        base_claims.move(connection, claim, BaseSetState.DELETING)
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
        base_claims.move(
            connection,
            claim,
            BaseSetState.READY,
            "owner = NULL, lease_until = NULL, wait_reason = NULL, error = NULL, "
            "consistency = :consistency, frozen_at = COALESCE((SELECT frozen_at "
            " FROM source_snapshots WHERE base_set_uuid = base_sets.uuid), clock_timestamp()), "
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


def _tell_jobs(connection: Connection, base_set_uuid: str) -> None:
    """The jobs that take the set say what its moment is worth and what their clones will lack."""
    connection.execute(
        text(
            "UPDATE jobs SET consistency = s.consistency FROM base_sets s WHERE s.uuid = :uuid "
            "AND jobs.base_set_uuid = s.uuid AND jobs.state <> 'Finished'"
        ),
        {"uuid": base_set_uuid},
    )
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
