"""A source's domain as values: what the rest needs to know of it, and nothing that it could ask
libvirt for. Sizes are bytes, rates are bits a second.
"""

from dataclasses import dataclass

from app.domain.errors import SourceNotCloneable
from workers.hypervisors.kvm.element_walk import Finding, refuse


@dataclass(frozen=True, slots=True)
class BackingLayer:
    type: str  # file, block, network, …
    path: str | None  # None where the type has none
    format: str | None  # None where libvirt does not say


@dataclass(frozen=True, slots=True)
class SourceDisk:
    target: str  # the target dev, such as vda: unique in a domain
    bus: str | None
    device: str  # disk, cdrom, floppy or lun
    type: str  # file, block, network, volume, …
    path: str | None  # of a file or block device
    pool: str | None  # of type volume: libvirt's storage pool, and the volume in it
    volume: str | None
    format: str | None
    # Below it, nearest first, as libvirt declares it; None where it does not say.
    backing: tuple[BackingLayer, ...] | None
    readonly: bool
    shareable: bool
    transient: bool


@dataclass(frozen=True, slots=True)
class SourceNic:
    mac: str | None
    model: str | None
    type: str  # bridge, network, direct, user, …
    source: str | None  # the name of the bridge, network or device
    link_up: bool
    inbound: int | None
    outbound: int | None


@dataclass(frozen=True, slots=True)
class SourceTpm:
    backend: str  # emulator, passthrough, …
    model: str | None
    version: str | None
    persistent: bool  # its state outlives the domain's definition
    place: str | None  # where its state lies; None: where libvirt puts it


@dataclass(frozen=True, slots=True)
class OwnMetadata:
    """What vmclone wrote into a domain that it made."""

    vm_uuid: str
    item_uuid: str
    job_uuid: str


@dataclass(frozen=True, slots=True)
class SourceDomain:
    name: str | None
    uuid: str | None  # dashed
    running: bool
    type: str  # kvm or qemu
    arch: str
    machine: str | None
    vcpu: int  # at its start
    max_vcpu: int
    memory: int
    cpu_mode: str | None
    firmware: str | None  # efi or bios, where libvirt chooses the files
    loader: str | None
    nvram_path: str | None
    nvram_template: str | None
    tpm: SourceTpm | None
    has_genid: bool
    has_vsock: bool
    disks: tuple[SourceDisk, ...]
    nics: tuple[SourceNic, ...]
    own: OwnMetadata | None
    findings: tuple[Finding, ...]


def check_cloneable(source: SourceDomain, *, reset_tpm: bool = False) -> tuple[str, ...]:
    """What a clone will lack, one sentence each. Raises SourceNotCloneable for what it cannot."""
    refuse(source.findings)
    if source.tpm is not None and not reset_tpm:
        _check_tpm(source.running, source.tpm)
    return tuple(f"left out: {finding}" for finding in source.findings)


def _check_tpm(running: bool, tpm: SourceTpm) -> None:
    if running:
        raise SourceNotCloneable(
            "its domain runs and has <devices/tpm>: a TPM's state can be copied from a stopped "
            "domain only. Stop it, or ask for a fresh TPM with resetTpm"
        )
    if tpm.place is not None:
        raise SourceNotCloneable(
            f"its domain has <devices/tpm> with a state in {tpm.place}, and vmclone copies it from "
            "libvirt's own folder only. Move it there, or ask for a fresh TPM with resetTpm"
        )
