"""Jobs, their names, steps and copies."""

from migrations.reporting_v1.view import ERROR_COMMENTS, View, error_columns

# States stay PostgreSQL's enums here: as text no partial index would be found by them.

JOB = View(
    "job",
    "One row for each accepted request that the engine works on or has worked on",
    f"""
SELECT j.uuid AS job_uuid, j.kind::text AS kind, j.account_uuid, a.name AS account_name,
    CASE WHEN j.vm_instance_uuid ~ '^[0-9a-f]{{32}}$' THEN j.vm_instance_uuid END
        AS source_vm_uuid,
    v.name AS source_vm_name, j.state, j.outcome::text AS outcome,
    COALESCE(c.total, j.requested) AS names_total,
    CASE WHEN j.state = 'Finished' THEN 0 ELSE GREATEST(0, COALESCE(c.total, j.requested)
        - COALESCE(c.succeeded + c.failed + c.canceled, 0) - o.uncounted) END::int
        AS names_waiting,
    o.granted::int AS names_granted, o.running::int AS names_running,
    o.rolling_back::int AS names_rolling_back,
    COALESCE(c.succeeded, 0) AS names_succeeded, COALESCE(c.failed, 0) AS names_failed,
    COALESCE(c.canceled, 0) AS names_canceled,
    CASE WHEN COALESCE(c.total, j.requested) > 0
        THEN COALESCE(c.succeeded + c.failed + c.canceled, 0)::float8
            / COALESCE(c.total, j.requested) END AS progress_ratio,
    (COALESCE(c.bytes_done, 0) + o.bytes_done)::bigint AS copied_bytes,
    CASE WHEN j.state = 'Running' AND j.paused_at IS NULL
            AND c.succeeded + c.failed + c.canceled > 0
        THEN extract(epoch FROM clock_timestamp() - j.started_at)::float8
            * (c.total - c.succeeded - c.failed - c.canceled)
            / (c.succeeded + c.failed + c.canceled) END AS eta_seconds,
    CASE WHEN j.state <> 'Finished' THEN j.wait_reason::text END AS wait_reason,
    j.priority, COALESCE(j.policy ->> 'onFailure', 'keep') AS on_failure,
    (j.policy ->> 'maxFailures')::int AS failures_max, j.consistency,
    j.retry_of AS retry_of_job_uuid, j.created_at AS submitted_at, j.started_at, j.finished_at,
    j.deadline_at, j.paused_at, j.cancel_requested_at,
    extract(epoch FROM COALESCE(j.started_at, j.finished_at, clock_timestamp())
        - j.created_at)::float8 AS wait_seconds,
    extract(epoch FROM COALESCE(j.finished_at, clock_timestamp()) - j.started_at)::float8
        AS run_seconds,{error_columns("j.error")}
FROM jobs j
LEFT JOIN accounts a ON a.uuid = j.account_uuid
LEFT JOIN vm_instances v ON v.uuid = j.vm_instance_uuid
LEFT JOIN job_counters c ON c.job_uuid = j.uuid
CROSS JOIN LATERAL (
    SELECT count(*) FILTER (WHERE i.state = 'Granted') AS granted,
        count(*) FILTER (WHERE i.state IN ('Running', 'Made')) AS running,
        count(*) FILTER (WHERE i.state IN ('RollingBack', 'Stranded')) AS rolling_back,
        count(*) FILTER (WHERE i.finished_at IS NULL) AS uncounted,
        COALESCE(sum(i.bytes_done), 0) AS bytes_done
    FROM items i WHERE j.state <> 'Finished' AND i.job_uuid = j.uuid
        AND i.state IN ('Granted', 'Running', 'Made', 'RollingBack', 'Stranded')
) o
WHERE j.kind <> 'api' AND j.account_uuid IS NOT NULL""",  # noqa: S608
    {
        "job_uuid": "the job; names are in item",
        "kind": "what it does with its VMs: clone, destroy, expunge, start, stop, reboot, ...",
        "account_uuid": "whose job it is",
        "account_name": "that account's name; null once the account is gone",
        "source_vm_uuid": "the VM that is cloned, or that something is done with",
        "source_vm_name": "its name; null once it is gone",
        "state": "Accepted, Running, Finishing or Finished",
        "outcome": "Succeeded, PartiallySucceeded, Failed or Canceled; null before the end",
        "names_total": "how many VMs it is about",
        "names_waiting": "not granted to a host yet",
        "names_granted": "granted to a host, in its line",
        "names_running": "a worker has them in hand, or they are made and wait for the others",
        "names_rolling_back": "being taken back; counted while the job is not finished",
        "names_succeeded": "ended well",
        "names_failed": "ended badly",
        "names_canceled": "ended because somebody cancelled them",
        "progress_ratio": "names that have ended, of all: 0 to 1",
        "copied_bytes": "written for its names so far",
        "eta_seconds": "until the last name ends, by the pace of those that have; null if unknown, "
        "and while paused",
        "wait_reason": "why its waiting names wait (docs/operations.md)",
        "priority": "0 last to 9 first",
        "on_failure": "keep, or allOrNothing",
        "failures_max": "more failures than these and nothing more begins; null for any number",
        "consistency": "of the moment that is cloned: application, filesystem, crash or offline",
        "retry_of_job_uuid": "the job whose failed names it tries again",
        "submitted_at": "when it was accepted",
        "started_at": "when it was judged and its names were written",
        "finished_at": "when its result was stored",
        "deadline_at": "what has not ended by then is taken back",
        "paused_at": "since when it is paused",
        "cancel_requested_at": "when somebody cancelled it",
        "wait_seconds": "from submitted to started",
        "run_seconds": "from started to finished, or until now",
        **ERROR_COMMENTS,
    },
)

