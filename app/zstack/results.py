"""The bodies of finished jobs, as they are stored and sent, and the `schema` beside them."""

from collections.abc import Sequence

import orjson

from app.domain.errors import ErrorCode
from app.domain.query import Record, Shape
from app.zstack.error_codes import error_code_body
from app.zstack.inventories import inventory, paths, shape_of
from app.zstack.resources.machines import VM_INSTANCE

VM_SHAPE: Shape = shape_of(VM_INSTANCE)  # what the store reads of a VM that is an entry
Entry = Record | ErrorCode

_RESULT = "org.zstack.header.vm.CloneVmInstanceResults"
_ENTRY = "org.zstack.header.vm.CloneVmInstanceInventory"
_ERROR = "org.zstack.header.errorcode.ErrorCode"


def clone_result(entries: Sequence[Entry]) -> bytes:
    """CloneVmInstanceResults with one entry per requested name, in request order."""
    inventories = [
        {"error": error_code_body(entry)}
        if isinstance(entry, ErrorCode)
        else {"inventory": inventory(VM_INSTANCE, entry)}
        for entry in entries
    ]
    cloned = sum("inventory" in entry for entry in inventories)
    return orjson.dumps(
        {"result": {"numberOfClonedVm": cloned, "inventories": inventories}, "success": True}
    )


def clone_schema(entries: Sequence[Entry]) -> bytes:
    schema = {"result": _RESULT}
    for number, entry in enumerate(entries):
        path = f"result.inventories[{number}]"
        schema[path] = _ENTRY
        if isinstance(entry, ErrorCode):
            schema |= _error_paths(f"{path}.error", entry)
        else:
            schema |= dict(paths(f"{path}.inventory", VM_INSTANCE, entry))
    return orjson.dumps(schema)


def _error_paths(path: str, error: ErrorCode) -> dict[str, str]:
    paths = {path: _ERROR}
    if error.cause is not None:
        paths |= _error_paths(f"{path}.cause", error.cause)
    return paths


def error_result(error: ErrorCode) -> bytes:
    """The body of a job that failed as a whole, sent with 503."""
    return orjson.dumps({"error": error_code_body(error)})


def empty_result() -> bytes:
    """Of a job that leaves nothing to show."""
    return orjson.dumps({"success": True})


def with_schema(body: bytes, schema: bytes) -> bytes:
    """A stored body, a non-empty JSON object, with its schema as the last member."""
    return body[:-1] + b',"schema":' + schema + b"}"
