"""One operation of the OpenAPI document, and our own surface's."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from app.api.asked import (
    Asked,
    EventsAsked,
    ItemsAsked,
    JobsAsked,
    RemovalAsked,
    SubmissionAsked,
)
from app.api.openapi.bodies import (
    CloneJobBody,
    Health,
    Readiness,
    SessionView,
    SignInBody,
)
from app.api.openapi.examples import CLONE_JOBS, SIGN_IN
from app.store.views import (
    HostsView,
    IpRangesView,
    ItemsPage,
    ItemView,
    JobsPage,
    JobView,
    PlanView,
    PrimaryStoragesView,
)

Json = dict[str, Any]
STREAM = "text/event-stream"


@dataclass(frozen=True, slots=True)
class Operation:
    """`answers` hold types that pydantic can describe, None for an empty body; `body` such a type,
    or a schema."""

    name: str
    method: str
    path: str
    tag: str
    summary: str
    answers: Mapping[int, Any]
    description: str = ""
    query: type[Asked] | None = None
    body: Any = None
    examples: Mapping[str, Json] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)  # optional ones, with what they do
    content: str = "application/json"
    answer_headers: Mapping[str, str] = field(default_factory=dict)  # of good ones
    refusals: tuple[int, ...] = (400, 401, 404)  # problems, beside those of every operation
    is_open: bool = False  # needs no credentials
    parameters: tuple[Json, ...] = ()  # beside those of the path and of `query`


def reference(described: type) -> str:
    """Of a type that the document's components have."""
    return f"#/components/schemas/{described.__name__}"


_WAIT = {"Prefer": "wait=N: wait for the end for N seconds, 25 at most"}
_KEY = {"Idempotency-Key": "the same key and body make one job, for a day"}
_SUBMISSION = (
    _KEY
    | _WAIT
    | {
        "X-Job-UUID": "the uuid that the job is to have: 32 characters",
        "X-API-Timeout": "seconds until what has not ended is taken back",
        "X-Web-Hook": "the address that is told of its end",
    }
)
_LOCATION = {"Location": "the job's address"}
_ACCEPTED = _LOCATION | {"Idempotency-Replayed": "true: the key made this job before"}
_SAME = {"If-None-Match": "an ETag: 304 while nothing has changed"}
_JOB = "/api/v1/clone-jobs/{uuid}"
_VERB = {200: JobView}

OWN: tuple[Operation, ...] = (
    Operation(
        "signIn", "post", "/api/v1/session", "session", "Sign a browser in with a cookie",
        {200: SessionView}, body=SignInBody, examples=SIGN_IN, is_open=True,
        refusals=(400, 401, 413, 415),
    ),
    Operation(
        "whoAmI", "get", "/api/v1/session", "session", "Who is signed in here",
        {200: SessionView}, refusals=(401,),
    ),
    Operation(
        "signOut", "delete", "/api/v1/session", "session", "Sign the browser out",
        {204: None}, refusals=(401, 403),
    ),
    Operation(
        "createCloneJob", "post", "/api/v1/clone-jobs", "clone jobs",
        "Clone a VM, or ask with dryRun how that would go",
        {202: JobView, 200: JobView | PlanView}, query=SubmissionAsked, body=CloneJobBody,
        examples=CLONE_JOBS, headers=_SUBMISSION, answer_headers=_ACCEPTED,
        refusals=(400, 401, 403, 413, 422),
        description="202 with the job and its Location; 200 once it has ended within Prefer's "
        "time, and with the plan where dryRun=true. What only the inventory can tell ends the job.",
    ),
    Operation(
        "listCloneJobs", "get", "/api/v1/clone-jobs", "clone jobs", "Jobs, newest first",
        {200: JobsPage}, query=JobsAsked, headers=_SAME, refusals=(400, 401),
    ),
    Operation(
        "getCloneJob", "get", _JOB, "clone jobs", "One job", {200: JobView}, headers=_SAME,
    ),
    Operation(
        "listItems", "get", f"{_JOB}/items", "clone jobs", "A job's names, in request order",
        {200: ItemsPage}, query=ItemsAsked, headers=_SAME,
    ),
    Operation(
        "jobEvents", "get", f"{_JOB}/events", "events", "A job and its names as they change",
        {200: str}, query=EventsAsked, content=STREAM,
        headers={"Last-Event-ID": "where the reader was"}, refusals=(400, 401, 404, 503),
        description="Server-sent events: `job`, `items` and, last, `end`.",
    ),
    Operation(
        "allEvents", "get", "/api/v1/events", "events", "Every job as it changes",
        {200: str}, query=EventsAsked, content=STREAM,
        headers={"Last-Event-ID": "where the reader was"}, refusals=(400, 401, 503),
        description="Server-sent events: `job`.",
    ),
    *(
        Operation(
            f"{verb}CloneJob", "post", f"{_JOB}/{verb}", "clone jobs", summary, _VERB,
            refusals=(400, 401, 403, 404, 409),
        )
        for verb, summary in (
            ("cancel", "Take back what has not ended"),
            ("pause", "Begin nothing new"),
            ("resume", "Go on after a pause"),
        )
    ),
    Operation(
        "retryCloneJob", "post", f"{_JOB}/retry", "clone jobs",
        "A new job of the names that failed", {202: JobView, 200: JobView},
        headers=_SUBMISSION, answer_headers=_ACCEPTED, refusals=(400, 401, 403, 404, 409, 422),
    ),
    Operation(
        "removeVms", "delete", f"{_JOB}/vms", "clone jobs", "Remove what a job made",
        {202: JobView, 200: JobView}, query=RemovalAsked, headers=_WAIT,
        answer_headers=_LOCATION,
        refusals=(400, 401, 403, 404, 409),
    ),
    Operation(
        "cancelItem", "post", f"{_JOB}/items/{{item}}/cancel", "clone jobs", "Take one name back",
        {200: ItemView}, refusals=(400, 401, 403, 404, 409),
    ),
    *(
        Operation(
            name, "get", f"/api/v1/{path}", "capacity", summary, {200: shown},
            refusals=(400, 401, 403),
        )
        for name, path, summary, shown in (
            ("listHosts", "hosts", "Hosts with what is used and free", HostsView),
            ("listPrimaryStorages", "primary-storages", "Storages with what is used and free",
             PrimaryStoragesView),
            ("listIpRanges", "ip-ranges", "Address ranges with what is used", IpRangesView),
        )
    ),
    Operation(
        "metrics",
        "get",
        "/metrics",
        "health",
        "Numbers for Prometheus",
        {200: str, 401: None, 404: None},
        is_open=True,
        refusals=(),
        content="text/plain",
    ),
    Operation(
        "healthz", "get", "/healthz", "health", "Is this process alive", {200: Health},
        is_open=True, refusals=(),
    ),
    Operation(
        "readyz", "get", "/readyz", "health", "Can it do its work",
        {200: Readiness, 503: Readiness}, is_open=True, refusals=(),
    ),
)  # fmt: skip
