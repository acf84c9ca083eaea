"""Makes and removes base sets on the host that sees the source's files.

A stopped source is copied once for as long as it does not change: where every file of every chain
looks exactly as it did when a Ready set was made, that set serves again.
"""

import logging
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict

from app.domain.errors import (
    CloneError,
    InternalError,
    OperationCanceled,
    SourceVolumeBusy,
    TooManyAttempts,
    TooManyLapses,
)
from app.domain.plan import SourceRef, SourceVolume
from app.domain.retry import MAX_LAPSES, retry_delay_s
from app.domain.states import WaitReason
from app.queue import TaskName, host_queue
from app.store import bases, hosts, sources
from app.store.bases import BaseClaim, MadeBase, MadeDomain
from app.store.leases import LeaseLost
from app.store.session import DATABASE_AWAY
from workers.context import WorkerContext
from workers.holding import holding
from workers.hypervisors.base import Hypervisor, Prepared, SourceLook
from workers.lease import Draining, Lease
from workers.storage.base import FileSignature

log = logging.getLogger(__name__)

BUSY_DELAY_S = 2.0


def prepare_base(base_set_uuid: str, worker: WorkerContext) -> None:
    """Take the set as far as it goes now. Safe to call twice, late, or for somebody else's."""
    held = holding(
        worker,
        claim=lambda: bases.claim(
            worker.database, base_set_uuid, owner=worker.name, lease_s=worker.settings.lease_s
        ),
        beat=lambda claim, _: bases.beat(worker.beats, claim, lease_s=worker.settings.lease_s),
        hand_back=lambda claim: bases.hand_back(worker.database, claim),
    )
    host_uuid, began_s = None, time.monotonic()
    with held as mine:
        if mine is not None:
            host_uuid = mine.claim.host_uuid
            _make_or_fail(mine.claim, mine.lease, worker)
    if host_uuid is not None:
        _pass_on(host_uuid, worker)
    worker.wake_scheduler(after_s=time.monotonic() - began_s)


def _pass_on(host_uuid: str, worker: WorkerContext) -> None:
    """There is room for one that was refused because its machine made others."""
    with suppress(*DATABASE_AWAY):
        wanted = bases.next_wanted(worker.database, host_uuid)
        if wanted is not None:
            host_uuid, base_set_uuid = wanted
            worker.publish(TaskName.PREPARE_BASE, base_set_uuid, queue=host_queue(host_uuid))


def remove_base(base_set_uuid: str, worker: WorkerContext) -> None:
    """Remove the files of a set that is being deleted, then its rows."""
    lock = worker.lock(base_set_uuid)
    if not lock.try_acquire():
        return
    try:
        files = bases.deleting_files(worker.database, base_set_uuid)
        if files is None:
            return
        for file in files:
            worker.storage(file.storage).delete_base(file)
        bases.removed(worker.database, base_set_uuid, [file.uuid for file in files])
    except CloneError as error:
        log.warning(
            "base set not removed yet: %s", error.details, extra={"base_set": base_set_uuid}
        )
    finally:
        lock.release()


def _make_or_fail(claim: BaseClaim, lease: Lease, worker: WorkerContext) -> None:
    try:
        _make(claim, lease, worker)
    except (LeaseLost, *DATABASE_AWAY):
        raise
    except Draining:
        bases.hand_back(worker.database, claim)
    except OperationCanceled as error:
        bases.fail(worker.database, claim, error)
    except SourceVolumeBusy as error:
        # Contention waits: it has no last attempt but the jobs' deadlines.
        bases.retry_later(
            worker.database, claim, error, delay_s=BUSY_DELAY_S, reason=WaitReason.SOURCE_BUSY
        )
    except Exception as error:
        _failed(claim, error, worker)


def _failed(claim: BaseClaim, error: Exception, worker: WorkerContext) -> None:
    if not isinstance(error, CloneError):
        log.exception("base failed unexpectedly", extra={"base_set": claim.base_set_uuid})
        error = InternalError()
    delay_s = retry_delay_s(claim.attempts, worker.rng)
    if not error.retryable:
        bases.fail(worker.database, claim, error)
    elif delay_s is None:
        bases.fail(worker.database, claim, TooManyAttempts(error.details, cause=error))
    else:
        bases.retry_later(worker.database, claim, error, delay_s=delay_s, reason=WaitReason.RETRY)


def _make(claim: BaseClaim, lease: Lease, worker: WorkerContext) -> None:
    if claim.lapses > MAX_LAPSES:
        raise TooManyLapses
    with worker.database.single() as connection:
        volumes = bases.source_volumes(
            connection, claim.vm_uuid, with_data_volumes=claim.with_data_volumes
        )
        source = sources.ref(connection, claim.vm_uuid)
        host = hosts.ref(connection, claim.host_uuid)
        reset_tpm = bases.any_resets_tpm(connection, claim.base_set_uuid)
    hypervisor = worker.hypervisor(host)
    look = _look_at_rest(hypervisor, source)
    prepared = hypervisor.prepare(source, look, volumes, reset_tpm=reset_tpm)
    signatures = {
        volume.uuid: worker.storage(volume.storage).signature(volume) for volume in volumes
    }
    recorded = {uuid: _json(signature) for uuid, signature in signatures.items()}
    if bases.reuse(worker.database, claim, recorded, look.digest):
        return
    files = bases.name_files(
        worker.database,
        claim,
        [(volume, sum(f.allocated for f in signatures[volume.uuid])) for volume in volumes],
    )
    made = []
    for volume, file in zip(volumes, files, strict=True):
        lease.next_volume()
        facts = worker.storage(file.storage).make_base(volume, file, lease)
        made.append(
            MadeBase(
                uuid=file.uuid,
                volume_uuid=volume.uuid,
                format=facts.format,
                virtual_size=facts.virtual_size,
                actual_size=facts.actual_size,
                signature=_json(facts.signature),
                source_target=prepared.targets[volume.uuid] if prepared else None,
            )
        )
    _look_at_rest(hypervisor, source)
    _check_one_moment(volumes, made, worker)
    domain = _made_domain(prepared, look) if prepared else MadeDomain()
    bases.ready(worker.database, claim, made, domain, consistency="offline")


def _made_domain(prepared: Prepared, look: SourceLook) -> MadeDomain:
    return MadeDomain(
        **asdict(prepared.template), digest=look.digest, notes=prepared.notes, needs=prepared.needs
    )


def _look_at_rest(hypervisor: Hypervisor, source: SourceRef) -> SourceLook:
    """Raises SourceVolumeBusy while it runs."""
    look = hypervisor.look_at(source)
    if look.running:
        raise SourceVolumeBusy(
            f"vm[uuid:{source.uuid}, name:{source.name}] runs; it is copied once it has stopped"
        )
    return look


def _check_one_moment(
    volumes: Sequence[SourceVolume], made: Sequence[MadeBase], worker: WorkerContext
) -> None:
    """After the last copy every volume still looks as when the first one began, so the set is of
    one moment. Raises SourceVolumeBusy otherwise."""
    for volume, base in zip(volumes, made, strict=True):
        if _json(worker.storage(volume.storage).signature(volume)) != base.signature:
            raise SourceVolumeBusy(
                f"volume[uuid:{volume.uuid}, path:{volume.path}] changed while the source's "
                "volumes were copied; it is tried again"
            )


def _json(signature: Sequence[FileSignature]) -> bases.Signature:
    return [asdict(file) for file in signature]