ITEM = View(
    "item",
    "One row for each name of a job",
    f"""
SELECT i.uuid AS item_uuid, i.job_uuid, i.kind::text AS kind, i.ordinal, i.name AS vm_name,
    i.vm_uuid, j.account_uuid, a.name AS account_name, i.state,
    i.step::text AS step, i.host_uuid, h.name AS host_name, i.method::text AS method,
    i.attempts, i.lapses, i.bytes_done AS copied_bytes, i.bytes_total AS copy_total_bytes,
    COALESCE(i.wait_reason, CASE WHEN i.state = 'Waiting' THEN j.wait_reason END)::text
        AS wait_reason,
    i.identity AS guest_identity, j.created_at AS submitted_at, i.granted_at, i.started_at,
    i.finished_at,
    extract(epoch FROM COALESCE(i.started_at, i.finished_at, clock_timestamp())
        - j.created_at)::float8 AS wait_seconds,
    extract(epoch FROM COALESCE(i.finished_at, clock_timestamp()) - i.started_at)::float8
        AS run_seconds,{error_columns("i.error")}
FROM items i
JOIN jobs j ON j.uuid = i.job_uuid
LEFT JOIN accounts a ON a.uuid = j.account_uuid
LEFT JOIN hosts h ON h.uuid = i.host_uuid""",  # noqa: S608
    {
        "item_uuid": "the name's own identifier; its steps are in step",
        "job_uuid": "its job",
        "kind": "as its job's",
        "ordinal": "place in the request, from 0",
        "vm_name": "the name",
        "vm_uuid": "the VM that it is, or becomes",
        "account_uuid": "whose job it is",
        "account_name": "that account's name",
        "state": "Waiting, Granted, Running, Made, RollingBack, Stranded, Succeeded, Failed or "
        "Canceled",
        "step": "the step that runs, or ran last",
        "host_uuid": "the host that it was granted to",
        "host_name": "that host's name",
        "method": "how it was copied: reflink, linked or full; null before its end",
        "attempts": "how often a worker took it up",
        "lapses": "how often a worker's lease on it ran out",
        "copied_bytes": "written for it so far",
        "copy_total_bytes": "to be written for it; null while unknown",
        "wait_reason": "why it waits (docs/operations.md)",
        "guest_identity": "applied, ignored or unknown: whether its guest is who it should be",
        "submitted_at": "when its job was accepted",
        "granted_at": "when everything was reserved for it on its host",
        "started_at": "when a worker took it up first",
        "finished_at": "when it ended",
        "wait_seconds": "from submitted to started",
        "run_seconds": "from started to finished, or until now",
        **ERROR_COMMENTS,
    },
)

