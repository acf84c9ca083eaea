"""Asks the guests of new clones who they are: their agent, or without one a TCP port at their
address.

Done by the agent process of their host, beside all work: a few guests at a time, each again until
it says who it is, is gone or its limit has passed. What is not asked because this process ends or
the host is away is asked later.
"""

import logging
import socket
import threading
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

from app.domain.errors import CloneError, HostDisconnected
from app.domain.guest import Identity, is_as_told
from app.domain.plan import ClonePlan, HostRef, HypervisorType
from app.settings import Settings
from app.store import identities
from app.store.identities import DueGuest
from app.store.session import Database
from workers.hypervisors import open_hypervisor
from workers.hypervisors.base import Hypervisor

log = logging.getLogger(__name__)

INTERVAL_S = 1.0
AT_ONCE = 4  # a libvirtd takes five calls of one client at a time
MOST = 32  # in one look
PORT_LIMIT_S = 1.0

Opener = Callable[[HostRef, Settings], Hypervisor]


class IdentityWatch:
    def __init__(
        self, settings: Settings, database: Database, opener: Opener = open_hypervisor
    ) -> None:
        self._settings = settings
        self._database = database
        self._opener = opener
        self._known: dict[str, Hypervisor] = {}
        self._thread: threading.Thread | None = None
        self._looked_at_s = 0.0

    def look(self, served: Sequence[HostRef]) -> None:
        """Start a look, if none is under way and anybody is to be asked."""
        kvm = [host.uuid for host in served if host.hypervisor_type is HypervisorType.KVM]
        now_s = time.monotonic()
        if not kvm or now_s - self._looked_at_s < INTERVAL_S:
            return
        if self._thread is not None and self._thread.is_alive():
            return
        self._looked_at_s = now_s
        if due := self._due(kvm):
            self._thread = threading.Thread(
                target=self._ask_all, args=(due,), name="identities", daemon=True
            )
            self._thread.start()

    def look_at(self, host_uuids: Sequence[str]) -> int:
        """One look to its end; how many were asked."""
        due = self._due(host_uuids)
        self._ask_all(due)
        return len(due)

    def _due(self, host_uuids: Sequence[str]) -> list[DueGuest]:
        limit_s = self._settings.identity_limit_s
        with self._database.single() as connection:
            return identities.due(connection, host_uuids, limit_s=limit_s, most=MOST)

    def _ask_all(self, due: Sequence[DueGuest]) -> None:
        with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="identity") as pool:
            said = dict(zip((d.item_uuid for d in due), pool.map(self._ask, due), strict=True))
        try:
            self._database.run(
                lambda c: identities.record(c, said, limit_s=self._settings.identity_limit_s)
            )
        except Exception:
            log.exception("guests were asked who they are, and it could not be recorded")

    def _ask(self, guest: DueGuest) -> Identity | None:
        """None: to be asked again."""
        if guest.gone:
            return Identity.UNKNOWN
        try:
            return self._answer(guest)
        except HostDisconnected:
            return None
        except Exception:
            log.exception("asking a guest failed", extra={"vm": guest.plan.vm_uuid})
            return Identity.UNKNOWN if guest.late else None

    def _answer(self, guest: DueGuest) -> Identity | None:
        as_told = self._agent_says(guest.plan)
        if as_told or (as_told is None and _answers(guest.plan, self._settings.identity_port)):
            return Identity.APPLIED
        if not guest.late:
            # An agent may speak before cloud-init has done its work.
            return None
        return Identity.UNKNOWN if as_told is None else Identity.IGNORED

    def _agent_says(self, plan: ClonePlan) -> bool | None:
        assert plan.identity is not None  # or it would never be due
        try:
            said = self._hypervisor(plan.host).ask_guest(plan.vm_uuid)
        except HostDisconnected:
            raise
        except CloneError:
            return None  # the domain is busy, or no longer ours
        return None if said is None else is_as_told(plan.identity, _addresses(plan), said)

    def _hypervisor(self, host: HostRef) -> Hypervisor:
        """With a connection of its own: what hangs here must not make the host look away."""
        if host.uuid not in self._known:
            self._known[host.uuid] = self._opener(host, self._settings)
        return self._known[host.uuid]


def _addresses(plan: ClonePlan) -> list[str]:
    """Those that the guest must have by now."""
    return [ip for nic in plan.nics if nic.link_up for ip in nic.ips]


def _answers(plan: ClonePlan, port: int) -> bool:
    for address in _addresses(plan):
        try:
            socket.create_connection((address, port), PORT_LIMIT_S).close()
        except OSError:
            continue
        return True
    return False
