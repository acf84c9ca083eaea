"""Writes the NICs of adopted VM instances: each has one MAC and one address, kept for good."""

import random
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv4Address
from uuid import uuid4

from sqlalchemy import Connection, delete, insert, select
from sqlmodel import col

from app.domain.addressing import (
    AddressRange,
    first_available,
    mint_mac,
    random_free,
    tap_name,
    to_number,
    to_text,
)
from app.domain.errors import AddressUnavailable
from app.store.inventory.rows import Conflict, Row, replace
from app.store.inventory.values import DeclaredNic, DeclaredVm, Kind, Network, subnet
from app.store.models import IpAllocator, UsedIp, VmInstance, VmNic

_RNG = random.SystemRandom()


def write_nics(connection: Connection, vms: Sequence[DeclaredVm]) -> list[Conflict]:
    nics = [(vm, nic) for vm in vms for nic in vm.nics]
    conflicts = _taken_macs(connection, vms)
    if conflicts:
        return conflicts
    internal_ids = _internal_ids(connection, vms)
    macs = _macs(connection, [nic for _, nic in nics])
    replace(
        connection,
        VmNic,
        [
            {
                "uuid": nic.uuid,
                "vm_instance_uuid": vm.uuid,
                "l3_network_uuid": nic.network.uuid,
                "mac": macs[nic.uuid],
                "internal_name": tap_name(internal_ids[vm.uuid], nic.device_id),
                "device_id": nic.device_id,
                "driver_type": nic.driver_type,
            }
            for vm, nic in nics
        ],
        owner="vm_instance_uuid",
        owners=[vm.uuid for vm in vms],
    )
    return _write_addresses(connection, nics)


def _internal_ids(connection: Connection, vms: Sequence[DeclaredVm]) -> dict[str, int]:
    rows = connection.execute(
        select(col(VmInstance.uuid), col(VmInstance.internal_id)).where(
            col(VmInstance.uuid).in_([vm.uuid for vm in vms])
        )
    )
    return {row.uuid: row.internal_id for row in rows}


def _taken_macs(connection: Connection, vms: Sequence[DeclaredVm]) -> list[Conflict]:
    declared = {nic.mac: (vm, nic) for vm in vms for nic in vm.nics if nic.mac}
    rows = connection.execute(
        select(col(VmNic.uuid), col(VmNic.mac), col(VmInstance.name))
        .join(VmInstance, col(VmInstance.uuid) == col(VmNic.vm_instance_uuid))
        .where(col(VmNic.mac).in_(declared))
    )
    return [
        Conflict(Kind.VM, declared[mac][0].name, f"the MAC {mac} is in use by VM '{owner}'")
        for uuid, mac, owner in rows
        if uuid != declared[mac][1].uuid
    ]


def _macs(connection: Connection, nics: Sequence[DeclaredNic]) -> dict[str, str]:
    """The declared MACs, those that NICs have already, and new ones."""
    macs = {
        row.uuid: row.mac
        for row in connection.execute(
            select(col(VmNic.uuid), col(VmNic.mac)).where(
                col(VmNic.uuid).in_([nic.uuid for nic in nics])
            )
        )
    }
    macs |= {nic.uuid: nic.mac for nic in nics if nic.mac}
    for nic in nics:
        if nic.uuid not in macs:
            macs[nic.uuid] = _free_mac(connection, nic.device_id, set(macs.values()))
    return macs


def _free_mac(connection: Connection, device_id: int, taken: set[str]) -> str:
    while True:
        mac = mint_mac(device_id, _RNG)
        used = connection.scalar(select(col(VmNic.uuid)).where(col(VmNic.mac) == mac))
        if used is None and mac not in taken:
            return mac


