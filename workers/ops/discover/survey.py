"""What was seen of a host and what the inventory has become one document."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from app.domain.addressing import to_number
from app.store.inventory.known import AdoptedVm, Known
from app.store.inventory.values import Host, Network, Storage
from workers.hypervisors.kvm.host_view import DomainView, HostView
from workers.hypervisors.kvm.source_domain import SourceNic
from workers.ops.discover import document
from workers.ops.discover.machines import Claimed, FoundVm, address_of, mac_of, read_vm
from workers.ops.discover.networks import Wire, Wires, network_of, wires_of
from workers.ops.discover.places import host_of, storages_of
from workers.ops.inventory import scalars
from workers.ops.inventory.document import Problems, compose_text
from workers.ops.inventory.files import size_of
from workers.ops.inventory.reader import read
from workers.ops.inventory.shelves import open_shelves


@dataclass(frozen=True, slots=True)
class Discovered:
    sections: dict[str, list[dict[str, Any]]]
    notes: tuple[str, ...]  # what is not in it, and why; one sentence each

    @property
    def text(self) -> str:
        return document.text_of(self.sections, self.notes)


def survey(
    view: HostView, known: Known, adopted: Sequence[AdoptedVm], host_name: str | None
) -> Discovered:
    """What it declares, `apply` takes. Of the places that the inventory has, nothing is changed.

    Raises InvalidArgument where `host_name`, or its own, is another host's in the inventory."""
    host = host_of(view, host_name or view.name, known.inventory)
    return _Survey(view, host, known, adopted, wires_of(view)).run()


