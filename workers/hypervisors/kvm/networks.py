"""What the host's networks need for a clone's NICs: a bridge that is there, or on a libvirt network
an entry that gives the guest its address by DHCP."""

from collections.abc import Sequence
from pathlib import Path

import libvirt
from lxml import etree

from app.domain.errors import NetworkMissing
from app.domain.plan import ClonePlan, HostRef, NicPlan
from workers.hypervisors.kvm.connection import SYSTEM_URI, Connection
from workers.hypervisors.kvm.faults import is_gone


def fault_of(bridge: str | None, libvirt_network: str | None, host: HostRef) -> str | None:
    """Why no NIC can be plugged in on this host, and what to do; None if one can."""
    if libvirt_network:
        with Connection(host.libvirt_uri or SYSTEM_URI).opened("looking at a network") as libvirtd:
            network = _network(libvirtd, libvirt_network)
            if network is not None and network.isActive():
                return None
        return (
            f"libvirt network {libvirt_network} does not run on host {host.name}; start it, or "
            "correct `libvirtNetwork` in the inventory"
        )
    if bridge and Path(f"/sys/class/net/{bridge}/bridge").is_dir():
        return None
    return (
        f"host {host.name} has no bridge {bridge or '(none is declared)'}; make it there, or "
        "correct `bridge` in the inventory"
    )


class Networks:
    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def prepare(self, plan: ClonePlan) -> None:
        """Raises NetworkMissing."""
        for nic in plan.nics:
            fault = fault_of(nic.bridge, nic.libvirt_network, plan.host)
            if fault is not None:
                raise NetworkMissing(f"l3Network[uuid:{nic.l3_network_uuid}]: {fault}")
            if nic.libvirt_network and nic.ip:
                self._add_address(nic)

    def forget(self, nics: Sequence[NicPlan]) -> None:
        for nic in nics:
            if nic.libvirt_network and nic.ip:
                self._remove_address(nic)

    def _add_address(self, nic: NicPlan) -> None:
        self._remove_address(nic)  # of an earlier run: added twice, libvirt refuses
        with self._connection.opened(f"giving {nic.mac} its address") as libvirtd:
            network = _network(libvirtd, str(nic.libvirt_network))
            if network is not None and _has_dhcp(network):
                _update(network, libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, nic)

    def _remove_address(self, nic: NicPlan) -> None:
        with self._connection.opened(f"taking back the address of {nic.mac}") as libvirtd:
            network = _network(libvirtd, str(nic.libvirt_network))
            if network is not None and nic.mac in network.XMLDesc():
                _update(network, libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE, nic)


def _network(libvirtd: libvirt.virConnect, name: str) -> libvirt.virNetwork | None:
    try:
        return libvirtd.networkLookupByName(name)
    except libvirt.libvirtError as error:
        if is_gone(error):
            return None
        raise


def _has_dhcp(network: libvirt.virNetwork) -> bool:
    return etree.fromstring(network.XMLDesc().encode()).find("ip/dhcp") is not None


def _update(network: libvirt.virNetwork, command: int, nic: NicPlan) -> None:
    host = etree.Element("host", {"mac": nic.mac, "ip": nic.ip or ""})
    network.update(
        command,
        libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST,
        -1,
        etree.tostring(host, encoding="unicode"),
        _now_and_later(network),
    )


def _now_and_later(network: libvirt.virNetwork) -> int:
    """A network may be stopped, or forgotten once it is."""
    live = libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE if network.isActive() else 0
    config = libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG if network.isPersistent() else 0
    return int(live | config)
