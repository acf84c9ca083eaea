"""What else is under way on a domain, in words for who waits for it."""

from collections.abc import Iterable

import libvirt

_BLOCK_JOBS = {
    libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_PULL: "a block pull",
    libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_COPY: "a block copy",
    libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_COMMIT: "a block commit",
    libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_ACTIVE_COMMIT: "a block commit",
    libvirt.VIR_DOMAIN_BLOCK_JOB_TYPE_BACKUP: "a backup",
}
_DOMAIN_JOBS = {
    libvirt.VIR_DOMAIN_JOB_OPERATION_SAVE: "it is being saved",
    libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_IN: "it is being migrated to this host",
    libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT: "it is being migrated to another host",
    libvirt.VIR_DOMAIN_JOB_OPERATION_SNAPSHOT: "a snapshot of it is being taken",
    libvirt.VIR_DOMAIN_JOB_OPERATION_DUMP: "its memory is being dumped",
    libvirt.VIR_DOMAIN_JOB_OPERATION_BACKUP: "it is being backed up",
}


def occupation(domain: libvirt.virDomain, targets: Iterable[str]) -> str | None:
    """None where nothing is in the way of a snapshot of these disks."""
    for target in targets:
        job = domain.blockJobInfo(target, 0)
        if job:
            return f"{_BLOCK_JOBS.get(job['type'], 'a block job')} is under way on disk {target}"
    if domain.jobInfo()[0] == libvirt.VIR_DOMAIN_JOB_NONE:
        return None
    operation = domain.jobStats().get(libvirt.VIR_DOMAIN_JOB_OPERATION)
    return _DOMAIN_JOBS.get(operation, "another operation on it is under way")
