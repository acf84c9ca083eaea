"""`vmclone demo`: the whole way once, with real files, and every promise looked at afterwards."""

import asyncio
import importlib
import logging
import time
from collections import Counter
from collections.abc import Coroutine, Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from rich.console import Console

from app.cli import demo_report
from app.cli.client import Client, Json, find_server
from app.cli.failures import ApiError
from app.cli.progress import view
from app.cli.watching import show_until_end
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
    difference: str | None = None  # from the source's content


@dataclass(frozen=True, slots=True)
class Check:
    promise: str
    broken: str | None  # how; None where it held


@dataclass(frozen=True, slots=True)
class Run:
    """A finished clone job; items and results are in the order of the names."""

    job_uuid: str
    items: Sequence[Json]
    results: Sequence[Json]
    took_s: float  # from the request on


def run_demo(settings: Settings, console: Console) -> bool:
    """Clone the demo's source VM five times through the public API and show what came out. True
    if every check held; what kept it from running is shown, too."""
    return run_shown(console, _demo(settings, console))


def run_shown(console: Console, demo: Coroutine[Any, Any, bool]) -> bool:
    """What it answers; False, and shown, where it raises."""
    try:
        return asyncio.run(demo)
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
        await asyncio.to_thread(
            content.wait_until_served,
            settings,
            log=settings.home / "log",
            timeout_s=READY_TIMEOUT_S,
        )
        demo_report.show_source(console, source.files)
        before = content.checksum(source.files)
        run = await clone_all(client, console, source.vm_uuid, timeout_s=JOB_TIMEOUT_S)

    made = [item["vmUuid"] for item in run.items if item["state"] == "Succeeded"]
    differences = await asyncio.to_thread(content.differences, settings, source.vm_uuid, made)
    clones = [
        Clone(item["name"], item, result.get("inventory"), differences.get(item["vmUuid"]))
        for item, result in zip(run.items, run.results, strict=True)
    ]
    checks = judge(clones, source_changed=before != content.checksum(source.files))
    demo_report.show_clones(console, clones)
    demo_report.show_checks(console, checks)
    demo_report.show_times(console, run.items, run.took_s)
    demo_report.show_addresses(console, server, settings, source.vm_uuid, run.job_uuid)
    return all(check.broken is None for check in checks)


async def clone_all(client: Client, console: Console, vm_uuid: str, *, timeout_s: float) -> Run:
    """Raises ApiError."""
    began_s = time.monotonic()
    job_uuid = await client.clone(vm_uuid, {"names": NAMES, "full": True})
    display = view(console)
    try:
        async with asyncio.timeout(timeout_s):
            await show_until_end(client, job_uuid, display, display.say)
    except TimeoutError:
        raise ApiError(f"clone job {job_uuid} has not ended after {timeout_s} s") from None
    took_s = time.monotonic() - began_s
    return Run(job_uuid, await client.items(job_uuid), await client.result(job_uuid), took_s)


def judge(clones: Sequence[Clone], *, source_changed: bool) -> list[Check]:
    differences = "; ".join(f"{c.name}: {c.difference}" for c in clones if c.difference)
    return [
        Check("every name became a VM", failures(clones)),
        Check("every clone reads as its source, byte for byte", differences or None),
        *uniqueness(clones),
        source_check(changed=source_changed),
    ]


def uniqueness(clones: Sequence[Clone]) -> list[Check]:
    vms = [clone.vm for clone in clones if clone.vm]
    nics = [nic for vm in vms for nic in vm["vmNics"]]
    volumes = [volume for vm in vms for volume in vm["allVolumes"]]
    uuids = [each["uuid"] for each in (*vms, *nics, *volumes)]
    return [
        Check("no uuid is used twice", repeated(uuids)),
        Check("no MAC is used twice", repeated(nic["mac"] for nic in nics)),
        Check("no address is used twice", repeated(nic["ip"] for nic in nics)),
        Check("no volume file is used twice", repeated(v["installPath"] for v in volumes)),
    ]


def source_check(*, changed: bool) -> Check:
    return Check("the source is unchanged", "its checksum differs" if changed else None)


def failures(clones: Sequence[Clone]) -> str | None:
    failed = [
        f"{clone.name}: {(clone.item.get('error') or {}).get('details') or clone.item['state']}"
        for clone in clones
        if clone.vm is None
    ]
    return "; ".join(failed) or (None if clones else "there is no clone")


def repeated(values: Iterable[str]) -> str | None:
    again = [value for value, count in Counter(values).items() if count > 1]
    return f"used again: {', '.join(again)}" if again else None
