"""New clones' guests are asked who they are, after all work and beside it."""

import socket
import threading
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import text

from app.domain.errors import HostDisconnected
from app.domain.guest import GuestReport
from app.domain.plan import ClonePlan, HypervisorType
from app.settings import Settings
from app.store import removals
from app.store.codec import plan_from_json
from app.store.models import JobKind
from tests.factories import ADMIN
from tests.integration.engine.conftest import Faked
from tests.kvm.waiting import until
from workers.identity_watch import IdentityWatch

LIMIT_S = 300
NETWORK = {"first_ip": "127.0.9.10", "last_ip": "127.0.9.200"}  # of this machine


@pytest.fixture
def port() -> Iterator[int]:
    """That nothing listens on but at an address that no guest gets."""
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        yield server.getsockname()[1]


@pytest.fixture
def faked(make_faked: Any) -> Faked:
    """On a host of type KVM."""
    made: Faked = make_faked(**NETWORK)
    with made.engine.database.engine.begin() as connection:
        for table in ("clusters", "vm_instances"):
            connection.execute(text(f"UPDATE {table} SET hypervisor_type = 'KVM'"))
    return made


@pytest.fixture
def watch(faked: Faked, settings: Settings, port: int) -> IdentityWatch:
    settings = settings.model_copy(update={"identity_port": port, "identity_limit_s": LIMIT_S})
    return IdentityWatch(settings, faked.engine.database, lambda *_: faked.hypervisor)


def clone(faked: Faked, *names: str, **parameters: Any) -> list[ClonePlan]:
    job = faked.job(*names, **parameters)
    faked.engine.start(job)
    faked.engine.sweep()
    assert set(faked.engine.item_states(job)) == {"Succeeded"}
    rows = faked.engine.rows(
        "SELECT plan FROM items WHERE job_uuid = :job ORDER BY ordinal", job=job
    )
    return [plan for row in rows if isinstance(plan := plan_from_json(row.plan), ClonePlan)]


def look(faked: Faked, watch: IdentityWatch, *, after_s: float = 3) -> int:
    """How many guests were asked."""
    faked.engine.pass_time(after_s)
    return watch.look_at(faked.inventory.hosts)


def identity(faked: Faked, plan: ClonePlan) -> str | None:
    found: str | None = faked.engine.scalar(
        "SELECT identity FROM items WHERE uuid = :uuid", uuid=plan.item_uuid
    )
    return found


def as_told(plan: ClonePlan, **changes: Any) -> GuestReport:
    assert plan.identity is not None
    addresses = frozenset(nic.ip for nic in plan.nics if nic.ip)
    said = GuestReport(plan.identity.hostname.upper() + ".example.org", addresses | {"::1"})
    return replace(said, **changes)


def test_a_guest_whose_agent_says_what_its_seed_says(faked: Faked, watch: IdentityWatch) -> None:
    first, second = clone(faked, "a", "b")
    assert watch.look_at(faked.inventory.hosts) == 0, "it has not booted yet"
    assert look(faked, watch) == 2
    assert (identity(faked, first), identity(faked, second)) == (None, None)
    faked.hypervisor.agents[first.vm_uuid] = as_told(first)
    assert look(faked, watch) == 2
    assert (identity(faked, first), identity(faked, second)) == ("applied", None)
    assert look(faked, watch) == 1, "who has answered is not asked again"


@pytest.mark.parametrize(
    "changes",
    [
        {"hostname": "golden"},
        {"hostname": "golden", "addresses": None},
        {"addresses": frozenset({"192.0.2.1"})},  # of a network file that the source left behind
        {"hostname": None, "addresses": frozenset({"192.0.2.1"})},
    ],
)
def test_a_guest_that_stays_as_its_source(
    faked: Faked, watch: IdentityWatch, changes: dict[str, Any]
) -> None:
    (plan,) = clone(faked, "a")
    faked.hypervisor.agents[plan.vm_uuid] = as_told(plan, **changes)
    look(faked, watch)
    assert identity(faked, plan) is None, "its agent may have started before cloud-init"
    look(faked, watch, after_s=LIMIT_S)
    assert identity(faked, plan) == "ignored"
    assert look(faked, watch, after_s=LIMIT_S) == 0


@pytest.mark.parametrize("agent", [None, GuestReport(None, None)])
def test_a_guest_without_an_agent_is_known_by_its_port(
    faked: Faked, watch: IdentityWatch, port: int, agent: GuestReport | None
) -> None:
    first, second = clone(faked, "a", "b")
    if agent:
        faked.hypervisor.agents[first.vm_uuid] = agent
    with closing(socket.create_server((str(first.nics[0].ip), port))):
        look(faked, watch)
    assert (identity(faked, first), identity(faked, second)) == ("applied", None)


def test_a_port_says_nothing_where_an_agent_says_otherwise(
    faked: Faked, watch: IdentityWatch, port: int
) -> None:
    (plan,) = clone(faked, "a")
    faked.hypervisor.agents[plan.vm_uuid] = as_told(plan, hostname="golden")
    with closing(socket.create_server((str(plan.nics[0].ip), port))):
        look(faked, watch, after_s=LIMIT_S)
    assert identity(faked, plan) == "ignored"


def test_a_guest_that_never_answers_is_unknown(faked: Faked, watch: IdentityWatch) -> None:
    (plan,) = clone(faked, "a")
    look(faked, watch, after_s=LIMIT_S - 10)
    assert identity(faked, plan) is None
    look(faked, watch, after_s=11)
    assert identity(faked, plan) == "unknown"


