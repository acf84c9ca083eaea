"""What our own surface shows, member by member: the views are built as these, and the OpenAPI
document describes them from these. What is unknown is null."""

from typing import Annotated, Any, Literal

from pydantic import Field
from typing_extensions import TypedDict

from app.domain.job_kind import JobKind
from app.domain.plan import CloneMethod, HypervisorType, StorageType
from app.domain.states import ItemState, JobOutcome, JobState, WaitReason
from app.domain.steps import StepName

Time = Annotated[str, Field(description="UTC", json_schema_extra={"format": "date-time"})]
Bytes = Annotated[int, Field(ge=0, description="bytes")]
Count = Annotated[int, Field(ge=0)]
Enabled = Literal["Enabled", "Disabled"]
Connection = Literal["Connecting", "Connected", "Disconnected"]


class ErrorView(TypedDict, total=False):
    """ZStack's ErrorCode, with what to do about it."""

    code: str
    description: str
    details: str
    elaboration: str
    location: str
    cost: str
    cause: dict[str, Any]
    opaque: dict[str, Any]
    advice: str


class Policy(TypedDict):
    onFailure: Literal["keep", "allOrNothing"]
    maxFailures: int | None


class SnapshotView(TypedDict):
    """What still holds the running source still."""

    since: Time | None
    error: ErrorView | None


class JobView(TypedDict):
    uuid: str
    kind: JobKind
    state: JobState
    outcome: JobOutcome | None
    vmInstanceUuid: str
    account: str | None
    total: Count
    waiting: Count
    running: Count
    succeeded: Count
    failed: Count
    canceled: Count
    bytesDone: Bytes
    bytesTotal: Annotated[
        Bytes | None, Field(description="known once every name has ended or been granted")
    ]
    rateBytesPerSecond: Annotated[int | None, Field(description="over the last seconds")]
    etaSeconds: float | None
    etaBasis: Annotated[
        Literal["names", "bytes"] | None, Field(description="what the ETA was told from")
    ]
    # Text to whoever writes it as JSON: an enum is no key there.
    waitReasons: Annotated[
        dict[str, int],
        Field(
            description="how many names wait for what",
            json_schema_extra={"propertyNames": {"enum": [*WaitReason]}},
        ),
    ]
    consistency: Annotated[str | None, Field(description="of the moment that the clones are of")]
    sourceSnapshot: SnapshotView | None
    priority: Annotated[int, Field(ge=0, le=9)]
    policy: Policy
    ignored: Annotated[list[str], Field(description="parameters without effect")]
    notes: list[str]
    createdAt: Time | None
    startedAt: Time | None
    finishedAt: Time | None
    deadlineAt: Time | None
    pausedAt: Time | None
    cancelRequestedAt: Annotated[
        Time | None, Field(description="once it was cancelled: what has not ended is taken back")
    ]
    error: ErrorView | None
    retryOf: str | None
    retriedAs: Annotated[
        str | None, Field(description="the last job that tried again what this one did not clone")
    ]


class StepView(TypedDict):
    name: StepName
    attempt: int
    worker: str
    startedAt: Time | None
    finishedAt: Time | None
    undoneAt: Time | None


class ItemView(TypedDict):
    uuid: str
    ordinal: Annotated[Count, Field(description="place in the request, from 0")]
    name: str
    state: ItemState
    step: Annotated[StepName | None, Field(description="running or last")]
    stepNumber: int | None
    stepCount: int | None
    vmUuid: str
    hostUuid: str | None
    hostName: str | None
    method: CloneMethod | None
    bytesDone: Bytes
    bytesTotal: Bytes | None
    rateBytesPerSecond: Annotated[
        int | None, Field(description="over the last seconds, while it is copied")
    ]
    waitReason: WaitReason | None
    attempts: Count
    identity: Annotated[str | None, Field(description="what its guest said of who it is")]
    startedAt: Time | None
    finishedAt: Time | None
    error: ErrorView | None
    steps: list[StepView]


class PlannedItem(TypedDict):
    ordinal: Count
    name: str
    hostUuid: str | None
    hostName: str | None
    ips: Annotated[list[str], Field(description="likely ones: drawn again at the grant")]
    method: CloneMethod | None
    bytesTotal: Bytes
    error: ErrorView | None


class PlanView(TypedDict):
    vmInstanceUuid: str
    total: Count
    bytesTotal: Bytes
    consistency: str | None
    items: list[PlannedItem]
    ignored: list[str]
    notes: list[str]
    error: Annotated[ErrorView | None, Field(description="why the whole request would be refused")]


JobsPage = TypedDict(
    "JobsPage",
    {
        "clone-jobs": list[JobView],
        "next": Annotated[str | None, Field(description="the following page's address")],
    },
)


class ItemsPage(TypedDict):
    items: list[ItemView]
    next: Annotated[int | None, Field(description="`after` of the following page")]


class HostView(TypedDict):
    uuid: str
    name: str
    cluster: str
    hypervisorType: HypervisorType
    state: Enabled
    status: Connection
    seenAt: Time | None
    cpuTotal: Annotated[Count, Field(description="as over-provisioned")]
    cpuUsed: Annotated[int, Field(description="by whomever")]
    memoryTotalBytes: Annotated[Bytes, Field(description="as over-provisioned")]
    memoryUsedBytes: Annotated[int, Field(description="by whomever")]
    slots: Annotated[Count | None, Field(description="clones under way at once; null: no limit")]
    slotsUsed: Count


class PrimaryStorageView(TypedDict):
    uuid: str
    name: str
    type: StorageType
    url: str
    state: Enabled
    status: Connection
    fault: Annotated[str | None, Field(description="why it cannot be used")]
    totalBytes: Bytes
    usedBytes: Annotated[Bytes | None, Field(description="what its file system holds")]
    reservedBytes: Annotated[int, Field(description="what volumes and bases were promised")]
    availableBytes: Annotated[Bytes, Field(description="what the next clone could be given")]
    fullCopies: Annotated[Count, Field(description="under way")]
    fullCopiesLimit: Annotated[Count | None, Field(description="null: no limit")]


class IpRangeView(TypedDict):
    uuid: str
    l3NetworkUuid: str
    l3Network: str
    startIp: str
    endIp: str
    total: Annotated[Count | None, Field(description="null for more than 2^53")]
    used: Count


class HostsView(TypedDict):
    hosts: list[HostView]


PrimaryStoragesView = TypedDict(
    "PrimaryStoragesView", {"primary-storages": list[PrimaryStorageView]}
)
IpRangesView = TypedDict("IpRangesView", {"ip-ranges": list[IpRangeView]})
