"""Domain values as JSON columns and back."""

from typing import Any

import orjson
from pydantic import TypeAdapter

from app.domain.errors import CloneError, ErrorCode
from app.domain.operation import OperationPlan
from app.domain.plan import ClonePlan
from app.domain.removal import RemovalPlan
from app.domain.spec import CloneSpec

_PLAN = TypeAdapter(ClonePlan)
_REMOVAL = TypeAdapter(RemovalPlan)
_OPERATION = TypeAdapter(OperationPlan)

Plan = ClonePlan | RemovalPlan | OperationPlan
_ERROR_CODE = TypeAdapter(ErrorCode)
_SPEC = TypeAdapter(CloneSpec)


def plan_to_json(plan: Plan) -> str:
    if isinstance(plan, OperationPlan):
        return _OPERATION.dump_json(plan).decode()
    if isinstance(plan, RemovalPlan):
        return _REMOVAL.dump_json(plan).decode()
    return _PLAN.dump_json(plan).decode()


def plan_from_json(value: Any) -> Plan:
    if "operation" in value:
        return _OPERATION.validate_python(value)
    return _REMOVAL.validate_python(value) if "expunges" in value else _PLAN.validate_python(value)


def error_to_json(error: CloneError | ErrorCode) -> dict[str, Any]:
    code = error.error_code if isinstance(error, CloneError) else error
    return _ERROR_CODE.dump_python(code, mode="json", exclude_none=True)  # type: ignore[no-any-return]


def error_from_json(value: Any) -> ErrorCode:
    return _ERROR_CODE.validate_python(value)


def spec_to_json(spec: CloneSpec) -> dict[str, Any]:
    return _SPEC.dump_python(spec, mode="json")  # type: ignore[no-any-return]


def spec_from_json(value: Any) -> CloneSpec:
    return _SPEC.validate_python(value)


def dumps(value: Any) -> str:
    """As a parameter that is cast to jsonb."""
    return orjson.dumps(value).decode()
