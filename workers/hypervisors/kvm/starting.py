"""Domains that libvirt is in the middle of starting.

A libvirtd that was killed there finds such a domain when it comes back, active and paused, and
ends it a moment later. Whoever took it for a running one would have a clone that never ran, and a
destroy that meets it is answered late. One that had no QEMU yet stays so for ever (libvirt 9.0;
docs/kvm.md says what helps).
"""

import time

import libvirt

SETTLES_WITHIN_S = 15.0
LOOK_S = 0.05

_STARTING = (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_STARTING_UP)


def settles(domain: libvirt.virDomain) -> bool:
    """Whether the domain's start came to an end, good or bad; looks until it did, for a while."""
    until_s = time.monotonic() + SETTLES_WITHIN_S
    while tuple(domain.state()) == _STARTING:
        if time.monotonic() > until_s:
            return False
        time.sleep(LOOK_S)
    return True