STEP = View(
    "step",
    "One row for each step of a name that was done, whether or not it was taken back later",
    """
SELECT s.item_uuid, i.job_uuid, i.name AS vm_name, i.host_uuid, s.name::text AS step,
    CASE WHEN s.undone_at IS NULL THEN 'succeeded' ELSE 'undone' END AS result, s.attempt,
    s.worker, s.started_at, s.finished_at, s.undone_at,
    extract(epoch FROM s.finished_at - s.started_at)::float8 AS run_seconds
FROM steps s JOIN items i ON i.uuid = s.item_uuid""",
    {
        "item_uuid": "the name it is a step of",
        "job_uuid": "the job of that name",
        "vm_name": "the name",
        "host_uuid": "the host where it was done",
        "step": "which step: allocate_host, copy_root_volume, ...",
        "result": "succeeded, or undone: done, and taken back later",
        "attempt": "in which attempt of the name",
        "worker": "the process that did it: machine and process id",
        "started_at": "when it began",
        "finished_at": "when it was done",
        "undone_at": "when it was taken back",
        "run_seconds": "from started to finished",
    },
)

VOLUME_COPY = View(
    "volume_copy",
    "One row for each volume that a clone has or is being given, as long as the VM is there",
    """
SELECT v.uuid AS volume_uuid, v.vm_instance_uuid AS vm_uuid, i.item_uuid, i.job_uuid,
    v.account_uuid, v.type::text AS volume_type, v.device_id AS device_number,
    v.primary_storage_uuid AS storage_uuid, p.name AS storage_name, v.format::text AS format,
    v.method::text AS method, v.status::text AS status, v.size AS virtual_bytes,
    v.actual_size AS allocated_bytes, v.base_uuid, v.created_at,
    extract(epoch FROM s.finished_at - s.started_at)::float8 AS copy_seconds
FROM volumes v
JOIN primary_storages p ON p.uuid = v.primary_storage_uuid
LEFT JOIN LATERAL (
    SELECT i.uuid AS item_uuid, i.job_uuid FROM items i
    WHERE i.vm_uuid = v.vm_instance_uuid AND i.kind = 'clone'
) i ON TRUE
LEFT JOIN steps s ON s.item_uuid = i.item_uuid AND s.name = CASE v.type
    WHEN 'Root' THEN 'copy_root_volume'::step_name ELSE 'copy_data_volumes'::step_name END
WHERE v.origin = 'cloned'""",
    {
        "volume_uuid": "the volume",
        "vm_uuid": "the VM it belongs to",
        "item_uuid": "the name that made it; null once its job was deleted",
        "job_uuid": "the job of that name",
        "account_uuid": "whose volume it is",
        "volume_type": "Root or Data",
        "device_number": "its place in the VM; 0 is the root volume",
        "storage_uuid": "the primary storage where it lies",
        "storage_name": "that storage's name",
        "format": "qcow2 or raw",
        "method": "reflink, linked or full; null for a new, empty disk",
        "status": "Creating, Ready, NotInstantiated or Deleted",
        "virtual_bytes": "as large as the guest sees it",
        "allocated_bytes": "what its file took up when it was made; null while unknown",
        "base_uuid": "the base that a linked one stands on",
        "created_at": "when it was planned",
        "copy_seconds": "how long the step took that made it; data volumes are one step together",
    },
)

VIEWS = (JOB, ITEM, STEP, VOLUME_COPY)
