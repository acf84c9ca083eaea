"""A running source that is on its way to another host, or there, while its snapshot stands."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from app.domain.errors import SourceVolumeBusy
from app.domain.plan import (
    BackingFile,
    HostRef,
    HypervisorType,
    StorageRef,
    StorageType,
    VolumeFormat,
)
from app.domain.snapshots import DiskLook, FrozenDisk

libvirt = pytest.importorskip("libvirt")
occupied = pytest.importorskip("workers.hypervisors.kvm.occupied")
snapshots = pytest.importorskip("workers.hypervisors.kvm.snapshots")

DOMAIN = "12345678-9abc-def0-1122-334455667788"
HOST = HostRef("a" * 32, "host-1", HypervisorType.KVM)


class Elsewhere:
    """A connection to a host that does not know the domain any more."""

    @contextmanager
    def opened(self, _doing: str) -> Iterator[Any]:
        yield self

    def lookupByUUIDString(self, _uuid: str) -> Any:  # noqa: N802 - libvirt's name
        error = libvirt.libvirtError("it is gone")
        error.err = (libvirt.VIR_ERR_NO_DOMAIN, libvirt.VIR_FROM_QEMU, "", 2, "", "", "", 0, 0)
        raise error


def disk(kind: StorageType) -> FrozenDisk:
    return FrozenDisk(
        target="vda",
        volume_uuid="b" * 32,
        storage=StorageRef("c" * 32, kind, "/ps"),
        overlay_uuid="d" * 32,
        overlay_path="/ps/work/overlay.qcow2",
        chain=(BackingFile("/images/a.qcow2", VolumeFormat.QCOW2),),
        allowance=1 << 20,
    )


def look(kind: StorageType) -> DiskLook:
    driver = snapshots.KvmSnapshots(HOST, Elsewhere())
    found: DiskLook = driver.look(DOMAIN, disk(kind), None, confirmed=True)
    return found


def test_what_another_host_may_be_writing_to_is_not_touched() -> None:
    with pytest.raises(SourceVolumeBusy) as raised:
        look(StorageType.SHARED_MOUNT_POINT)
    said = raised.value.details
    assert f"host host-1 does not know domain {DOMAIN} any more" in said
    assert "/ps/work/overlay.qcow2" in said
    assert "if it was migrated, bring it back" in said
    assert "virsh blockcommit --active --pivot vda" in said


def test_nobody_else_has_the_disks_of_this_host() -> None:
    assert not look(StorageType.LOCAL).running


class Migrating:
    def blockJobInfo(self, _target: str, _flags: int) -> dict[str, int]:  # noqa: N802
        return {}

    def jobInfo(self) -> list[int]:  # noqa: N802
        return [libvirt.VIR_DOMAIN_JOB_UNBOUNDED]

    def jobStats(self) -> dict[str, int]:  # noqa: N802
        operation = libvirt.VIR_DOMAIN_JOB_OPERATION_MIGRATION_OUT
        return {libvirt.VIR_DOMAIN_JOB_OPERATION: operation}


def test_one_that_is_being_migrated_waits_and_says_so() -> None:
    assert occupied.occupation(Migrating(), ["vda"]) == "it is being migrated to another host"