@dataclass(slots=True)
class _Survey:
    view: HostView
    host: Host
    known: Known
    adopted: Sequence[AdoptedVm]
    wires: Wires
    notes: list[str] = field(default_factory=list)
    claimed: Claimed = field(default_factory=Claimed)

    def run(self) -> Discovered:
        vms = list(self._vms())
        networks = self._networks()
        paths = [volume.path for vm in vms for volume in vm.volumes]
        storages = storages_of(paths, self.view.pools, self.host, self.known.inventory)
        entries = [self._entry(vm, networks, storages) for vm in vms]
        return self._held_against_the_checks(
            {
                "zones": [document.zone_entry(self.host.cluster.zone)],
                "clusters": [document.cluster_entry(self.host.cluster)],
                "hosts": [document.host_entry(self.host)],
                "primaryStorage": [
                    document.storage_entry(storage)
                    for _, storage in sorted({s.name: s for s in storages.values()}.items())
                ],
                "l3Networks": [
                    document.network_entry(network)
                    for _, network in sorted({n.name: n for n in networks.values()}.items())
                ],
                "vmInstances": entries,
            }
        )

    def _vms(self) -> Iterator[FoundVm]:
        for domain in self.view.domains:
            if domain.source.own is not None:
                continue
            try:
                scalars.name(domain.source.name or "")
                yield read_vm(domain, self.claimed)
            except ValueError as reason:
                self._leave_out(f"vm '{domain.source.name}'", str(reason))

    def _leave_out(self, what: str, reason: str) -> None:
        self.notes.append(f"{what} is left out: {reason}")

    def _networks(self) -> dict[Wire, Network]:
        """Of the wires whose addresses are known."""
        there = list(self.known.inventory.networks.values())
        guests = frozenset(
            to_number(ip)
            for domain in self.view.domains
            for found in domain.addresses.values()
            for ip in found
        )
        found = {}
        for wire in self.wires.all():
            network = network_of(wire, guests, self.host.cluster, self.host.name, there)
            if network is not None:
                found[wire] = network
                self._warn_of(wire, network)
        return found

    def _warn_of(self, wire: Wire, network: Network) -> None:
        if not wire.governed:
            self.notes.append(
                f"network '{network.name}' is {wire.called}: this host cannot know which addresses "
                "other machines there have, or another DHCP server gives. Its ipRanges must leave "
                "them out"
            )
        if wire.libvirt_network and not wire.active:
            self.notes.append(
                f"{wire.called} does not run: no clone can be plugged into it until "
                f"`virsh net-start {wire.libvirt_network}`"
            )

    def _entry(
        self, vm: FoundVm, networks: dict[Wire, Network], storages: dict[str, Storage]
    ) -> document.Entry:
        name, uuid, before = self._identity(vm.domain)
        return document.vm_entry(
            vm,
            name=name,
            uuid=uuid,
            host=self.host,
            storages=storages,
            nics=list(self._nics(vm.domain, name, networks, before)),
            known=before,
        )

    def _identity(self, domain: DomainView) -> tuple[str, str | None, AdoptedVm | None]:
        """Its name and uuid in the inventory, and what that has of it. A VM that was declared by
        hand keeps its uuid; one of another host keeps its name."""
        name, uuid = str(domain.source.name), str(domain.source.uuid).replace("-", "")
        by_uuid = next((vm for vm in self.adopted if vm.uuid == uuid), None)
        if by_uuid is not None:
            return by_uuid.name, uuid, by_uuid
        same = next((vm for vm in self.adopted if vm.name == name), None)
        if same is not None and same.host_uuid == self.host.uuid:
            return name, None, same
        if same is not None:
            name = f"{name}@{self.host.name}"
        try:
            return name, scalars.uuid(uuid), None
        except ValueError:  # of no RFC 4122 version: it is found by its name
            return name, None, None

    def _nics(
        self,
        domain: DomainView,
        vm_name: str,
        networks: dict[Wire, Network],
        before: AdoptedVm | None,
    ) -> Iterator[document.Entry]:
        for nic in domain.source.nics:
            wire = self.wires.of(nic)
            network = networks.get(wire) if wire else None
            if wire is None or network is None or not network.ranges4:
                self._leave_out(f"vm '{vm_name}': NIC {nic.mac}", _why_no_nic(nic, wire))
                continue
            mac = mac_of(nic, self.claimed)
            if mac is None and nic.mac:
                self.notes.append(
                    f"vm '{vm_name}': its MAC {nic.mac} is another VM's as well; the inventory "
                    "has it once"
                )
            yield document.nic_entry(
                network.name, mac, self._address(domain, nic, wire, network, before), nic.model
            )

    def _address(
        self,
        domain: DomainView,
        nic: SourceNic,
        wire: Wire,
        network: Network,
        before: AdoptedVm | None,
    ) -> str | None:
        mac = (nic.mac or "").lower()
        seen = [*domain.addresses.get(mac, ())]
        seen += [ip for given, ip in wire.given if given == mac]
        return address_of(
            network, seen, before.addresses.get(mac) if before else None, self.claimed
        )

    def _held_against_the_checks(self, sections: dict[str, list[document.Entry]]) -> Discovered:
        """Without the VMs that `apply` would refuse."""
        problems = Problems("discovered")
        root = compose_text(document.text_of(sections), "discovered")
        read(root, open_shelves(self.known, size_of), problems)
        refused: dict[str, str] = {}
        names = [str(entry["name"]) for entry in sections["vmInstances"]]
        for text in problems.texts():
            about = [name for name in names if text.startswith(f"vm '{name}': ")]
            if not about:
                problems.raise_if_any()
            name = max(about, key=len)
            refused.setdefault(name, text.removeprefix(f"vm '{name}': "))
        for name, reason in refused.items():
            self._leave_out(f"vm '{name}'", reason)
        kept = [entry for entry in sections["vmInstances"] if entry["name"] not in refused]
        return Discovered({**sections, "vmInstances": kept}, tuple(dict.fromkeys(self.notes)))


def _why_no_nic(nic: SourceNic, wire: Wire | None) -> str:
    if wire is not None:
        return (
            f"nobody here knows which addresses {wire.called} has. Declare it with its ipRanges "
            "(docs/inventory.md) and discover again"
        )
    if nic.type in ("network", "bridge"):
        return f"libvirt has no {nic.type} {nic.source} on this host"
    return (
        f"it is of type {nic.type}, and clones are plugged into bridges and libvirt networks; "
        "name one with each request (vmNicParams)"
    )