def _write_addresses(
    connection: Connection, nics: Sequence[tuple[DeclaredVm, DeclaredNic]]
) -> list[Conflict]:
    """Each NIC has one address: the declared one, the one it had, or a free one."""
    kept = _kept_addresses(connection, nics)
    connection.execute(
        delete(UsedIp).where(
            col(UsedIp.vm_nic_uuid).in_([nic.uuid for _, nic in nics]),
            col(UsedIp.uuid).not_in(list(kept.values())),
        )
    )
    missing = [(vm, nic) for vm, nic in nics if nic.uuid not in kept]
    pools = _pools(connection, {nic.network.uuid: nic.network for _, nic in missing})
    rows, conflicts = [], []
    # The declared ones first, so that no free pick takes one of them.
    for vm, nic in sorted(missing, key=lambda pair: pair[1].ip is None):
        try:
            address_range, number = pools[nic.network.uuid].take(nic)
        except AddressUnavailable as exc:
            conflicts.append(Conflict(Kind.VM, vm.name, exc.details))
        else:
            rows.append(_address_row(nic, address_range, number))
    if rows and not conflicts:
        connection.execute(insert(UsedIp), rows)
    return conflicts


def _kept_addresses(
    connection: Connection, nics: Sequence[tuple[DeclaredVm, DeclaredNic]]
) -> dict[str, str]:
    """NIC uuid -> uuid of the address row that stays."""
    declared = {nic.uuid: nic for _, nic in nics}
    rows = connection.execute(
        select(
            col(UsedIp.uuid),
            col(UsedIp.vm_nic_uuid),
            col(UsedIp.l3_network_uuid),
            col(UsedIp.ip_in_long),
        ).where(col(UsedIp.vm_nic_uuid).in_(declared))
    )
    kept = {}
    for row in rows:
        nic = declared[row.vm_nic_uuid]
        if row.l3_network_uuid == nic.network.uuid and (
            row.ip_in_long == nic.ip
            if nic.ip is not None
            else any(row.ip_in_long in r for r in nic.network.ranges4)
        ):
            kept[nic.uuid] = row.uuid
    return kept


@dataclass(frozen=True, slots=True)
class _Pool:
    """A network with the addresses that nobody else may have."""

    network: Network
    taken: set[int]

    def take(self, nic: DeclaredNic) -> tuple[AddressRange | None, int]:
        """Raises AddressUnavailable. A declared address may lie beside the ranges that clones
        use."""
        if nic.ip is None:
            return self._pick()
        if nic.ip in self.taken:
            raise AddressUnavailable(
                f"the address {to_text(nic.ip)} of network '{self.network.name}' is in use already"
            )
        self.taken.add(nic.ip)
        return next((r for r in self.network.ranges4 if nic.ip in r), None), nic.ip

    def _pick(self) -> tuple[AddressRange, int]:
        for address_range in self.network.ranges4:
            free = (
                first_available(address_range, self.taken)
                if self.network.ip_allocator is IpAllocator.FIRST_AVAILABLE
                else random_free(address_range, self.taken, _RNG)
            )
            for number in free:
                self.taken.add(number)
                return address_range, number
        raise AddressUnavailable(
            f"no ip is available in network '{self.network.name}'; widen its ranges or name an ip"
        )


def _pools(connection: Connection, networks: dict[str, Network]) -> dict[str, _Pool]:
    pools = {
        network.uuid: _Pool(network, {to_number(r.gateway) for r in network.ranges4 if r.gateway})
        for network in networks.values()
    }
    for row in connection.execute(
        select(col(UsedIp.l3_network_uuid), col(UsedIp.ip_in_long)).where(
            col(UsedIp.l3_network_uuid).in_(networks)
        )
    ):
        pools[row.l3_network_uuid].taken.add(row.ip_in_long)
    return pools


def _address_row(nic: DeclaredNic, address_range: AddressRange | None, number: int) -> Row:
    around = address_range or next(
        r for r in nic.network.ranges4 if IPv4Address(number) in subnet(r)
    )
    return {
        "uuid": uuid4().hex,
        "ip_range_uuid": address_range.uuid if address_range else None,
        "l3_network_uuid": nic.network.uuid,
        "vm_nic_uuid": nic.uuid,
        "ip_version": 4,
        "ip": to_text(number),
        "ip_in_long": number,
        "netmask": around.netmask,
        "gateway": around.gateway,
    }
