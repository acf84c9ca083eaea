"""The guest agent, as far as a snapshot needs one: does it answer, and who is it."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress

import libvirt
from lxml.etree import _Element

from app.domain.snapshots import Consistency

LIMIT_S = 5  # for each answer; one that stands still must not hold the source's snapshot
_AGENT = "org.qemu.guest_agent.0"
_WINDOWS = "mswindows"
_SILENT = frozenset({libvirt.VIR_ERR_AGENT_UNRESPONSIVE, libvirt.VIR_ERR_AGENT_UNSYNCED})


def is_connected(live: _Element) -> bool:
    """A program in the guest has the agent's channel open."""
    return any(
        target.get("name") == _AGENT and target.get("state") == "connected"
        for target in live.iterfind("devices/channel/target")
    )


@contextmanager
def limited(domain: libvirt.virDomain) -> Iterator[None]:
    """Each of the agent's answers has its limit here; afterwards the domain has libvirt's own."""
    domain.agentSetResponseTimeout(LIMIT_S, 0)
    try:
        yield
    finally:
        with suppress(libvirt.libvirtError):
            domain.agentSetResponseTimeout(libvirt.VIR_DOMAIN_AGENT_RESPONSE_TIMEOUT_DEFAULT, 0)


def quiesced_by(domain: libvirt.virDomain) -> Consistency | None:
    """What a snapshot is worth for which this agent quiesces; None where it does not answer."""
    try:
        system = domain.guestInfo(libvirt.VIR_DOMAIN_GUEST_INFO_OS, 0).get("os.id")
    except libvirt.libvirtError as error:
        if error.get_error_code() in _SILENT:
            return None
        system = None  # it answers, and has no such command
    # There the agent has its applications write by the volume shadow copy service.
    return Consistency.APPLICATION if system == _WINDOWS else Consistency.FILESYSTEM
