"""What a request asks of its clones' machines by system tags, beside what the source's is."""

from dataclasses import dataclass
from enum import StrEnum


class BootMode(StrEnum):
    LEGACY = "Legacy"
    UEFI = "UEFI"


def uefi_need(architecture: str) -> str:
    """What a host has to run for it."""
    return f"UEFI firmware for {architecture}"


class BootDevice(StrEnum):
    """ZStack's names."""

    HARD_DISK = "HardDisk"
    CD_ROM = "CdRom"
    NETWORK = "Network"


class VmPriority(StrEnum):
    NORMAL = "Normal"
    HIGH = "High"


@dataclass(frozen=True, slots=True)
class MachineWish:
    """None and false: as the source."""

    boot_mode: BootMode | None = None
    boot_order: tuple[BootDevice, ...] = ()
    priority: VmPriority | None = None
    console_password: str | None = None
    clean_traffic: bool = False  # a guest sends from its own addresses only
    virtio: bool = False  # its disks, and its NICs unless they are asked for otherwise
    guest_agent: bool = False  # it has a channel for one
