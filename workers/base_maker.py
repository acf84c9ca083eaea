"""Makes and removes base sets on the host that sees the source's files.

A stopped source is copied once for as long as it does not change: where every file of every chain
looks exactly as it did when a Ready set was made, that set serves again. A running one is held
still by a snapshot, for the jobs that were there before it.
"""

import logging

from app.domain.errors import (
    CloneError,
    DomainBusy,
    InternalError,
    OperationCanceled,
    SourceVolumeBusy,
    TooManyAttempts,
    TooManyLapses,
)
from app.domain.plan import SourceRef
from app.domain.retry import MAX_LAPSES, retry_delay_s
from app.domain.snapshots import Consistency
from app.domain.states import WaitReason
from app.store import base_claims, base_sets, bases, hosts, made_bases, sources
from app.store.base_claims import BaseClaim
from app.store.leases import LeaseLost
from app.store.session import DATABASE_AWAY
from app.store.source_volumes import source_volumes
from workers.base_copy import as_json, check_one_moment, copy_all, made_domain
from workers.context import WorkerContext
from workers.holding import holding
from workers.hypervisors.base import Hypervisor
from workers.lease import Draining, Lease
from workers.put_back import put_back
from workers.running_source import RunningSource, copy_running

log = logging.getLogger(__name__)

BUSY_DELAY_S = 2.0


def prepare_base(base_set_uuid: str, worker: WorkerContext) -> None:
    """Take the set as far as it goes now. Safe to call twice, late, or for somebody else's."""
    held = holding(
        worker,
        claim=lambda: base_claims.claim(
            worker.database, base_set_uuid, owner=worker.name, lease_s=worker.settings.lease_s
        ),
        beat=lambda claim, _: base_claims.beat(
            worker.beats, claim, lease_s=worker.settings.lease_s
        ),
        hand_back=lambda claim: base_claims.hand_back(worker.database, claim),
    )
    was_mine = False
    with held as mine:
        if mine is not None:
            was_mine = True
            _make_or_fail(mine.claim, mine.lease, worker)
    if was_mine:
        worker.wake_scheduler(at_once=True)
    # At once, and after the clones were told that they may begin.
    put_back(base_set_uuid, worker)


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
        base_claims.hand_back(worker.database, claim)
    except OperationCanceled as error:
        base_claims.fail(worker.database, claim, error)
    except (SourceVolumeBusy, DomainBusy) as error:
        # Contention waits: it has no last attempt but the jobs' deadlines.
        base_claims.retry_later(
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
        base_claims.fail(worker.database, claim, error)
    elif delay_s is None:
        base_claims.fail(worker.database, claim, TooManyAttempts(error.details, cause=error))
    else:
        base_claims.retry_later(
            worker.database, claim, error, delay_s=delay_s, reason=WaitReason.RETRY
        )


def _make(claim: BaseClaim, lease: Lease, worker: WorkerContext) -> None:
    if claim.lapses > MAX_LAPSES:
        raise TooManyLapses
    with worker.database.single() as connection:
        volumes = source_volumes(
            connection, claim.vm_uuid, with_data_volumes=claim.with_data_volumes
        )
        source = sources.ref(connection, claim.vm_uuid)
        host = hosts.ref(connection, claim.host_uuid)
        reset_tpm = base_sets.any_resets_tpm(connection, claim.base_set_uuid)
    hypervisor = worker.hypervisor(host)
    look = hypervisor.look_at(source)
    if look.running:
        running = RunningSource(source, look, volumes, hypervisor, reset_tpm)
        copy_running(running, claim, lease, worker)
        return
    prepared = hypervisor.prepare(source, look, volumes, reset_tpm=reset_tpm)
    signatures = {
        volume.uuid: worker.storage(volume.storage).signature(volume) for volume in volumes
    }
    recorded = {uuid: as_json(signature) for uuid, signature in signatures.items()}
    if made_bases.reuse(worker.database, claim, recorded, look.digest):
        return
    files = bases.name_files(
        worker.database,
        claim,
        [(volume, sum(f.allocated for f in signatures[volume.uuid])) for volume in volumes],
    )
    made = copy_all(volumes, files, prepared, worker, lease, lease.next_volume)
    _check_at_rest(hypervisor, source)
    check_one_moment(volumes, made, worker)
    domain = made_domain(prepared, look)
    made_bases.ready(worker.database, claim, made, domain, consistency=Consistency.OFFLINE)


def _check_at_rest(hypervisor: Hypervisor, source: SourceRef) -> None:
    """Raises SourceVolumeBusy where it was started meanwhile."""
    if hypervisor.look_at(source).running:
        raise SourceVolumeBusy(
            f"vm[uuid:{source.uuid}, name:{source.name}] was started while it was copied; it is "
            "copied again, as a running one"
        )
