"""Every API message that vmclone answers: one table for every envelope.

REST (`PUT …/actions` picks by the body's key), the legacy RPC (by the message's class) and long
jobs (by its short class name) all find their message here, and with it the checks of its fields.
Who answers a message is said in `app.api`.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.job_kind import JobKind
from app.zstack.forms import BadRequest, check_types
from app.zstack.resources import QUERIES, Resource

_VM = "org.zstack.header.vm"
_IDENTITY = "org.zstack.header.identity"
_NODE = "org.zstack.header.managementnode"
_LONG_JOB = "org.zstack.header.longjob"


@dataclass(frozen=True, slots=True)
class Message:
    name: str  # without API and Msg
    package: str
    method: str
    path: str  # below /v1; {uuid} is bound to `key`
    key: str = "uuid"
    kind: JobKind | None = None  # of the job that it becomes; None: answered at once
    is_async: bool = False  # answered by a job, though not one of the engine's kinds
    booleans: tuple[str, ...] = ()
    integers: tuple[str, ...] = ()
    lists: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    timeout_s: int | None = 1800  # None: the settings' own

    @property
    def action(self) -> str:
        """The key of a REST body."""
        return self.name[0].lower() + self.name[1:]

    @property
    def short_class(self) -> str:
        return f"API{self.name}Msg"

    @property
    def request_class(self) -> str:
        return f"{self.package}.{self.short_class}"

    @property
    def answer_class(self) -> str:
        waits = self.kind is not None or self.is_async
        return f"{self.package}.API{self.name}{'Event' if waits else 'Reply'}"

    def check(self, parameters: Mapping[str, Any]) -> None:
        """ZStack's early checks. Raises BadRequest."""
        check_types(parameters, booleans=self.booleans, integers=self.integers, lists=self.lists)
        for field in self.texts:
            value = parameters.get(field)
            if isinstance(value, dict | list | bool):
                raise BadRequest(f"[{field}] field is expected a string, but was [{value!s:.100}].")


def _action(name: str, kind: JobKind, **fields: Any) -> Message:
    return Message(name, _VM, "PUT", "/vm-instances/{uuid}/actions", kind=kind, **fields)


CLONE = _action(
    "CloneVmInstance",
    JobKind.CLONE,
    key="vmInstanceUuid",
    booleans=("full", "resetTpm"),
    lists=(
        "names",
        "systemTags",
        "userTags",
        "rootVolumeSystemTags",
        "dataVolumeSystemTags",
        "diskAOs",
    ),
    timeout_s=None,
)
SUBMIT_LONG_JOB = Message(
    "SubmitLongJob", _LONG_JOB, "POST", "/longjobs", is_async=True, key="uuid"
)
_LONG_JOB_ACTIONS = "/longjobs/{uuid}/actions"

