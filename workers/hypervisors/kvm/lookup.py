"""Finds domains on a host, and tells whose they are."""

from collections.abc import Callable
from uuid import UUID

import libvirt

from app.domain.errors import ForeignDomain, SourceNotCloneable
from app.domain.plan import SourceRef
from workers.hypervisors.kvm.element_walk import parse
from workers.hypervisors.kvm.faults import is_gone
from workers.hypervisors.kvm.source_xml import METADATA_NAMESPACE, read_own


def by_uuid(libvirtd: libvirt.virConnect, domain_uuid: str) -> libvirt.virDomain | None:
    return _found(libvirtd.lookupByUUIDString, domain_uuid)


def source_domain(libvirtd: libvirt.virConnect, source: SourceRef) -> libvirt.virDomain | None:
    """By its uuid; a VM that the inventory named, by that name."""
    known = by_uuid(libvirtd, str(UUID(source.uuid)))
    return known or _found(libvirtd.lookupByName, source.name)


def ours(libvirtd: libvirt.virConnect, vm_uuid: str) -> libvirt.virDomain | None:
    """Raises ForeignDomain where somebody else has the name."""
    domain = _found(libvirtd.lookupByName, vm_uuid)
    if domain is not None and vm_of(domain) != vm_uuid:
        raise ForeignDomain(
            f"domain {vm_uuid} on this host was not made by vmclone; rename or remove it"
        )
    return domain


def vm_of(domain: libvirt.virDomain) -> str | None:
    """The VM that vmclone defined it for; None for a foreign one, and one that is gone by now."""
    try:
        metadata = domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, METADATA_NAMESPACE)
    except libvirt.libvirtError as error:
        if is_gone(error):
            return None
        raise
    try:
        own = read_own(parse(metadata))
    except SourceNotCloneable:
        return None
    return own.vm_uuid if own else None


def _found(lookup: Callable[[str], libvirt.virDomain], key: str) -> libvirt.virDomain | None:
    try:
        return lookup(key)
    except libvirt.libvirtError as error:
        if is_gone(error):
            return None
        raise
