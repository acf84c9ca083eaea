"""VMs as the store gives them, without a store."""

from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import SimpleNamespace
from typing import Any

from app.zstack import inventories as inv

MOMENT = datetime(2024, 2, 1, 12, 0, 0, tzinfo=UTC)


def row(fields: Any, **values: Any) -> SimpleNamespace:
    """Every column of `fields`, None where nothing is given."""
    return SimpleNamespace(**dict.fromkeys(fields.values()) | values)


@dataclass
class Nic:
    row: Any
    used_ips: list[Any] = field(default_factory=list)


@dataclass
class Vm:
    row: Any
    nics: list[Nic] = field(default_factory=list)
    volumes: list[Any] = field(default_factory=list)
    cdroms: list[Any] = field(default_factory=list)


def vm(name: str = "a", *, ips: tuple[str, ...] = ("192.168.0.10",), volumes: int = 1) -> Vm:
    """With one NIC of these addresses, and one CD-ROM drive."""
    return Vm(
        row(inv.VM_FIELDS, uuid=f"vm-{name}", name=name, memory_size=1 << 30, created_at=MOMENT),
        nics=[
            Nic(
                row(inv.NIC_FIELDS, uuid="nic", mac="fa:00:00:00:00:00", device_id=0),
                [
                    row(inv.USED_IP_FIELDS, uuid=f"ip-{ip}", ip=ip, ip_version=4, ip_in_long=7)
                    for ip in ips
                ],
            )
        ],
        volumes=[row(inv.VOLUME_FIELDS, uuid=f"volume-{n}", device_id=n) for n in range(volumes)],
        cdroms=[row(inv.CDROM_FIELDS, uuid="cdrom", device_id=0)],
    )