# In ZStack's order of preference where several share a path.
MESSAGES: tuple[Message, ...] = (
    CLONE,
    _action("StartVmInstance", JobKind.START, texts=("hostUuid", "clusterUuid")),
    _action("StopVmInstance", JobKind.STOP, booleans=("stopHA",), texts=("type",)),
    _action("RebootVmInstance", JobKind.REBOOT),
    _action("ExpungeVmInstance", JobKind.EXPUNGE),
    _action("RecoverVmInstance", JobKind.RECOVER),
    _action(
        "UpdateVmInstance",
        JobKind.UPDATE,
        integers=("cpuNum", "memorySize", "reservedMemorySize"),
        texts=("name", "description", "state"),
    ),
    Message(
        "DestroyVmInstance",
        _VM,
        "DELETE",
        "/vm-instances/{uuid}",
        kind=JobKind.DESTROY,
        texts=("deleteMode",),
    ),
    Message(
        "GetCandidateZonesClustersHostsForCreatingVm",
        _VM,
        "GET",
        "/vm-instances/candidate-destinations",
    ),
    Message(
        "GetVmStartingCandidateClustersHosts",
        _VM,
        "GET",
        "/vm-instances/{uuid}/starting-target-hosts",
    ),
    Message("LogInByAccount", _IDENTITY, "PUT", "/accounts/login"),
    Message("LogInByUser", _IDENTITY, "PUT", "/accounts/users/login"),
    Message("LogOut", _IDENTITY, "DELETE", "/accounts/sessions/{uuid}", key="sessionUuid"),
    Message(
        "ValidateSession", _IDENTITY, "GET", "/accounts/sessions/{uuid}/valid", key="sessionUuid"
    ),
    Message(
        "RenewSession",
        _IDENTITY,
        "PUT",
        "/accounts/sessions/{uuid}/renew",
        key="sessionUuid",
        is_async=True,
    ),
    Message("CreateAccount", _IDENTITY, "POST", "/accounts", is_async=True),
    Message("UpdateAccount", _IDENTITY, "PUT", "/accounts/{uuid}", is_async=True),
    Message("DeleteAccount", _IDENTITY, "DELETE", "/accounts/{uuid}", is_async=True),
    Message("CreateUser", _IDENTITY, "POST", "/accounts/users", is_async=True),
    Message("UpdateUser", _IDENTITY, "PUT", "/accounts/users/actions", is_async=True),
    Message("DeleteUser", _IDENTITY, "DELETE", "/accounts/users/{uuid}", is_async=True),
    Message("ShareResource", _IDENTITY, "PUT", "/accounts/resources/actions", is_async=True),
    Message(
        "RevokeResourceSharing", _IDENTITY, "PUT", "/accounts/resources/actions", is_async=True
    ),
    Message("UpdateQuota", _IDENTITY, "PUT", "/accounts/quotas/actions", is_async=True),
    Message("GetAccountQuotaUsage", _IDENTITY, "GET", "/accounts/quota/{uuid}/usages"),
    Message("GetVersion", _NODE, "PUT", "/management-nodes/actions"),
    Message("GetCurrentTime", _NODE, "PUT", "/management-nodes/actions"),
    Message("GetSupportAPIs", _NODE, "PUT", "/management-nodes/actions"),
    Message("QueryManagementNode", _NODE, "GET", "/management-nodes"),
    Message("IsReadyToGo", "org.zstack.header.apimediator", "GET", "/management-nodes/ready"),
    Message(
        "GetCpuMemoryCapacity",
        "org.zstack.header.allocator",
        "GET",
        "/hosts/capacities/cpu-memory",
    ),
    Message(
        "GetTaskProgress",
        "org.zstack.header.core.progress",
        "GET",
        "/task-progresses/{uuid}",
        key="apiId",
    ),
    SUBMIT_LONG_JOB,
    Message("CancelLongJob", _LONG_JOB, "PUT", _LONG_JOB_ACTIONS, is_async=True),
    Message("RerunLongJob", _LONG_JOB, "PUT", _LONG_JOB_ACTIONS, is_async=True),
    Message("ResumeLongJob", _LONG_JOB, "PUT", _LONG_JOB_ACTIONS, is_async=True),
    Message("CleanLongJob", _LONG_JOB, "PUT", _LONG_JOB_ACTIONS, is_async=True),
)
BY_CLASS: Mapping[str, Message] = {message.request_class: message for message in MESSAGES}
BY_SHORT_CLASS: Mapping[str, Message] = {message.short_class: message for message in MESSAGES}


def messages_of(method: str, path: str) -> list[Message]:
    """Those that share a path, in the order in which a body picks one."""
    return [m for m in MESSAGES if (m.method, m.path) == (method, path)]


def paths() -> Iterator[tuple[str, str]]:
    """(method, path) of each message once; those without a variable first, as they are matched."""
    found = dict.fromkeys((message.method, message.path) for message in MESSAGES)
    yield from sorted(found, key=lambda pair: "{uuid}" in pair[1])


def of_kind(kind: JobKind) -> Message:
    return next(m for m in MESSAGES if m.kind is kind)


def query_classes() -> Iterator[tuple[str, Resource]]:
    """The class of each query message: it stands beside its inventory's."""
    for api, resource in QUERIES.items():
        yield f"{resource.java.rpartition('.')[0]}.API{api}Msg", resource
