"""VMs as the store gives them, without a store."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from app.domain.query import Record
from app.zstack.resources import Resource
from app.zstack.resources import machines as m

MOMENT = datetime(2024, 2, 1, 12, 0, 0, tzinfo=UTC)


def record(
    resource: Resource, lists: dict[str, list[Record]] | None = None, **values: Any
) -> Record:
    """Every column that the resource shows, None where nothing is given."""
    return Record(
        dict.fromkeys(resource.columns) | values,
        {name: (lists or {}).get(name, []) for name in resource.lists},
    )


def nic(ips: Sequence[str]) -> Record:
    used = [
        record(m.USED_IP, uuid=f"ip-{ip}", ip=ip, ip_version=4, ip_in_long=7, used_for="VmNic")
        for ip in ips
    ]
    first: dict[str, Any] = {}
    if ips:
        first = {"used_ip_uuid": f"ip-{ips[0]}", "ip": ips[0], "ip_version": 4}
    return record(
        m.VM_NIC, {"usedIps": used}, uuid="nic", mac="fa:00:00:00:00:00", device_id=0, **first
    )


def vm(name: str = "a", *, ips: tuple[str, ...] = ("192.168.0.10",), volumes: int = 1) -> Record:
    """With one NIC of these addresses, and one CD-ROM drive."""
    lists = {
        "vmNics": [nic(ips)],
        "allVolumes": [record(m.VOLUME, uuid=f"volume-{n}", device_id=n) for n in range(volumes)],
        "vmCdRoms": [record(m.VM_CD_ROM, uuid="cdrom", device_id=0)],
    }
    return record(
        m.VM_INSTANCE,
        lists,
        uuid=f"vm-{name}",
        name=name,
        memory_size=1 << 30,
        created_at=MOMENT,
    )
