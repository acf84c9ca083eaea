"""Where a request's clones would go, by the very judgement and planning that grants take.

`load` reads, and what it locks its caller's transaction lets go of: nothing is written. `plan` is
pure and may take a while for many names. Places that are taken are passed over: a plan says where
clones go, not when. Addresses are drawn by chance again when a name is granted.
"""

import random
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from typing import Any
from uuid import uuid4

from sqlalchemy import Connection

from app.domain.errors import CloneError
from app.domain.plan import CloneStrategy
from app.domain.snapshots import Consistency
from app.domain.states import WaitReason
from app.settings import Settings
from app.store import base_sets, grants, judging, networks, sources, world
from app.store.codec import error_to_json
from app.store.judging import JudgedClone
from app.store.models import VmState
from app.store.planning import JobPlanner, WaitingItem, not_created
from app.store.shown import shown_error
from app.store.views import PlannedItem, PlanView
from app.store.volume_planning import ThinShare

_UNKNOWN_BYTES = (
    "no copy of the source was made yet: bytes are what its volumes have as they are declared"
)


@dataclass(frozen=True, slots=True)
class Loaded:
    judged: JudgedClone
    planner: JobPlanner | None  # None: records alone are made, nothing is placed
    macs: Iterator[str]
    notes: list[str]


def load(
    connection: Connection,
    parameters: Mapping[str, Any],
    *,
    vm_uuid: str,
    account_uuid: str,
    settings: Settings,
) -> Loaded:
    """Raises the CloneError that would refuse the job. The caller's transaction is to be rolled
    back."""
    judged = judging.judge(connection, parameters, vm_uuid, account_uuid)
    if judged.spec.strategy is CloneStrategy.JUST_CREATE:
        return Loaded(judged, None, iter(()), [])
    rng = random.SystemRandom()
    known = base_sets.last_ready(connection, vm_uuid)
    planner = JobPlanner(
        job_uuid="",
        account_uuid=account_uuid,
        weight=1.0,
        spec=judged.spec,
        source=judged.source,
        base_set_uuid="",
        bases=sources.bases_to_be(connection, vm_uuid, judged.spec),
        world=_world(connection, judged, settings, rng),
        needs=known.needs if known else frozenset(),
        thin=ThinShare.of_settings(settings),
    )
    number = len(judged.request.names) * max(1, judged.nics)
    macs = list(islice(grants.free_macs(connection, number, rng), number))
    return Loaded(judged, planner, iter(macs), known.notes if known else [_UNKNOWN_BYTES])


def _world(
    connection: Connection, judged: JudgedClone, settings: Settings, rng: random.Random
) -> world.World:
    view = world.load(
        connection,
        defaults=world.Defaults.of(settings),
        keep_free=settings.storage_keep_free,
    )
    view.lift_limits()
    spec, ordinals = judged.spec, range(len(judged.request.names))
    wanted = networks.Wanted(
        set() if spec.nics else {judged.source.uuid},
        [[nic.l3_network_uuid for nic in spec.nics]] if spec.nics else [],
        spec.asked_ips(ordinals),
        spec.kept_ips,
    )
    needs = networks.needs(connection, wanted, len(ordinals))
    found = (networks.load_network(connection, *need, rng) for need in needs.items())
    view.l3_networks = {network.uuid: network for network in found if network is not None}
    view.macs = grants.unused_macs(connection, spec.asked_macs(ordinals))
    return view


def plan(loaded: Loaded) -> PlanView:
    judged = loaded.judged
    waits: Counter[str] = Counter()
    items = [
        _item(loaded, ordinal, name, waits) for ordinal, name in enumerate(judged.request.names)
    ]
    at_rest = judged.source.state is VmState.STOPPED
    return {
        "vmInstanceUuid": judged.source.uuid,
        "total": len(items),
        "bytesTotal": sum(item["bytesTotal"] for item in items),
        # Of a source that runs only the snapshot tells.
        "consistency": Consistency.OFFLINE if at_rest and loaded.planner else None,
        "items": items,
        "ignored": list(judged.ignored),
        "notes": loaded.notes
        + [f"{number} names will wait at first: {reason}" for reason, number in waits.items()],
        "error": None,
    }


def refused(vm_uuid: str, total: int, error: CloneError) -> PlanView:
    """The plan of a request that would be refused as a whole."""
    return {
        "vmInstanceUuid": vm_uuid,
        "total": total,
        "bytesTotal": 0,
        "consistency": None,
        "items": [],
        "ignored": [],
        "notes": [],
        "error": shown_error(error_to_json(error)),
    }


def _item(loaded: Loaded, ordinal: int, name: str, waits: Counter[str]) -> PlannedItem:
    item: PlannedItem = {
        "ordinal": ordinal,
        "name": name,
        "hostUuid": None,
        "hostName": None,
        "ips": [],
        "method": None,
        "bytesTotal": 0,
        "error": None,
    }
    if loaded.planner is None:
        return item
    try:
        granted = loaded.planner.plan(_waiting(loaded, ordinal, name), loaded.macs, ordinal)
    except CloneError as error:
        item["error"] = shown_error(error_to_json(not_created(name, error)))
        return item
    if isinstance(granted, WaitReason):
        waits[granted] += 1
        return item
    item["hostUuid"], item["hostName"] = granted.host.uuid, granted.host.name
    item["ips"] = [ip for nic in granted.plan.nics for ip in nic.ips]
    item["method"] = granted.plan.root_volume.method
    item["bytesTotal"] = granted.bytes_total
    return item


def _waiting(loaded: Loaded, ordinal: int, name: str) -> WaitingItem:
    judged = loaded.judged
    return WaitingItem(
        uuid=uuid4().hex,
        ordinal=ordinal,
        name=name,
        vm_uuid=uuid4().hex,
        volume_uuids=[uuid4().hex for _ in range(judged.volumes)],
        nic_uuids=[uuid4().hex for _ in range(judged.nics)],
    )
