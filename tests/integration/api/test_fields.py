"""Results field by field: what the API page lists, what a clone keeps of its source, what is its
own, and what each strategy leaves out."""

import csv
import json
import re
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from app.store.session import Database
from tests.engine import Engine
from tests.factories import Inventory
from tests.integration.api.conftest import Api, submit

TABLE = Path(__file__).parents[2] / "data" / "clone_vm_instance_fields.csv"
# Documented, and without a value in any clone of vmclone's: null, so left out.
WITHOUT_A_VALUE = {
    "elaboration": "reserved, the page says null",
    "opaque": "reserved, the page says null",
    "volumeQos": "no limits are set by volume",
    "lastDetachDate": "a clone's volume was never detached",
    "lastVmInstanceUuid": "nor attached to another VM",
    "vmCdRoms[].description": "drives have none",
}
OTHERS = {  # not on the page, and on a real server's wire all the same
    "vmNics[].usedIpUuid": "String",
    "internalId": "Long",
    "reservedMemorySize": "Long",
}
# No leading zeros, ordinary spaces, no second comma.
DATE = re.compile(r"[A-Z][a-z]{2} [1-9]\d?, \d{4} ([1-9]|1[0-2]):[0-5]\d:[0-5]\d [AP]M")
FRESH = {
    *("uuid", "name", "createDate", "lastOpDate", "state", "hostUuid", "lastHostUuid"),
    *("rootVolumeUuid", "internalId", "vmNics", "allVolumes", "vmCdRoms"),
}
KEPT = {
    *("zoneUuid", "instanceOfferingUuid", "imageUuid", "cpuNum", "cpuSpeed", "memorySize"),
    *("platform", "architecture", "guestOsType", "type", "hypervisorType", "clusterUuid"),
    *("defaultL3NetworkUuid", "allocatorStrategy", "description", "reservedMemorySize"),
}


@pytest.fixture
def source(inventory: Inventory, database: Database) -> Inventory:
    """With a value in every column that a source can have one in."""
    changes = (
        "UPDATE vm_instances SET description = 'golden', image_uuid = repeat('1', 32), "
        "instance_offering_uuid = repeat('2', 32), guest_os_type = 'Debian 12', cpu_speed = 2000",
        "UPDATE volumes SET disk_offering_uuid = repeat('3', 32), "
        "root_image_uuid = repeat('1', 32)",
        "UPDATE vm_cdroms SET iso_uuid = repeat('4', 32), iso_install_path = '/isos/a.iso'",
    )
    with database.engine.begin() as connection:
        for change in changes:
            connection.execute(text(change))
    return inventory


async def result(
    api: Api, engine: Engine, source: Inventory, headers: dict[str, str], **parameters: Any
) -> dict[str, Any]:
    job = await submit(api, source.source, headers, **parameters)
    engine.start(job)
    answer = await api.get(f"/zstack/v1/api-jobs/{job}", headers={"X-JSON-Schema": "true"})
    found: dict[str, Any] = await answer.json()
    return found


def at(value: Any, path: str) -> Iterator[Any]:
    """All that lies there; nothing where it is absent."""
    first, _, rest = path.partition(".")
    many = first.endswith("[]")
    found = value.get(first.removesuffix("[]")) if isinstance(value, dict) else None
    if found is None:
        return
    for each in found if many and rest else [found]:
        yield from at(each, rest) if rest else [each]


def is_of(value: Any, kind: str) -> bool:
    match kind:
        case "String":
            return isinstance(value, str)
        case "boolean" | "Boolean":
            return isinstance(value, bool)
        case "int" | "Integer" | "long" | "Long":
            return type(value) is int
        case "Timestamp":
            return isinstance(value, str) and DATE.fullmatch(value) is not None
        case "List":
            return isinstance(value, list)
        case "byte[]":
            return len(value) in (4, 16) and all(
                type(byte) is int and -128 <= byte < 128 for byte in value
            )
    return isinstance(value, dict)


def documented() -> list[tuple[str, str]]:
    with TABLE.open() as file:
        return [(row["path"], row["type"]) for row in csv.DictReader(file)]


async def test_every_documented_field_is_there_with_its_type(
    api: Api, engine: Engine, source: Inventory, as_admin: dict[str, str]
) -> None:
    nic = {"l3NetworkUuid": source.l3_network, "mac": "fa:00:00:00:00:ff", "metaData": "m"}
    # The second name's MAC is the source's.
    done = await result(
        api, engine, source, as_admin, names=["a", "b"], full=True, vmNicParams=[nic]
    )
    refused = await result(api, engine, source, as_admin, names=[])
    wrapped = await result(
        api, engine, source, as_admin, names=["x"], vmNicParams=[nic | {"mac": "x"}]
    )
    assert done["result"]["numberOfClonedVm"] == 1
    table = documented()
    assert len(table) == 106
    prefix = "result.inventories[].inventory."
    table += [(prefix + path, kind) for path, kind in OTHERS.items()]
    missing = []
    for path, kind in table:
        found = [value for body in (done, refused, wrapped) for value in at(body, path)]
        for value in found:
            assert is_of(value, kind), (path, kind, value)
        if not found and path != "error.cause":
            missing.append(path)
    assert [path for path in missing if not path.endswith(tuple(WITHOUT_A_VALUE))] == []
    assert "null" not in json.dumps(done)


