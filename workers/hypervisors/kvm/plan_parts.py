"""A clone's plan as the parts of its domain."""

import os
from collections.abc import Mapping, Sequence

from app.domain.plan import (
    BackingFile,
    CloneMethod,
    ClonePlan,
    NicPlan,
    SourceRef,
    SourceVolume,
    VolumeFormat,
    VolumePlan,
)
from workers.hypervisors.base import DomainTemplate
from workers.hypervisors.kvm.clone_parts import (
    CloneParts,
    DomainType,
    NicKind,
    NicPart,
    SeedPart,
    TpmState,
    VolumePart,
)
from workers.hypervisors.kvm.source_domain import SourceDomain, check_cloneable
from workers.storage import qcow2


def parts_of(
    plan: ClonePlan,
    template: DomainTemplate,
    source: SourceDomain,
    *,
    domain_type: DomainType,
    nvram_path: str | None,
) -> CloneParts:
    """`source` is the template's domain. Raises SourceNotCloneable for a TPM that could not be
    copied, where the plan asks for a copy."""
    return CloneParts(
        vm_uuid=plan.vm_uuid,
        title=plan.vm_name,
        job_uuid=plan.job_uuid,
        item_uuid=plan.item_uuid,
        domain_type=domain_type,
        vcpu=plan.cpu_num,
        memory=plan.memory_size,
        volumes=tuple(map(_volume, plan.volumes)),
        cdroms=_images(plan, template, source),
        seed=SeedPart(plan.seed_path, template.seed_target) if plan.seed_path else None,
        nics=tuple(_nic(nic, clean=plan.machine.clean_traffic) for nic in plan.nics),
        nvram_path=nvram_path,
        tpm=_tpm(plan, template, source),
        wish=plan.machine,
        description=plan.description,
    )


def rehearsed_parts(
    source: SourceRef, volumes: Sequence[SourceVolume], targets: Mapping[str, str]
) -> CloneParts:
    """Of a clone that nobody makes: what it could not have, and what it would lack, is known
    before anything is copied."""
    return CloneParts(
        vm_uuid=source.uuid,
        title=source.name,
        job_uuid="",
        item_uuid="",
        domain_type=DomainType.KVM,
        vcpu=source.cpu_num,
        memory=source.memory_size,
        volumes=tuple(VolumePart(v.uuid, targets[v.uuid], v.path, v.format) for v in volumes),
        tpm=TpmState.COPIED,
    )


def _volume(volume: VolumePlan) -> VolumePart:
    base = volume.base
    if base is None:
        return VolumePart(volume.uuid, None, volume.path, volume.format)
    assert base.source_target is not None  # the driver names it with every base
    below = BackingFile(base.path, base.format)
    return VolumePart(
        uuid=volume.uuid,
        source_target=base.source_target,
        path=volume.path,
        format=volume.format,
        backing=(below,) if _stands_on_base(volume) else (),
    )


def _stands_on_base(volume: VolumePlan) -> bool:
    if not volume.fallback or volume.format is not VolumeFormat.QCOW2:
        return volume.method is CloneMethod.LINKED
    # Where the storage could not do the planned method it took another. No guest has run on the
    # file yet, so its header is ours.
    descriptor = os.open(volume.path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return qcow2.read_header(descriptor, volume.path).backing_name is not None
    finally:
        os.close(descriptor)


def _images(
    plan: ClonePlan, template: DomainTemplate, source: SourceDomain
) -> tuple[str | None, ...]:
    """The drives' images, but for the one that tells the source who it is."""
    seeds = {disk.path for disk in source.disks if disk.target == template.seed_target}
    return tuple(c.iso_path for c in plan.cdroms if c.iso_path is None or c.iso_path not in seeds)


def _nic(nic: NicPlan, *, clean: bool) -> NicPart:
    return NicPart(
        mac=nic.mac,
        kind=NicKind.NETWORK if nic.libvirt_network else NicKind.BRIDGE,
        source=nic.libvirt_network or nic.bridge or "",
        tap=nic.internal_name,
        model=nic.model,
        link_up=nic.link_up,
        inbound=nic.inbound,
        outbound=nic.outbound,
        ips=nic.ips,
        queues=nic.queues,
        clean_traffic=clean,
    )


def _tpm(plan: ClonePlan, template: DomainTemplate, source: SourceDomain) -> TpmState:
    if source.tpm is None:
        return TpmState.NONE
    check_cloneable(source, reset_tpm=plan.reset_tpm)
    copied = template.tpm_state is not None and not plan.reset_tpm
    # Without a state the source never used it: an empty one is the same.
    return TpmState.COPIED if copied else TpmState.FRESH
