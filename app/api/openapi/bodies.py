"""The bodies that our own surface takes and the small ones that it answers with, declared for the
OpenAPI document. What values may be is taken from where they are checked (app.domain)."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field
from typing_extensions import TypedDict

from app.domain.clone_job import DEFAULT_PRIORITY, ON_FAILURE, PRIORITIES
from app.domain.plan import CloneMethod, CloneStrategy
from app.domain.request import MAX_DESCRIPTION_LENGTH, MAX_NAME_LENGTH, MAX_NAMES

Uuid = Annotated[str, Field(pattern="^[0-9a-f]{32}$")]
# Not blank, and without control characters.
Name = Annotated[
    str,
    Field(
        min_length=1,
        max_length=MAX_NAME_LENGTH,
        pattern=r"^[^\u0000-\u001f\u007f-\u009f]*[^\s\u0000-\u001f\u007f-\u009f]"
        r"[^\u0000-\u001f\u007f-\u009f]*$",
    ),
]
Tags = Annotated[list[str] | None, Field(default=None)]


class CloneParameters(BaseModel):
    """ZStack's CloneVmInstance: the source's place is in the address."""

    names: Annotated[
        list[Name] | None,
        Field(
            default=None,
            min_length=1,
            max_length=MAX_NAMES,
            description="one clone for each, in this order",
        ),
    ]
    strategy: CloneStrategy = Field(
        CloneStrategy.INSTANT_START,
        description="InstantStart boots the clones, CreateStopped leaves them stopped, JustCreate "
        "makes records alone, whose first start does the rest",
    )
    full: bool = Field(False, description="data volumes are cloned, too")
    description: str | None = Field(None, max_length=MAX_DESCRIPTION_LENGTH)
    clusterUuid: str | None = Field(None, description="where clones may be placed")  # noqa: N815
    hostUuid: str | None = Field(None, description="the host of all clones")  # noqa: N815
    primaryStorageUuidForRootVolume: str | None = Field(  # noqa: N815
        None, description="otherwise where the source's is"
    )
    primaryStorageUuidForDataVolume: str | None = Field(  # noqa: N815
        None, description="otherwise where the source's are"
    )
    rootVolumeSystemTags: Tags  # noqa: N815
    dataVolumeSystemTags: Tags  # noqa: N815
    systemTags: Tags  # noqa: N815
    userTags: Tags  # noqa: N815
    vmNicParams: list[dict[str, Any]] | str | None = Field(  # noqa: N815
        None, description="NICs instead of the source's: a list, or a string of its JSON"
    )
    diskAOs: list[dict[str, Any]] | None = Field(  # noqa: N815
        None, description="the root disk's size and name, and further disks"
    )
    vmCustomSpecification: dict[str, Any] | None = Field(  # noqa: N815
        None, description="what the guests are told: hostname, rootPassword, …"
    )
    resetTpm: bool = Field(False, description="a TPM of the source is empty in clones")  # noqa: N815


class VolumeBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    uuid: Uuid
    include: bool | None = None
    mode: CloneMethod | None = None
    primaryStorageUuid: Uuid | None = None  # noqa: N815


class PolicyBody(BaseModel):
    model_config = ConfigDict(extra="forbid")

    onFailure: Literal[ON_FAILURE] = "keep"  # type: ignore[valid-type]  # noqa: N815
    maxFailures: int | None = Field(None, ge=0)  # noqa: N815


class CloneJobBody(CloneParameters):
    """ZStack's parameters flat, and what ZStack has not. Give `names` or `namePattern`."""

    model_config = ConfigDict(extra="forbid")

    vmInstanceUuid: str = Field(min_length=1, description="the VM to clone")  # noqa: N815
    mode: CloneMethod | None = Field(
        None, description="auto takes reflink where the storage can, else linked"
    )
    priority: int = Field(
        DEFAULT_PRIORITY,
        ge=PRIORITIES[0],
        le=PRIORITIES[-1],
        description="9 first; within an account",
    )
    policy: PolicyBody | None = None
    namePattern: str | None = Field(  # noqa: N815
        None, description="names with one range, whose zeros are kept: web-{001..100}"
    )
    volumes: list[VolumeBody] | None = Field(
        None, description="source volumes otherwise than the rest"
    )


class SignInBody(BaseModel):
    accountName: str  # noqa: N815
    password: str = Field(description="as it is typed")
    userName: str | None = Field(None, description="a user of the account")  # noqa: N815


class SessionView(TypedDict):
    account: str
    accountUuid: str
    isAdmin: bool
    csrfToken: Annotated[
        str, Field(description="X-CSRF-Token of requests with the cookie that change something")
    ]


class Problem(TypedDict, total=False):
    """RFC 9457, with the ErrorCode's code and what to do about it where there is one."""

    type: str
    title: str
    status: int
    detail: str
    code: str
    advice: str


class Health(TypedDict):
    status: str


class Readiness(TypedDict):
    status: str
    database: bool
    broker: bool
    worker: bool
