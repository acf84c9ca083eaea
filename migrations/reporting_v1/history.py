"""What was counted by the hour: kept for thirteen months, and read without a look at the jobs."""

from migrations.reporting_v1.view import View

HOUR = {"hour_at": "the hour's beginning; counted is what ended in it"}
ACCOUNT = {
    "account_uuid": "whose jobs they were",
    "account_name": "that account's name; null once the account is gone",
    "kind": "what the jobs did: clone, destroy, start, ...",
}

JOB_HOURLY = View(
    "job_hourly",
    "Jobs by the hour in which they finished",
    """
SELECT t.hour AS hour_at, t.account_uuid, a.name AS account_name, t.kind, t.outcome, t.jobs,
    t.wait_s AS wait_seconds, t.run_s AS run_seconds
FROM hourly_jobs t LEFT JOIN accounts a ON a.uuid = t.account_uuid""",
    HOUR
    | ACCOUNT
    | {
        "outcome": "Succeeded, PartiallySucceeded, Failed or Canceled",
        "jobs": "how many",
        "wait_seconds": "from submitted to started, of all together",
        "run_seconds": "from started to finished, of all together",
    },
)

ITEM_HOURLY = View(
    "item_hourly",
    "Names by the hour in which they ended",
    """
SELECT t.hour AS hour_at, t.account_uuid, a.name AS account_name, t.kind, t.outcome,
    NULLIF(t.method, '') AS method, NULLIF(t.error_code, '') AS root_error_code,
    NULLIF(t.failed_step, '') AS failed_step, t.items AS names, t.copied_bytes,
    t.wait_s AS wait_seconds, t.run_s AS run_seconds
FROM hourly_items t LEFT JOIN accounts a ON a.uuid = t.account_uuid""",
    HOUR
    | ACCOUNT
    | {
        "outcome": "Succeeded, Failed or Canceled",
        "method": "reflink, linked or full; null where none was used",
        "root_error_code": "code of the innermost cause (docs/errors.md); null without an error",
        "failed_step": "the step that failed; null where none had begun",
        "names": "how many",
        "copied_bytes": "written for them",
        "wait_seconds": "from submitted to started, of all together",
        "run_seconds": "from started to finished, of all together",
    },
)

STEP_HOURLY_BUCKET = View(
    "step_hourly_bucket",
    "Steps by the hour in which they were done, and by how long they took",
    """
SELECT hour AS hour_at, step, result, NULLIF(up_to_s, 'Infinity') AS up_to_seconds, steps,
    duration_s AS run_seconds
FROM hourly_steps""",
    HOUR
    | {
        "step": "which step: allocate_host, copy_root_volume, ...",
        "result": "succeeded, or undone: done, and taken back later",
        "up_to_seconds": "they took as long as this or less; null for the last bucket",
        "steps": "how many",
        "run_seconds": "from started to finished, of all together",
    },
)


def _quantile(share: float) -> str:
    """Within its bucket every duration is as likely."""
    return f"""
    max(from_s + CASE WHEN up_to_s = 'Infinity' THEN 0
        ELSE (up_to_s - from_s) * ({share} * total - before) / steps END)
        FILTER (WHERE before < {share} * total AND before + steps >= {share} * total)"""


STEP_HOURLY = View(
    "step_hourly",
    "Steps by the hour in which they were done, with how long they took",
    f"""
SELECT hour AS hour_at, step, result, sum(steps)::bigint AS steps,
    sum(duration_s) AS run_seconds,{_quantile(0.5)} AS p50_seconds,{_quantile(0.95)}
    AS p95_seconds,{_quantile(0.99)} AS p99_seconds
FROM (
    SELECT hour, step, result, up_to_s, steps, duration_s,
        CASE WHEN up_to_s = 'Infinity' THEN 5000 ELSE up_to_s
            / CASE left(ltrim(up_to_s::text, '0.'), 1) WHEN '5' THEN 2.5 ELSE 2 END END AS from_s,
        sum(steps) OVER hours AS total,
        sum(steps) OVER (hours ORDER BY up_to_s) - steps AS before
    FROM hourly_steps WINDOW hours AS (PARTITION BY hour, step, result)
) counted
GROUP BY hour, step, result""",  # noqa: S608
    HOUR
    | {
        "step": "which step: allocate_host, copy_root_volume, ...",
        "result": "succeeded, or undone: done, and taken back later",
        "steps": "how many",
        "run_seconds": "from started to finished, of all together",
        "p50_seconds": "half of them took this long or less; from buckets, so near enough",
        "p95_seconds": "95 of 100 took this long or less",
        "p99_seconds": "99 of 100 took this long or less",
    },
)

VIEWS = (JOB_HOURLY, ITEM_HOURLY, STEP_HOURLY_BUCKET, STEP_HOURLY)
