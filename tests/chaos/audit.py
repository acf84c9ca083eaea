"""After the faults: what was promised, held against files, rows and answers."""

import fcntl
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from app.domain.plan import CloneStrategy, SourceVolume
from app.store.session import Database
from app.store.source_volumes import source_volumes
from tests.chaos.arena import Arena, Place
from tests.chaos.client import Answer, Api, Request
from workers.ops.doctor.findings import Finding
from workers.ops.doctor.orphans import OrphanAudit
from workers.storage.reader import open_image
from workers.this_machine import machine_id

SETTLE_S = 15.0  # an unused base goes a little later than the job that ended with it
CANCELED = "SYS.1017"
CHUNK = 1 << 20

# A name whose undo failed counts as failed from then on, also where it was cancelled.
STRANDED = "(i.state = 'Canceled' AND COALESCE(i.error->'opaque'->>'undo', '') <> '')"
# Each finds nothing.
WRONG = {
    "MAC twice": "SELECT mac FROM vm_nics GROUP BY mac HAVING count(*) > 1",
    "address twice": "SELECT ip FROM used_ips GROUP BY l3_network_uuid, ip HAVING count(*) > 1",
    "path twice": "SELECT install_path FROM (SELECT install_path FROM volumes "
    "UNION ALL SELECT install_path FROM bases) p GROUP BY install_path HAVING count(*) > 1",
    "counters": "SELECT c.job_uuid FROM job_counters c LEFT JOIN items i "
    "ON i.job_uuid = c.job_uuid GROUP BY c.job_uuid HAVING "
    "c.total <> count(*) OR c.succeeded <> count(*) FILTER (WHERE i.state = 'Succeeded') "
    f"OR c.failed <> count(*) FILTER (WHERE i.state = 'Failed' OR {STRANDED}) "
    f"OR c.canceled <> count(*) FILTER (WHERE i.state = 'Canceled' AND NOT {STRANDED})",
    "reservation without holder": "SELECT holder_uuid FROM reservations WHERE holder_uuid NOT IN "
    "(SELECT uuid FROM vm_instances UNION SELECT uuid FROM volumes UNION SELECT uuid FROM bases)",
    "VM of no success": "SELECT vm_uuid FROM items JOIN vm_instances v ON v.uuid = vm_uuid "
    "WHERE items.state <> 'Succeeded'",
    "success without VM": "SELECT vm_uuid FROM items LEFT JOIN vm_instances v ON v.uuid = vm_uuid "
    "WHERE items.state = 'Succeeded' AND v.uuid IS NULL",
    "volume not ready": "SELECT uuid FROM volumes WHERE status <> 'Ready'",
    "two results of steps": "SELECT item_uuid FROM steps JOIN items ON uuid = item_uuid "
    "WHERE state = 'Succeeded' AND undone_at IS NOT NULL",
}


