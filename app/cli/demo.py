"""`vmclone demo`: the whole way once, with real files, and every promise looked at afterwards."""

import asyncio
import importlib
import logging
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from rich.console import Console

from app.cli import demo_report
from app.cli.client import ApiError, Client, Json, find_server
from app.cli.progress import follow
from app.domain.errors import CloneError
from app.settings import Settings

log = logging.getLogger(__name__)

NAMES = [f"demo-{number}" for number in range(1, 6)]
READY_TIMEOUT_S = 60.0
JOB_TIMEOUT_S = 120.0


@dataclass(frozen=True, slots=True)
class Clone:
    """One name with what the API says of it and what its volumes really read as."""

    name: str
    item: Json
    vm: Json | None  # VmInstanceInventory; None where the name failed
    difference: str | None  # from the source's content


@dataclass(frozen=True, slots=True)
class Check:
    promise: str
    broken: str | None  # how; None where it held


def run_demo(settings: Settings, console: Console) -> bool:
    """Clone the demo's source VM five times through the public API and show what came out. True
    if every check held; what kept it from running is shown, too."""
    try:
        return asyncio.run(_demo(settings, console))
    except (ApiError, CloneError) as exc:
        console.print(f"the demo could not run: {exc}", style="red", markup=False)
    except Exception as exc:
        # A defect of ours: the log has its traceback, and the terminal hears of it.
        log.exception("the demo failed")
        console.print(f"the demo failed: {exc!r}", style="red", markup=False)
    return False


async def _demo(settings: Settings, console: Console) -> bool:
    # What touches images lives with the workers, which this side never imports.
    source_side = importlib.import_module("workers.ops.demo.source")
    content = importlib.import_module("workers.ops.demo.content")
    server = find_server(settings, environment={})
    async with Client(server) as client:
        await client.wait_until_ready(timeout_s=READY_TIMEOUT_S)
        await client.log_in()
        source = await asyncio.to_thread(source_side.prepare, settings)
        await asyncio.to_thread(content.wait_until_served, settings, timeout_s=READY_TIMEOUT_S)
        demo_report.show_source(console, source.files)
        before = content.checksum(source.files)
        began_s = time.monotonic()
        job_uuid = await client.clone(source.vm_uuid, {"names": NAMES, "full": True})
        await follow(client, job_uuid, console, timeout_s=JOB_TIMEOUT_S)
        took_s = time.monotonic() - began_s
        items, results = await client.items(job_uuid), await client.result(job_uuid)

    made = [item["vmUuid"] for item in items if item["state"] == "Succeeded"]
    differences = await asyncio.to_thread(content.differences, settings, source.vm_uuid, made)
    clones = [
        Clone(item["name"], item, result.get("inventory"), differences.get(item["vmUuid"]))
        for item, result in zip(items, results, strict=True)
    ]
    checks = judge(clones, source_changed=before != content.checksum(source.files))
    demo_report.show_clones(console, clones)
    demo_report.show_checks(console, checks)
    demo_report.show_times(console, items, took_s)
    demo_report.show_addresses(console, server, settings, source.vm_uuid, job_uuid)
    return all(check.broken is None for check in checks)


def judge(clones: Sequence[Clone], *, source_changed: bool) -> list[Check]:
    vms = [clone.vm for clone in clones if clone.vm]
    nics = [nic for vm in vms for nic in vm["vmNics"]]
    volumes = [volume for vm in vms for volume in vm["allVolumes"]]
    uuids = [each["uuid"] for each in (*vms, *nics, *volumes)]
    differences = "; ".join(f"{c.name}: {c.difference}" for c in clones if c.difference)
    return [
        Check("every name became a VM", _failures(clones)),
        Check("every clone reads as its source, byte for byte", differences or None),
        Check("no uuid is used twice", _repeated(uuids)),
        Check("no MAC is used twice", _repeated(nic["mac"] for nic in nics)),
        Check("no address is used twice", _repeated(nic["ip"] for nic in nics)),
        Check("no volume file is used twice", _repeated(v["installPath"] for v in volumes)),
        Check("the source is unchanged", "its checksum differs" if source_changed else None),
    ]


def _failures(clones: Sequence[Clone]) -> str | None:
    failed = [
        f"{clone.name}: {(clone.item.get('error') or {}).get('details') or clone.item['state']}"
        for clone in clones
        if clone.vm is None
    ]
    return "; ".join(failed) or (None if clones else "there is no clone")


def _repeated(values: Iterable[str]) -> str | None:
    repeated = [value for value, count in Counter(values).items() if count > 1]
    return f"used again: {', '.join(repeated)}" if repeated else None
