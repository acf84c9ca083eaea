"""What the demo shows: its source, its clones, the checks and where to go on."""

import shlex
from collections.abc import Sequence
from datetime import datetime
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich import box
from rich.console import Console, RenderableType
from rich.filesize import decimal
from rich.table import Table
from rich.text import Text

from app.cli.client import Json, Server
from app.settings import Settings

if TYPE_CHECKING:
    from app.cli.demo import Check, Clone
    from app.cli.demo_guests import BootedClone

_HEADINGS = ("name", "vm uuid", "ip", "mac", "host", "method", "content")
_GUEST_HEADINGS = ("name", "vm uuid", "ip", "mac", "hostname", "machine-id", "method")
_TABLE_WIDTH = 140


def show_source(console: Console, files: Sequence[Path]) -> None:
    console.print("source VM golden, stopped, on demo-host")
    console.print("hypervisorType: Simulator (its volumes are real files, no guest is booted)")
    for file in files:
        _plain(console, f"  {file}, {decimal(file.stat().st_blocks * 512)} on disk")
    console.print()


def show_kvm_source(console: Console, file: Path, bridge: str, subnet: IPv4Network) -> None:
    console.print("source VM vmclone-demo-golden, stopped, on demo-host, which is this machine")
    _plain(console, f"hypervisorType: KVM (guests boot, on bridge {bridge}, {subnet})")
    _plain(console, f"  {file}, {decimal(file.stat().st_blocks * 512)} on disk")
    console.print()


def show_findings(console: Console, found: Sequence[Any]) -> None:
    """Of the doctor's, those that did not hold: the demo may work all the same."""
    for check in found:
        if not check.held:
            _plain(console, f"note: {check.what}: {check.text}")


def show_clones(console: Console, clones: Sequence["Clone"]) -> None:
    _show_table(console, _HEADINGS, [_row(clone) for clone in clones])
    _show_volumes(console, clones)


def show_guests(console: Console, booted: Sequence["BootedClone"]) -> None:
    _show_table(console, _GUEST_HEADINGS, [_guest_row(each) for each in booted])
    _show_volumes(console, [each.clone for each in booted])


def _show_table(
    console: Console, headings: Sequence[str], rows: Sequence[Sequence[RenderableType]]
) -> None:
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0))
    for heading in headings:
        table.add_column(heading, no_wrap=True)
    for row in rows:
        table.add_row(*row)
    # No column is cut: a log has room, and a narrow terminal wraps.
    usual, console.width = console.width, max(console.width, _TABLE_WIDTH)
    console.print(table)
    console.width = usual


def _show_volumes(console: Console, clones: Sequence["Clone"]) -> None:
    _plain(console, "root volumes")
    for clone in clones:
        if clone.vm:
            _plain(console, f"  {clone.name}  {_root_path(clone)}")
    console.print()


def show_checks(console: Console, checks: Sequence["Check"]) -> None:
    for check in checks:
        mark = "[green]ok    [/]" if check.broken is None else "[red]BROKEN[/]"
        console.print(f"{mark} {check.promise}")
        if check.broken is not None:
            _plain(console, f"       {check.broken}")
    console.print()


def show_times(console: Console, items: Sequence[Json], took_s: float) -> None:
    """How long everything took, and the part of it in which clones were made."""
    steps = [step for item in items for step in item["steps"]]
    begun = [datetime.fromisoformat(step["startedAt"]) for step in steps]
    ended = [datetime.fromisoformat(step["finishedAt"]) for step in steps]
    made_s = (max(ended) - min(begun)).total_seconds() if steps else 0.0
    _plain(console, f"{took_s:.1f} s from the request to the result, of them")
    _plain(console, f"{made_s:.2f} s from the first grant to the last clone's last step")
    console.print()


def show_addresses(
    console: Console, server: Server, settings: Settings, vm_uuid: str, job_uuid: str
) -> None:
    password = "in VMCLONE_ADMIN_PASSWORD" if settings.admin_password else server.password
    _plain(console, f"pages  {server.url}")
    _plain(console, f"API    {server.url}/zstack/v1 (ZStack's), {server.url}/api/v1 (our own)")
    _plain(console, f"login  {server.user}, password {password}")
    _plain(console, f"source {vm_uuid}")
    _plain(console, f"try    curl -s {server.url}/zstack/v1/api-jobs/{job_uuid}")


def show_home(console: Console, home: Path, booted: Sequence["BootedClone"]) -> None:
    """How to look at the guests and the installation while the demo serves."""
    answered = [each for each in booted if each.guest and each.guest.fault is None]
    if answered and answered[0].clone.vm:
        _plain(console, f"       curl -s http://{answered[0].clone.vm['vmNics'][0]['ip']}/id.json")
    _plain(console, "       virsh list --title")
    _plain(console, f"       VMCLONE_HOME={shlex.quote(str(home))} .venv/bin/vmclone doctor")


def _guest_row(booted: "BootedClone") -> list[RenderableType]:
    clone, guest = booted.clone, booted.guest
    if clone.vm is None or guest is None:
        return [clone.name, "", "", "", "", Text(clone.item["state"], style="red"), ""]
    nic, method = clone.vm["vmNics"][0], clone.item.get("method") or ""
    who: list[RenderableType] = [guest.hostname or "", guest.machine_id or ""]
    if guest.fault:
        who = ["", Text("no answer", style="red")]
    elif guest.nics:
        # As the guest has them.
        nic = next(
            ({"mac": mac, "ip": ip} for mac, ip in guest.nics if mac == nic["mac"]),
            {"mac": guest.nics[0][0], "ip": guest.nics[0][1]},
        )
    return [clone.name, clone.vm["uuid"], nic["ip"], nic["mac"], *who, method]


def _row(clone: "Clone") -> list[RenderableType]:
    if clone.vm is None:
        return [clone.name, "", "", "", "", "", Text(clone.item["state"], style="red")]
    nic = clone.vm["vmNics"][0]
    equal = clone.difference is None
    return [
        clone.name,
        clone.vm["uuid"],
        nic["ip"],
        nic["mac"],
        "demo-host",
        clone.item.get("method") or "",
        Text("equal" if equal else "DIFFERENT", style="green" if equal else "red"),
    ]


def _root_path(clone: "Clone") -> str:
    assert clone.vm is not None
    root_uuid = clone.vm["rootVolumeUuid"]
    volumes = clone.vm["allVolumes"]
    return next(str(v["installPath"]) for v in volumes if v["uuid"] == root_uuid)


def _plain(console: Console, line: str) -> None:
    """One line as it is, however long, so that it can be copied."""
    console.print(line, markup=False, highlight=False, soft_wrap=True)