KNOWN = """
SELECT install_path FROM volumes WHERE primary_storage_uuid = :storage AND origin = 'cloned'
UNION ALL
SELECT install_path FROM bases WHERE primary_storage_uuid = :storage
"""
ADDS_UP = {
    f"{kind} reserved": f"SELECT {resource}, {total} AS total, {available} AS available, r.held "
    f"FROM {table} LEFT JOIN (SELECT resource_uuid, sum(amount) AS held FROM reservations "
    f"WHERE kind = '{kind}' GROUP BY resource_uuid) r ON r.resource_uuid = {resource} "
    f"WHERE {available} <> {total} - COALESCE(r.held, 0)"
    for kind, table, resource, total, available in (
        ("Cpu", "host_capacities", "host_uuid", "total_cpu", "available_cpu"),
        ("Memory", "host_capacities", "host_uuid", "total_memory", "available_memory"),
        (
            "Storage",
            "storage_capacities",
            "primary_storage_uuid",
            "total_bytes",
            "available_bytes",
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a caller read at the end of its request."""

    request: Request
    final: Answer
    cancelled: bool


def findings_after(
    arena: Arena, api: Api, outcomes: list[Outcome], allowed: frozenset[str]
) -> list[str]:
    """Everything that is not as promised, a line each; `allowed` are error codes that the faults
    explain."""
    database = Database(arena.ledger.url)
    try:
        findings = _settled(arena, database)
        with database.single() as connection:
            for what, query in WRONG.items():
                rows = connection.execute(text(query)).scalars().all()
                findings += [f"{what}: {', '.join(map(str, rows))}"] if rows else []
            findings += _simulated(arena, connection)
            for outcome in outcomes:
                findings += _answer(api, outcome, connection, allowed)
                findings += _content(arena.place(outcome.request.place), outcome, connection)
    finally:
        database.close()
    findings += [
        f"source files of {place.name} changed"
        for place in arena.places
        if place.checksums() != arena.checksums[place.name]
    ]
    return findings + list(_held_locks(arena))


def _settled(arena: Arena, database: Database) -> list[str]:
    """Files, bases and reservations, as soon as they are right or the time for it is over."""
    until_s = time.monotonic() + SETTLE_S
    while True:
        arena.keep()
        findings: list[str] = []
        with database.single() as connection:
            for place in arena.places:
                findings += _files(place, connection)
            for what, query in ADDS_UP.items():
                rows = connection.execute(text(query)).all()
                findings += [f"{what}: {rows}"] if rows else []
        findings += [finding.line() for finding in _doctor(arena, database)]
        if not findings or time.monotonic() > until_s:
            return findings
        time.sleep(0.3)


def _doctor(arena: Arena, database: Database) -> list[Finding]:
    """What `vmclone doctor --orphans` prints; it has to see what the queries here see."""
    return OrphanAudit(database, arena.stack.settings, machine_id(), repair=False).run()


def _files(place: Place, connection: Connection) -> Iterator[str]:
    """The files of the storage are those that rows name; part files are nobody's."""
    known = set(connection.execute(text(KNOWN), {"storage": place.uuid}).scalars())
    found = {
        str(f) for f in place.root.rglob("*") if f.is_file() and not f.name.startswith(".vmclone")
    }
    if known != found:
        yield f"files at {place.name}: extra {found - known}, missing {known - found}"


def _simulated(arena: Arena, connection: Connection) -> Iterator[str]:
    """The simulated host has exactly the clones' domains and NICs."""
    clones = "origin = 'cloned' AND state IN ('Running', 'Stopped')"
    for folder, query in {
        "defined": f"SELECT uuid FROM vm_instances WHERE {clones}",
        "running": "SELECT uuid FROM vm_instances WHERE origin = 'cloned' AND state = 'Running'",
        "nics": "SELECT uuid FROM vm_nics WHERE vm_instance_uuid IN "
        f"(SELECT uuid FROM vm_instances WHERE {clones})",
    }.items():
        known = set(connection.execute(text(query)).scalars())
        found = {f.name for f in (arena.home / "simulator").glob(f"*/{folder}/*")}
        if known != found:
            yield f"host's {folder}: extra {found - known}, missing {known - found}"


def _answer(
    api: Api, outcome: Outcome, connection: Connection, allowed: frozenset[str]
) -> Iterator[str]:
    request = outcome.request
    again = api.answer("GET", f"/zstack/v1/api-jobs/{request.uuid}")
    if again != outcome.final:
        yield f"job {request.uuid}: its answer changed from {outcome.final} to {again}"
    allowed |= {CANCELED} if outcome.cancelled else set()
    if outcome.final.status == 503:
        code = outcome.final.json().get("error", {})
        if not _codes(code) & allowed:
            yield f"job {request.uuid} failed: {code}"
        return
    result = outcome.final.json()["result"]
    entries = result["inventories"]
    if len(entries) != len(request.names):
        yield f"job {request.uuid}: {len(entries)} entries for {len(request.names)} names"
        return
    standing = [e["inventory"]["uuid"] for e in entries if "inventory" in e]
    if result["numberOfClonedVm"] != len(standing) or len(set(standing)) != len(standing):
        yield f"job {request.uuid}: {result['numberOfClonedVm']} clones, entries {standing}"
    rows = connection.execute(
        text("SELECT name, state::text, vm_uuid FROM items WHERE job_uuid = :job ORDER BY ordinal"),
        {"job": request.uuid},
    ).all()
    for name, entry, row in zip(request.names, entries, rows, strict=True):
        if "error" in entry and not _codes(entry["error"]) & allowed:
            yield f"job {request.uuid}, {name} failed: {entry['error']}"
        said = entry.get("inventory")
        if row.name != name or ("inventory" in entry) != (row.state == "Succeeded"):
            yield f"job {request.uuid}, {name}: the answer does not go with item {row}"
        if said and (said["name"], said["uuid"]) != (name, row.vm_uuid):
            yield f"job {request.uuid}, {name}: answered {said['name']} {said['uuid']}"


def _codes(error: dict[str, Any]) -> set[str]:
    codes = {str(error.get("code"))}
    return codes | (_codes(error["cause"]) if error.get("cause") else set())


def _content(place: Place, outcome: Outcome, connection: Connection) -> Iterator[str]:
    """Every clone reads as its source does."""
    if outcome.final.status != 200:
        return
    parameters = outcome.request.parameters
    if parameters["strategy"] == CloneStrategy.JUST_CREATE:
        return
    full = bool(parameters["full"])
    expected = _contents(source_volumes(connection, place.vm_uuid, with_data_volumes=full))
    for entry in outcome.final.json()["result"]["inventories"]:
        if "inventory" in entry:
            uuid = entry["inventory"]["uuid"]
            volumes = source_volumes(connection, uuid, with_data_volumes=True)
            if _contents(volumes) != expected:
                yield f"vm {uuid}: its volumes {[v.path for v in volumes]} are not the source's"


def _contents(volumes: list[SourceVolume]) -> list[bytes]:
    return [_read(volume) for volume in volumes]


def _read(volume: SourceVolume) -> bytes:
    with open_image(volume.path, volume.format, volume.backing) as image:
        size = image.virtual_size
        return b"".join(
            image.read(offset, min(CHUNK, size - offset)) for offset in range(0, size, CHUNK)
        )


def _held_locks(arena: Arena) -> Iterator[str]:
    for file in (arena.home / "locks").glob("*.lock"):
        with suppress(FileNotFoundError), file.open("rb") as stream:
            try:
                fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                yield f"lock {file.name} is held: {file.read_text().strip()}"
