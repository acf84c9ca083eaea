"""The NICs of a clone's domain, in the slots of the source's."""

from collections.abc import Iterator, Sequence
from copy import deepcopy
from dataclasses import dataclass
from ipaddress import ip_address

from lxml import etree
from lxml.etree import _Element

from workers.hypervisors.kvm.clone_parts import NicPart
from workers.hypervisors.kvm.source_xml import BITS, network_of

_NEW_MODEL = "virtio"
_FILTER_VERSIONS = {"IP": 4, "IPV6": 6}


@dataclass(frozen=True, slots=True)
class Nics:
    parts: Sequence[NicPart]

    def rewrite(self, source: _Element, copy: _Element) -> _Element | None:
        number = len(list(source.itersiblings(source.tag, preceding=True)))
        if number >= len(self.parts):
            return None
        part = self.parts[number]
        former = _model_of(source)
        model = part.model or former
        if model != former:
            # Its options are the former model's.
            for driver in copy.findall("driver"):
                copy.remove(driver)
        _fill(copy, part, model)
        _set_queues(copy, part)
        _take_network_settings(source, copy, part)
        return copy

    def add_new(self, domain: _Element, slots: int) -> None:
        """Those past the source's `slots` interfaces."""
        devices = domain.find("devices")
        assert devices is not None  # a domain of libvirt's has them
        for part in self.parts[slots:]:
            nic = etree.SubElement(devices, "interface")
            _fill(nic, part, part.model or _NEW_MODEL)
            _set_queues(nic, part)
            if part.clean_traffic:
                nic.append(_clean_traffic(part))


def _fill(nic: _Element, part: NicPart, model: str | None) -> None:
    nic.set("type", part.kind.value)
    own = [
        etree.Element("mac", {"address": part.mac}),
        etree.Element("source", {part.kind.value: part.source}),
        etree.Element("target", {"dev": part.tap}),
        etree.Element("link", {"state": "up" if part.link_up else "down"}),
        *_bandwidth(part),
    ]
    if model is not None:
        own.append(etree.Element("model", {"type": model}))
    for number, element in enumerate(own):
        nic.insert(number, element)


def _set_queues(nic: _Element, part: NicPart) -> None:
    if part.queues is None:
        return
    driver = nic.find("driver")
    if driver is None:
        driver = etree.SubElement(nic, "driver")
    driver.set("queues", str(part.queues))


def _clean_traffic(part: NicPart) -> _Element:
    """libvirt's own filter of that name. It knows no IPv6, which it lets pass by its MAC alone."""
    own = etree.Element("filterref", {"filter": "clean-traffic"})
    for ip in part.ips:
        if ip_address(ip).version == 4:
            etree.SubElement(own, "parameter", {"name": "IP", "value": ip})
    return own


def _model_of(nic: _Element) -> str | None:
    model = nic.find("model")
    return None if model is None else model.get("type")


def _bandwidth(part: NicPart) -> Iterator[_Element]:
    if part.inbound is None and part.outbound is None:
        return
    bandwidth = etree.Element("bandwidth")
    for name, rate in (("inbound", part.inbound), ("outbound", part.outbound)):
        if rate is not None:
            # Never above what was asked for, but 0 would be no limit at all.
            average = str(max(1, rate // BITS))
            etree.SubElement(bandwidth, name, {"average": average})
    yield bandwidth


def _take_network_settings(source: _Element, nic: _Element, part: NicPart) -> None:
    filterref = source.find("filterref")
    if part.clean_traffic:
        nic.append(_clean_traffic(part))
    elif filterref is not None:
        nic.append(_filter_for(filterref, part))
    if source.get("type") != part.kind or network_of(source) != part.source:
        return  # VLANs and ports are of the source's network
    vlan, group = source.find("vlan"), source.find("source[@portgroup]")
    if vlan is not None:
        nic.append(deepcopy(vlan))
    if group is not None:
        nic.find("source").set("portgroup", group.get("portgroup", ""))  # type: ignore[union-attr]
    port = source.find("virtualport[@type='openvswitch']")
    if port is not None:
        nic.append(_port_for(port))


def _port_for(port: _Element) -> _Element:
    """Without the id of the source's port; Open vSwitch gives the clone's one of its own."""
    own = etree.Element("virtualport", {"type": "openvswitch"})
    profile = port.find("parameters[@profileid]")
    if profile is not None:
        etree.SubElement(own, "parameters", {"profileid": profile.get("profileid", "")})
    return own


def _filter_for(filterref: _Element, part: NicPart) -> _Element:
    own = etree.Element("filterref", {"filter": filterref.get("filter", "")})
    done: set[str] = set()
    for parameter in filterref.iterfind("parameter"):
        name, value = parameter.get("name", ""), parameter.get("value", "")
        for value_now in _values(name, value, part) if name not in done else ():
            etree.SubElement(own, "parameter", {"name": name, "value": value_now})
        if name in _FILTER_VERSIONS:
            done.add(name)  # all of the clone's addresses stand in the place of the first
    return own


def _values(name: str, value: str, part: NicPart) -> list[str]:
    if name == "MAC":
        return [part.mac]
    if name in _FILTER_VERSIONS:
        return [ip for ip in part.ips if ip_address(ip).version == _FILTER_VERSIONS[name]]
    return [value]
