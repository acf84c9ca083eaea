"""Bodies of finished jobs, and the schema that the Java SDK walks in order."""

import re
from typing import Any

import orjson

from app.domain.errors import OperationFailed, QuotaExceeded, VmStateNotAllowed
from app.zstack.results import (
    clone_result,
    clone_schema,
    error_result,
    with_schema,
)
from tests.unit.app.zstack.rows import vm

FAILED = OperationFailed("outer", cause=VmStateNotAllowed("inner")).error_code
ENTRIES = (vm("a"), FAILED, vm("b", ips=("10.0.0.2", "10.0.0.3"), volumes=2), vm("c", ips=()))


def value_at(body: Any, path: str) -> Any:
    """As the SDK goes there: members by name, elements by index. Raises where it is absent."""
    for name in re.findall(r"[^.\[\]]+", path):
        body = body[int(name)] if isinstance(body, list) else body[name]
    return body


def parent(path: str) -> str:
    return path.rpartition(".")[0]


def test_entries_are_in_request_order_and_successes_counted() -> None:
    body = orjson.loads(clone_result(ENTRIES))
    assert body["success"] is True
    assert body["result"]["numberOfClonedVm"] == 3
    first, second, third, fourth = body["result"]["inventories"]
    assert [entry["inventory"]["name"] for entry in (first, third, fourth)] == ["a", "b", "c"]
    assert second == {
        "error": {
            "code": "SYS.1006",
            "description": "An operation failed",
            "details": "outer",
            "cause": {
                "code": "VM.1010",
                "description": "VM is not in state that allows required operation",
                "details": "inner",
            },
        }
    }


def test_nothing_cloned_is_still_a_success_of_the_job() -> None:
    body = orjson.loads(clone_result([FAILED]))
    assert (body["success"], body["result"]["numberOfClonedVm"]) == (True, 0)


def test_every_path_of_the_schema_is_present_in_the_result() -> None:
    body = orjson.loads(clone_result(ENTRIES))
    for path in orjson.loads(clone_schema(ENTRIES)):
        assert value_at(body, path) is not None, path


def test_every_object_of_the_result_is_in_the_schema() -> None:
    schema = orjson.loads(clone_schema(ENTRIES))
    assert {
        re.sub(r"\d+", "n", path): name.rpartition(".")[2] for path, name in schema.items()
    } == {
        "result": "CloneVmInstanceResults",
        "result.inventories[n]": "CloneVmInstanceInventory",
        "result.inventories[n].inventory": "VmInstanceInventory",
        "result.inventories[n].inventory.vmNics[n]": "VmNicInventory",
        "result.inventories[n].inventory.vmNics[n].usedIps[n]": "UsedIpInventory",
        "result.inventories[n].inventory.allVolumes[n]": "VolumeInventory",
        "result.inventories[n].inventory.vmCdRoms[n]": "VmCdRomInventory",
        "result.inventories[n].error": "ErrorCode",
        "result.inventories[n].error.cause": "ErrorCode",
    }
    assert "result.inventories[2].inventory.vmNics[0].usedIps[1]" in schema
    assert "result.inventories[3].inventory.vmNics[0].usedIps[0]" not in schema


def test_parents_come_before_their_children() -> None:
    paths = list(orjson.loads(clone_schema(ENTRIES)))
    assert paths[0] == "result"
    for number, path in enumerate(paths):
        assert not parent(path) or parent(path) in paths[:number], path


def test_a_failed_job_has_an_error_and_nothing_else() -> None:
    error = QuotaExceeded("too much", limit=5).error_code
    assert orjson.loads(error_result(error)) == {
        "error": {
            "code": "ID.1003",
            "description": "The user exceeds a quota of a resource",
            "details": "too much",
            "opaque": {"limit": 5},
        }
    }


def test_the_schema_is_added_to_a_stored_body_as_it_is() -> None:
    assert with_schema(b'{"result":{}}', b'{"result":"C"}') == (
        b'{"result":{},"schema":{"result":"C"}}'
    )
