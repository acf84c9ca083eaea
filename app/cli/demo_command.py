"""The command `vmclone demo`: which demo, and what is said around it."""

import importlib
import signal
from collections.abc import Callable
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from app.cli.starting import migrate_to_head, read_settings, ready_commands, say_stopping

if TYPE_CHECKING:
    from rich.console import Console

    from app.settings import Settings

_IMAGE_HELP = (
    "With kvm: the disk that is cloned, FILE.qcow2 or FILE.raw, instead of a tiny guest that is "
    "built. It must boot by BIOS from a virtio disk with 512 MiB, take its host name, network and "
    "commands from a NoCloud seed (a CD-ROM labelled cidata), and answer GET /id.json on port 80 "
    'with {"hostname": …, "machine_id": …, "nics": [{"mac": …, "ip": …}]}.'
)
_GUESTS_PORT = "80"


class DemoHypervisor(StrEnum):
    SIMULATOR = "simulator"
    KVM = "kvm"


def demo(
    hypervisor: Annotated[
        DemoHypervisor,
        typer.Option(
            help="simulator: real files and no guests, anywhere. kvm: guests that boot, on this "
            "libvirt host; as root.",
        ),
    ] = DemoHypervisor.SIMULATOR,
    image: Annotated[Path | None, typer.Option(metavar="FILE", help=_IMAGE_HELP)] = None,
    uri: Annotated[
        str, typer.Option("--uri", help="With kvm: this host's own libvirt, its system instance.")
    ] = "qemu:///system",
    once: Annotated[bool, typer.Option("--once", help="Stop after the table.")] = False,
) -> None:
    """Run everything on this machine, clone a source VM five times and check every clone."""
    from rich.console import Console

    from app.cli.terminal import children_speak_to

    if image is not None and hypervisor is not DemoHypervisor.KVM:
        raise typer.BadParameter("--image goes with --hypervisor kvm")
    settings = read_settings()
    if hypervisor is DemoHypervisor.KVM:
        importlib.import_module("workers.ops.demo.kvm.needs").check(settings, uri, image)
    log = settings.home / "log" / "demo.log"
    with children_speak_to(log) as terminal:
        # Without emoji: the MAC address fa:47:a2:ab:7c:00 has one in rich's eyes.
        console = Console(file=terminal, emoji=False, highlight=False)
        console.print(f"starting; what the servers say goes to {log}", soft_wrap=True)
        if hypervisor is DemoHypervisor.KVM:
            status = _run_on_kvm(settings, console, log, uri=uri, image=image, once=once)
        else:
            status = _run_simulated(settings, console, once=once)
    raise typer.Exit(status)


def _run_simulated(settings: "Settings", console: "Console", *, once: bool) -> int:
    from app.cli.demo import run_demo
    from app.embedded.stack import run_stack

    show = _Show(lambda: run_demo(settings, console), console, once=once)
    status = run_stack(
        settings,
        migrate=migrate_to_head,
        commands=ready_commands,
        alongside=show,
        stopping=say_stopping,
    )
    return status or show.status


def _run_on_kvm(
    settings: "Settings",
    console: "Console",
    log: Path,
    *,
    uri: str,
    image: Path | None,
    once: bool,
) -> int:
    """On a home of its own, which goes with the clones: the database must not know of VMs that are
    no more."""
    from app.cli.demo_kvm import run_kvm_demo
    from app.embedded.stack import run_stack
    from app.settings import Settings

    # As Ctrl-C does, it ends what is under way here; what was made is taken away all the same.
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    folder = settings.home / "kvm-demo"
    guest = _guest_image(console, folder / "guest", image)
    stack = Settings(home=folder / "home")
    place_side = importlib.import_module("workers.ops.demo.kvm.place")
    with place_side.demo_place(uri, stack.home) as place:
        show = _Show(lambda: run_kvm_demo(stack, console, place, guest, log), console, once=once)
        status = run_stack(
            stack,
            migrate=migrate_to_head,
            commands=ready_commands,
            alongside=show,
            stopping=say_stopping,
            environment={"VMCLONE_HOME": str(stack.home), "VMCLONE_IDENTITY_PORT": _GUESTS_PORT},
        )
        console.print("taking the clones, their disks and the bridge away")
    return status or show.status


def _guest_image(console: "Console", folder: Path, image: Path | None) -> Any:
    images = importlib.import_module("workers.ops.demo.kvm.image")
    if image is not None:
        return images.given(image)
    console.print(f"the guest is built once, and kept in {folder}", soft_wrap=True)
    return images.built(folder)


class _Show:
    """What runs beside the stack: the demo, which is then served or is its end."""

    def __init__(self, demo: Callable[[], bool], console: "Console", *, once: bool) -> None:
        self._demo = demo
        self._console = console
        self._once = once
        self._held = False

    @property
    def status(self) -> int:
        """0 where it came to its end and every check held."""
        return 0 if self._held else 1

    def __call__(self) -> int | None:
        self._held = self._demo()
        if self._once or not self._held:
            return self.status
        self._console.print("serving until Ctrl-C")
        return None
