"""What the host's networks need for a clone's NICs: a bridge that is there, or on a libvirt network
an entry that gives the guest its address by DHCP."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import libvirt
from lxml import etree
from lxml.etree import _Element

from app.domain.errors import NetworkMissing
from app.domain.plan import ClonePlan, HostRef, NicPlan
from workers.hypervisors.kvm.connection import Connection
from workers.hypervisors.kvm.faults import is_gone


class Networks:
    def __init__(self, host: HostRef, connection: Connection) -> None:
        self._host = host
        self._connection = connection

    def fault_of(self, bridge: str | None, libvirt_network: str | None) -> str | None:
        """Why no NIC can be plugged in there, and what to do; None if one can."""
        if libvirt_network:
            with self._connection.opened("looking at a network") as libvirtd:
                network = _network(libvirtd, libvirt_network)
                if network is not None and network.isActive():
                    return None
            return (
                f"libvirt network {libvirt_network} does not run on host {self._host.name}; start "
                "it, or correct `libvirtNetwork` in the inventory"
            )
        if bridge and Path(f"/sys/class/net/{bridge}/bridge").is_dir():
            return None
        return (
            f"host {self._host.name} has no bridge {bridge or '(none is declared)'}; make it "
            "there, or correct `bridge` in the inventory"
        )

    def prepare(self, plan: ClonePlan) -> None:
        """Raises NetworkMissing."""
        for nic in plan.nics:
            fault = self.fault_of(nic.bridge, nic.libvirt_network)
            if fault is not None:
                raise NetworkMissing(f"l3Network[uuid:{nic.l3_network_uuid}]: {fault}")
            if nic.libvirt_network and nic.ip:
                self._set_address(nic, nic.libvirt_network, nic.ip)

    def forget(self, nics: Sequence[NicPlan]) -> None:
        for nic in nics:
            if nic.libvirt_network and nic.ip:
                self._set_address(nic, nic.libvirt_network, None)

    def _set_address(self, nic: NicPlan, name: str, ip: str | None) -> None:
        """What DHCP gives the NIC; None: nothing of its own. A network that runs has that twice,
        and libvirt may have been killed between the two."""
        with self._connection.opened(f"setting what DHCP gives {nic.mac}") as libvirtd:
            network = _network(libvirtd, name)
            if network is None:
                return
            for place, flags in _places(network):
                dhcp = etree.fromstring(network.XMLDesc(flags).encode()).find("ip/dhcp")
                if dhcp is not None:
                    _bring(network, place, dhcp, nic.mac, ip)


def _network(libvirtd: libvirt.virConnect, name: str) -> libvirt.virNetwork | None:
    try:
        return libvirtd.networkLookupByName(name)
    except libvirt.libvirtError as error:
        if is_gone(error):
            return None
        raise


def _places(network: libvirt.virNetwork) -> Iterator[tuple[int, int]]:
    """Which to update, and by which flags its XML is had. A network may be stopped, or forgotten
    once it is."""
    if network.isPersistent():
        yield libvirt.VIR_NETWORK_UPDATE_AFFECT_CONFIG, libvirt.VIR_NETWORK_XML_INACTIVE
    if network.isActive():
        yield libvirt.VIR_NETWORK_UPDATE_AFFECT_LIVE, 0


def _bring(
    network: libvirt.virNetwork, place: int, dhcp: _Element, mac: str, ip: str | None
) -> None:
    known = [host.get("ip", "") for host in dhcp.iterfind("host") if host.get("mac") == mac]
    for former in known:
        if former != ip:
            _update(network, libvirt.VIR_NETWORK_UPDATE_COMMAND_DELETE, place, mac, former)
    if ip is not None and ip not in known:
        _update(network, libvirt.VIR_NETWORK_UPDATE_COMMAND_ADD_LAST, place, mac, ip)


def _update(network: libvirt.virNetwork, command: int, place: int, mac: str, ip: str) -> None:
    host = etree.Element("host", {"mac": mac, "ip": ip})
    network.update(
        command,
        libvirt.VIR_NETWORK_SECTION_IP_DHCP_HOST,
        -1,
        etree.tostring(host, encoding="unicode"),
        place,
    )
