"""The bodies of finished jobs, as they are stored and sent, and the `schema` beside them."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import orjson

from app.domain.errors import ErrorCode
from app.zstack.error_codes import error_code_body
from app.zstack.inventories import VmLike, vm_inventory

Entry = VmLike | ErrorCode

_RESULT = "org.zstack.header.vm.CloneVmInstanceResults"
_ENTRY = "org.zstack.header.vm.CloneVmInstanceInventory"
_ERROR = "org.zstack.header.errorcode.ErrorCode"
_VM = "org.zstack.header.vm.VmInstanceInventory"
_NIC = "org.zstack.header.vm.VmNicInventory"
_USED_IP = "org.zstack.header.network.l3.UsedIpInventory"
_VOLUME = "org.zstack.header.volume.VolumeInventory"
_CDROM = "org.zstack.header.vm.cdrom.VmCdRomInventory"


def clone_result(entries: Sequence[Entry]) -> bytes:
    """CloneVmInstanceResults with one entry per requested name, in request order."""
    inventories = [
        {"error": error_code_body(entry)}
        if isinstance(entry, ErrorCode)
        else {"inventory": vm_inventory(entry)}
        for entry in entries
    ]
    cloned = sum("inventory" in entry for entry in inventories)
    return orjson.dumps(
        {"result": {"numberOfClonedVm": cloned, "inventories": inventories}, "success": True}
    )


def clone_schema(entries: Sequence[Entry]) -> bytes:
    """Path to server class, parents before children, only for what is present: the Java SDK
    overwrites a child that precedes its parent and fails on an absent path."""
    schema = {"result": _RESULT}
    for number, entry in enumerate(entries):
        path = f"result.inventories[{number}]"
        schema[path] = _ENTRY
        if isinstance(entry, ErrorCode):
            schema |= _error_paths(f"{path}.error", entry)
        else:
            schema |= vm_paths(f"{path}.inventory", entry)
    return orjson.dumps(schema)


def query_schema(vms: Sequence[VmLike]) -> dict[str, str]:
    """The schema that every query reply carries."""
    schema: dict[str, str] = {}
    for number, vm in enumerate(vms):
        schema |= vm_paths(f"inventories[{number}]", vm)
    return schema


def vm_paths(path: str, vm: VmLike) -> dict[str, str]:
    return dict(_vm_paths(path, vm))


def _vm_paths(path: str, vm: VmLike) -> Iterator[tuple[str, str]]:
    yield path, _VM
    for number, nic in enumerate(vm.nics):
        yield f"{path}.vmNics[{number}]", _NIC
        for second, _ in enumerate(nic.used_ips):
            yield f"{path}.vmNics[{number}].usedIps[{second}]", _USED_IP
    for number, _ in enumerate(vm.volumes):
        yield f"{path}.allVolumes[{number}]", _VOLUME
    for number, _ in enumerate(vm.cdroms):
        yield f"{path}.vmCdRoms[{number}]", _CDROM


def _error_paths(path: str, error: ErrorCode) -> dict[str, str]:
    paths = {path: _ERROR}
    if error.cause is not None:
        paths |= _error_paths(f"{path}.cause", error.cause)
    return paths


def vm_result(vm: VmLike) -> bytes:
    """Of what was done with one VM."""
    return orjson.dumps({"inventory": vm_inventory(vm), "success": True})


def vm_schema(vm: VmLike) -> bytes:
    return orjson.dumps(vm_paths("inventory", vm))


def error_result(error: ErrorCode) -> bytes:
    """The body of a job that failed as a whole, sent with 503."""
    return orjson.dumps({"error": error_code_body(error)})


def empty_result() -> bytes:
    """Of a job that leaves nothing to show."""
    return orjson.dumps({"success": True})


def with_schema(body: bytes, schema: bytes) -> bytes:
    """A stored body, a non-empty JSON object, with its schema as the last member."""
    return body[:-1] + b',"schema":' + schema + b"}"


def query_body(
    inventories: Sequence[Mapping[str, Any]] | None, total: int | None, schema: Mapping[str, str]
) -> bytes:
    """`inventories` None: only the number was asked for."""
    body: dict[str, Any] = {} if inventories is None else {"inventories": inventories}
    if total is not None:
        body["total"] = total
    return orjson.dumps(body | {"schema": schema})
