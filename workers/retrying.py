"""Whether what an item ran into may pass."""

import logging

from app.domain.errors import CloneError, InternalError, TooManyAttempts
from app.domain.retry import retry_delay_s
from app.domain.states import WaitReason
from app.store import items
from app.store.leases import Claim
from workers.context import WorkerContext

log = logging.getLogger(__name__)


def put_off(claim: Claim, error: Exception, worker: WorkerContext) -> CloneError | None:
    """None where the item is tried again later; otherwise what it ends with."""
    if not isinstance(error, CloneError):
        log.exception("failed unexpectedly")
        error = InternalError()
    delay_s = retry_delay_s(claim.attempts, worker.rng)
    again = error.retryable and delay_s is not None
    # Not its details, which may quote what the caller wrote: the item has them.
    log.info("step failed", extra={"code": error.code, "again": again})
    if error.retryable and delay_s is not None:
        items.retry_later(worker.database, claim, error, delay_s=delay_s, reason=WaitReason.RETRY)
        return None
    return TooManyAttempts(error.details, cause=error) if error.retryable else error
