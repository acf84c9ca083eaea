"""`vmclone demo --hypervisor kvm`: the clones are guests that boot, and are asked who they are."""

import asyncio
import importlib
from pathlib import Path
from typing import Any

from rich.console import Console

from app.cli import demo_guests, demo_report
from app.cli.client import Client, find_server
from app.cli.demo import READY_TIMEOUT_S, Clone, clone_all, run_shown
from app.settings import Settings

JOB_TIMEOUT_S = 600.0  # some libvirtds need many seconds for each start
BOOT_TIMEOUT_S = 180.0  # without hardware virtualisation a cloud image takes minutes


def run_kvm_demo(settings: Settings, console: Console, place: Any, image: Any, log: Path) -> bool:
    """The same on this host's libvirt; `place` and `image` are of `workers.ops.demo.kvm`."""
    return run_shown(console, _demo(settings, console, place, image, log))


async def _demo(settings: Settings, console: Console, place: Any, image: Any, log: Path) -> bool:
    source_side = importlib.import_module("workers.ops.demo.kvm.source")
    content = importlib.import_module("workers.ops.demo.content")
    server = find_server(settings, environment={})
    async with Client(server) as client:
        await client.wait_until_ready(timeout_s=READY_TIMEOUT_S)
        await client.log_in()
        source = await asyncio.to_thread(source_side.prepare, settings, place, image)
        await asyncio.to_thread(
            content.wait_until_served, settings, log=log, timeout_s=READY_TIMEOUT_S
        )
        demo_report.show_kvm_source(console, source.file, place.bridge, place.subnet)
        found = await asyncio.to_thread(source_side.check, settings, place, source)
        demo_report.show_findings(console, found)
        before = await asyncio.to_thread(content.checksum, (source.file,))
        run = await clone_all(client, console, source.vm_uuid, timeout_s=JOB_TIMEOUT_S)

    clones = [
        Clone(item["name"], item, result.get("inventory"))
        for item, result in zip(run.items, run.results, strict=True)
    ]
    console.print("asking the guests who they are")
    booted = await demo_guests.ask_all(clones, timeout_s=BOOT_TIMEOUT_S)
    changed = before != await asyncio.to_thread(content.checksum, (source.file,))
    checks = demo_guests.judge(booted, source_changed=changed)
    demo_report.show_guests(console, booted)
    demo_report.show_checks(console, checks)
    demo_report.show_times(console, run.items, run.took_s)
    demo_report.show_addresses(console, server, settings, source.vm_uuid, run.job_uuid)
    demo_report.show_home(console, settings.home, booted)
    return all(check.broken is None for check in checks)