async def test_a_schema_names_every_object_after_what_it_is_in_and_nothing_else(
    api: Api, engine: Engine, source: Inventory, as_admin: dict[str, str]
) -> None:
    nic = {"l3NetworkUuid": source.l3_network, "mac": "fa:00:00:00:00:ff"}
    done = await result(
        api, engine, source, as_admin, names=["a", "b"], full=True, vmNicParams=[nic]
    )

    def objects(value: Any, path: str) -> Iterator[str]:
        if isinstance(value, dict):
            yield path
            for key, inner in value.items():
                yield from objects(inner, f"{path}.{key}")
        elif isinstance(value, list):
            for number, inner in enumerate(value):
                yield from objects(inner, f"{path}[{number}]")

    paths = list(done["schema"])
    assert sorted(paths) == sorted(objects(done["result"], "result"))
    for path in paths[1:]:
        parent = re.sub(r"\.[^.]+$", "", path)
        assert parent in paths[: paths.index(path)], path


async def test_a_clone_keeps_what_is_its_sources_and_has_the_rest_of_its_own(
    api: Api, engine: Engine, source: Inventory, as_admin: dict[str, str]
) -> None:
    done = await result(api, engine, source, as_admin, names=["a"], full=True)
    (entry,) = done["result"]["inventories"]
    clone = entry["inventory"]
    answer = await api.get(f"/zstack/v1/vm-instances/{source.source}", headers=as_admin)
    (golden,) = (await answer.json())["inventories"]
    assert {name for name in KEPT if clone[name] != golden[name]} == set()
    assert set(clone) == KEPT | FRESH
    assert clone["name"] == "a"
    assert clone["state"] == "Running"
    assert clone["hostUuid"] == clone["lastHostUuid"] == source.hosts[0]
    for name in ("uuid", "rootVolumeUuid", "internalId"):
        assert clone[name] != golden[name]
    created = datetime.strptime(clone["createDate"], "%b %d, %Y %I:%M:%S %p")
    assert created.year >= 2024
    for kind, kept, own in (
        (
            "vmNics",
            ("l3NetworkUuid", "driverType", "deviceId"),
            ("uuid", "mac", "ip", "usedIpUuid"),
        ),
        ("allVolumes", ("deviceId", "type", "rootImageUuid"), ("uuid", "name", "installPath")),
        ("vmCdRoms", ("deviceId", "isoUuid", "isoInstallPath"), ("uuid", "vmInstanceUuid")),
    ):
        assert len(clone[kind]) == len(golden[kind]) > 0
        for copied, first in zip(clone[kind], golden[kind], strict=True):
            assert [copied[name] for name in kept] == [first[name] for name in kept]
            assert all(copied[name] != first.get(name) for name in own)
            assert copied["vmInstanceUuid"] == clone["uuid"]
    (nic,) = clone["vmNics"]
    assert re.fullmatch(r"fa(:[0-9a-f]{2}){4}:00", nic["mac"])
    assert nic["internalName"] == f"vnic{clone['internalId']}.0"
    root, data = clone["allVolumes"]
    assert (root["name"], data["name"]) == ("ROOT-for-a", "DATA-for-a")
    assert root["description"] == f"Root volume for VM[uuid:{clone['uuid']}]"
    assert data["description"] == f"DataVolume-{clone['uuid']}"
    assert root["installPath"].endswith(f"/vol-{root['uuid']}/{root['uuid']}.{root['format']}")


@pytest.mark.parametrize(
    ("strategy", "state", "absent", "empty"),
    [
        ("InstantStart", "Running", set(), False),
        ("CreateStopped", "Stopped", {"hostUuid"}, False),
        (
            "JustCreate",
            "Created",
            {"hostUuid", "lastHostUuid", "clusterUuid", "rootVolumeUuid"},
            True,
        ),
    ],
)
async def test_each_strategy_has_its_end_and_its_fields(
    api: Api,
    engine: Engine,
    source: Inventory,
    as_admin: dict[str, str],
    strategy: str,
    state: str,
    absent: set[str],
    empty: bool,
) -> None:
    done = await result(api, engine, source, as_admin, names=["a"], strategy=strategy)
    (entry,) = done["result"]["inventories"]
    clone = entry["inventory"]
    assert clone["state"] == state
    assert set(clone) == (KEPT | FRESH) - absent
    for kind in ("vmNics", "allVolumes", "vmCdRoms"):
        assert (clone[kind] == []) is empty, kind


@pytest.mark.parametrize(
    "state", ["Running", "Stopped", "Paused", "Starting", "Destroyed", "Unknown"]
)
async def test_a_source_is_cloned_from_three_states(
    api: Api,
    engine: Engine,
    source: Inventory,
    as_admin: dict[str, str],
    database: Database,
    state: str,
) -> None:
    with database.engine.begin() as connection:
        connection.execute(
            text("UPDATE vm_instances SET state = CAST(:state AS vm_state)"), {"state": state}
        )
    done = await result(api, engine, source, as_admin, names=["a"], strategy="JustCreate")
    if state in {"Running", "Stopped", "Paused"}:
        assert done["result"]["numberOfClonedVm"] == 1
        return
    assert done["error"]["code"] == "SYS.1006"
    assert done["error"]["cause"]["code"] == "VM.1010"
    assert done["error"]["cause"]["details"] == (
        f"current vm instance state[{state}] doesn't allow to proceed "
        "message[APICloneVmInstanceMsg], allowed states are [Running, Stopped, Paused]"
    )
