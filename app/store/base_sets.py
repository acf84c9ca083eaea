"""Base sets: asked for by a job, held while something is made to refer to them, and given up when
nothing does."""

from dataclasses import dataclass
from uuid import uuid4

from sqlalchemy import Connection, text
from sqlmodel import col

from app.domain.spec import CloneSpec
from app.domain.states import BaseSetState, check_move
from app.store.models import BaseSet
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


def hold(connection: Connection, base_set_uuid: str) -> bool:
    """Keep a Ready set from being removed or handed over until the transaction ends, which writes
    a reference to it. False where it is not Ready."""
    return bool(
        connection.scalar(
            text("SELECT 1 FROM base_sets WHERE uuid = :uuid AND state = 'Ready' FOR SHARE"),
            {"uuid": base_set_uuid},
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


@dataclass(frozen=True, slots=True)
class LastSet:
    """What the newest copy of a source tells of its domain."""

    notes: list[str]  # what clones will lack
    needs: frozenset[str]  # what their host has to run


def last_ready(connection: Connection, vm_uuid: str) -> LastSet | None:
    row = connection.execute(
        text(
            "SELECT notes, needs FROM base_sets WHERE vm_instance_uuid = :vm AND state = 'Ready' "
            "ORDER BY frozen_at DESC LIMIT 1"
        ),
        {"vm": vm_uuid},
    ).one_or_none()
    return LastSet(list(row.notes or ()), frozenset(row.needs or ())) if row else None