def test_a_host_that_was_away_is_asked_when_it_is_back(faked: Faked, watch: IdentityWatch) -> None:
    (plan,) = clone(faked, "a")

    def away(call: str) -> None:
        raise HostDisconnected("libvirt does not answer")

    faked.hypervisor.before = away
    assert look(faked, watch, after_s=2 * LIMIT_S) == 1
    assert identity(faked, plan) is None
    faked.hypervisor.before = lambda _: None
    faked.hypervisor.agents[plan.vm_uuid] = as_told(plan)
    look(faked, watch)
    assert identity(faked, plan) == "applied"


def test_a_fault_of_ours_does_not_stop_the_others(faked: Faked, watch: IdentityWatch) -> None:
    first, second = clone(faked, "a", "b")
    faked.hypervisor.agents[first.vm_uuid] = "nonsense"  # type: ignore[assignment]
    faked.hypervisor.agents[second.vm_uuid] = as_told(second)
    look(faked, watch, after_s=LIMIT_S)
    assert (identity(faked, first), identity(faked, second)) == ("unknown", "applied")


@pytest.mark.parametrize("kind", [JobKind.DESTROY, JobKind.EXPUNGE])
def test_a_clone_that_was_removed_is_not_asked(
    faked: Faked, watch: IdentityWatch, kind: JobKind
) -> None:
    (plan,) = clone(faked, "a")
    faked.engine.start(
        faked.engine.database.run(
            lambda c: removals.ask(c, [plan.vm_uuid], account_uuid=ADMIN, kind=kind)
        )
    )
    faked.hypervisor.calls.clear()
    assert look(faked, watch) == 1
    assert faked.hypervisor.calls == []
    assert identity(faked, plan) == "unknown"
    assert look(faked, watch) == 0


@pytest.mark.parametrize(
    "parameters",
    [{"systemTags": ["identity::none"]}, {"strategy": "CreateStopped"}],
)
def test_who_was_told_nothing_or_never_started_is_not_asked(
    faked: Faked, watch: IdentityWatch, parameters: dict[str, Any]
) -> None:
    (plan,) = clone(faked, "a", **parameters)
    assert look(faked, watch, after_s=2 * LIMIT_S) == 0
    assert identity(faked, plan) is None


def test_a_simulated_host_has_no_guests(make_faked: Any, settings: Settings) -> None:
    made: Faked = make_faked(**NETWORK)
    (plan,) = clone(made, "a")
    watch = IdentityWatch(settings, made.engine.database, lambda *_: made.hypervisor)
    assert look(made, watch, after_s=2 * LIMIT_S) == 0
    assert identity(made, plan) is None


def test_clones_of_all_or_nothing_are_asked_once_they_stand(
    faked: Faked, watch: IdentityWatch
) -> None:
    plans = clone(faked, "a", "b", policy={"onFailure": "allOrNothing", "maxFailures": 0})
    for plan in plans:
        faked.hypervisor.agents[plan.vm_uuid] = as_told(plan)
    assert look(faked, watch) == 2
    assert [identity(faked, plan) for plan in plans] == ["applied"] * 2


def test_a_clone_that_may_still_be_taken_back_is_not_asked(
    faked: Faked, watch: IdentityWatch
) -> None:
    clone(faked, "a")
    with faked.engine.database.engine.begin() as connection:
        connection.execute(text("UPDATE items SET state = 'Made'"))
    assert look(faked, watch, after_s=2 * LIMIT_S) == 0


def test_it_is_asked_ever_more_seldom_and_once_at_the_limit(
    faked: Faked, watch: IdentityWatch
) -> None:
    (plan,) = clone(faked, "a")

    def next_in_s() -> float:
        return float(
            faked.engine.scalar(
                "SELECT EXTRACT(EPOCH FROM identity_due_at - clock_timestamp()) FROM items "
                "WHERE uuid = :uuid",
                uuid=plan.item_uuid,
            )
        )

    pauses = []
    for after_s in (3, 40, 150, 95):
        look(faked, watch, after_s=after_s)
        pauses.append(next_in_s())
    assert 0 < pauses[0] < 2 < pauses[1] < 20 < pauses[2] <= 30
    assert 0 < pauses[3] < 15


def test_a_look_waits_for_no_guest(faked: Faked, watch: IdentityWatch) -> None:
    """It is taken by who beats for the hosts."""
    (plan,) = clone(faked, "a")
    faked.hypervisor.agents[plan.vm_uuid] = as_told(plan)
    asked, may_answer = threading.Event(), threading.Event()

    def hangs(call: str) -> None:
        asked.set()
        assert may_answer.wait(30)

    faked.hypervisor.before = hangs
    faked.engine.pass_time(3)
    simulated = replace(plan.host, hypervisor_type=HypervisorType.SIMULATOR)
    watch.look([simulated])
    assert "identities" not in {thread.name for thread in threading.enumerate()}
    watch.look([plan.host])
    assert asked.wait(30)
    watch.look([plan.host])
    assert identity(faked, plan) is None
    may_answer.set()
    until(lambda: identity(faked, plan) == "applied", "it is recorded", within_s=30)


def test_what_is_due_is_found_by_its_index(faked: Faked) -> None:
    with faked.engine.database.engine.begin() as connection:
        connection.execute(text("SET LOCAL enable_seqscan = off"))
        plan = connection.execute(
            text(
                "EXPLAIN SELECT uuid FROM items WHERE host_uuid = ANY('{a}') "
                "AND state = 'Succeeded' AND identity_due_at IS NOT NULL "
                "AND identity_due_at <= clock_timestamp() ORDER BY identity_due_at LIMIT 32"
            )
        ).scalars()
        assert "items_identity_due" in "\n".join(plan)
