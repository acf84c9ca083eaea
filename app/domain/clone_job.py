"""A clone job as our own surface takes it: ZStack's parameters flat, and what ZStack has not."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from app.domain.errors import InvalidArgument
from app.domain.plan import CloneMethod
from app.domain.request import MAX_NAMES, parse_clone_request

ZSTACK_FIELDS = (
    "names",
    "strategy",
    "full",
    "description",
    "clusterUuid",
    "hostUuid",
    "primaryStorageUuidForRootVolume",
    "primaryStorageUuidForDataVolume",
    "rootVolumeSystemTags",
    "dataVolumeSystemTags",
    "systemTags",
    "userTags",
    "vmNicParams",
    "diskAOs",
    "vmCustomSpecification",
    "resetTpm",
)
OWN_FIELDS = ("vmInstanceUuid", "mode", "priority", "policy", "namePattern", "volumes")
PRIORITIES = range(10)
DEFAULT_PRIORITY = 5
ON_FAILURE = ("keep", "allOrNothing")

_RANGE = re.compile(r"\{(\d{1,18})\.\.(\d{1,18})\}")


@dataclass(frozen=True, slots=True)
class CloneJobForm:
    vm_instance_uuid: str
    parameters: dict[str, Any]  # as `parse_clone_request` reads them, names included
    priority: int
    policy: dict[str, Any] | None  # {"onFailure", "maxFailures"}; None: the default


def parse_clone_job(body: Mapping[str, Any]) -> CloneJobForm:
    """Raises InvalidArgument that names the field: all that can be said without the inventory."""
    unknown = sorted(set(body) - {*ZSTACK_FIELDS, *OWN_FIELDS})
    if unknown:
        raise InvalidArgument(
            f"unknown field[{unknown[0]}]; a clone job has: "
            f"{', '.join([*OWN_FIELDS, *ZSTACK_FIELDS])}"
        )
    vm_uuid = body.get("vmInstanceUuid")
    if not isinstance(vm_uuid, str) or not vm_uuid.strip() or "\x00" in vm_uuid:
        raise InvalidArgument("field[vmInstanceUuid] must be the uuid of the VM to clone")
    form = CloneJobForm(
        vm_instance_uuid=vm_uuid.strip(),
        parameters=_parameters(body, vm_uuid.strip()),
        priority=_priority(body.get("priority")),
        policy=_policy(body.get("policy")),
    )
    parse_clone_request(form.parameters)
    return form


def expand(pattern: str) -> list[str]:
    """`web-{001..100}` as its names, with the zeros of the first number. Raises InvalidArgument."""
    ranges = _RANGE.findall(pattern)
    if len(ranges) != 1:
        raise InvalidArgument(
            f"field[namePattern] [{pattern[:100]}] must hold one range, as in web-{{001..100}}"
        )
    first, last = ranges[0]
    number = int(last) - int(first) + 1
    if not 0 < number <= MAX_NAMES:
        raise InvalidArgument(
            f"field[namePattern] [{pattern[:100]}] stands for {max(0, number)} names, between 1 "
            f"and {MAX_NAMES} are possible"
        )
    before, after = _RANGE.split(pattern)[0], _RANGE.split(pattern)[-1]
    width = len(first)
    return [f"{before}{n:0{width}d}{after}" for n in range(int(first), int(last) + 1)]


def _parameters(body: Mapping[str, Any], vm_uuid: str) -> dict[str, Any]:
    parameters = {field: body[field] for field in ZSTACK_FIELDS if field in body}
    pattern = body.get("namePattern")
    if pattern is not None:
        if body.get("names") is not None:
            raise InvalidArgument("give either field[names] or field[namePattern], not both")
        if not isinstance(pattern, str):
            raise InvalidArgument("field[namePattern] must be a string")
        parameters["names"] = expand(pattern)
    mode = body.get("mode")
    if mode is not None:
        tags = parameters.get("systemTags")
        parameters["systemTags"] = [
            *(tags if isinstance(tags, list) else []),
            f"cloneMode::{_mode(mode, 'mode')}",
        ]
    if body.get("volumes") is not None:
        parameters["volumes"] = body["volumes"]
    return parameters | {"vmInstanceUuid": vm_uuid}


def _mode(given: Any, field: str) -> CloneMethod:
    try:
        return CloneMethod(given)
    except ValueError:
        raise InvalidArgument(f"field[{field}] is one of {', '.join(CloneMethod)}") from None


def _priority(given: Any) -> int:
    if given is None:
        return DEFAULT_PRIORITY
    if isinstance(given, bool) or not isinstance(given, int) or given not in PRIORITIES:
        raise InvalidArgument("field[priority] is a number from 0, last, to 9, first")
    return given


def _policy(given: Any) -> dict[str, Any] | None:
    if given is None:
        return None
    if not isinstance(given, dict) or set(given) - {"onFailure", "maxFailures"}:
        raise InvalidArgument("field[policy] has the members onFailure and maxFailures")
    on_failure = given.get("onFailure") or "keep"
    if on_failure not in ON_FAILURE:
        raise InvalidArgument(f"field[policy.onFailure] is one of {', '.join(ON_FAILURE)}")
    most = given.get("maxFailures")
    if most is not None and (isinstance(most, bool) or not isinstance(most, int) or most < 0):
        raise InvalidArgument("field[policy.maxFailures] is a number of names, 0 or more")
    if on_failure == "keep" and most is None:
        return None
    return {"onFailure": on_failure, "maxFailures": most}
