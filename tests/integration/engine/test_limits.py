"""Limits: each is obeyed, says what waits for it, holds up nobody else, and may change."""

from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import text

from app.domain.errors import InvalidArgument, ResourceNotFound
from app.queue import TaskName
from app.store import base_claims, leases, limits
from app.store.base_claims import BaseClaim
from app.store.models import LimitName, LimitScope
from tests.factories import make_account, make_job
from tests.integration.engine.conftest import Faked

FULL = ["cloneMode::full"]


def host_of(faked: Faked) -> str:
    return faked.inventory.hosts[0]


@pytest.fixture
def faked(make_faked: Any) -> Faked:
    """Nobody takes what is granted."""
    made: Faked = make_faked()
    made.engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    with made.engine.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE hosts SET processes = 9")
    return made


def limit(faked: Faked, scope: LimitScope, resource: str, name: LimitName, value: int) -> None:
    faked.engine.database.run(lambda c: limits.put(c, scope, resource, name, value))


def granted(faked: Faked, job: str) -> int:
    return faked.engine.item_states(job).count("Granted")


def waits_for(faked: Faked, job: str) -> str:
    return str(faked.engine.scalar("SELECT wait_reason::text FROM jobs WHERE uuid = :job", job=job))


def of_another_account(faked: Faked, *names: str, **parameters: Any) -> str:
    with faked.engine.database.engine.begin() as connection:
        other = make_account(connection, admin=True)
        return make_job(connection, faked.inventory.source, names, account=other, **parameters)


CASES = [
    (LimitScope.HOST, LimitName.BUILDS, [], "hostSlots"),
    (LimitScope.HOST, LimitName.FULL_COPIES, FULL, "hostSlots"),
    (LimitScope.PRIMARY_STORAGE, LimitName.FULL_COPIES, FULL, "storageSlots"),
    (LimitScope.SOURCE, LimitName.BUILDS, [], "sourceSlots"),
    (LimitScope.ACCOUNT, LimitName.BUILDS, [], "accountShare"),
]


def resource_of(faked: Faked, scope: LimitScope) -> str:
    found: dict[LimitScope, str] = {
        LimitScope.HOST: faked.inventory.hosts[0],
        LimitScope.PRIMARY_STORAGE: faked.inventory.storage,
        LimitScope.SOURCE: faked.inventory.source,
        LimitScope.ACCOUNT: faked.engine.scalar("SELECT uuid FROM accounts"),
    }
    return found[scope]


@pytest.mark.parametrize("default", [True, False])
@pytest.mark.parametrize(("scope", "name", "tags", "reason"), CASES)
def test_a_limit_is_obeyed_named_and_may_be_raised(
    faked: Faked, scope: LimitScope, name: LimitName, tags: list[str], reason: str, default: bool
) -> None:
    resource = "" if default else resource_of(faked, scope)
    limit(faked, scope, resource, name, 1)
    job = faked.job("a", "b", "c", systemTags=tags)
    faked.engine.start(job)
    assert (granted(faked, job), waits_for(faked, job)) == (1, reason)
    limit(faked, scope, resource, name, 5)
    faked.engine.sweep()
    assert granted(faked, job) == 3


def test_a_limit_of_its_own_goes_before_the_default(faked: Faked) -> None:
    limit(faked, LimitScope.HOST, "", LimitName.BUILDS, 1)
    limit(faked, LimitScope.HOST, faked.inventory.hosts[0], LimitName.BUILDS, 4)
    job = faked.job("a", "b", "c")
    faked.engine.start(job)
    assert granted(faked, job) == 3
    faked.engine.database.run(
        lambda c: limits.remove(c, LimitScope.HOST, faked.inventory.hosts[0], LimitName.BUILDS)
    )
    more = faked.job("d")
    faked.engine.start(more)
    assert granted(faked, more) == 0


def test_a_job_at_its_cap_holds_up_no_other(faked: Faked) -> None:
    limit(faked, LimitScope.PRIMARY_STORAGE, "", LimitName.FULL_COPIES, 1)
    copies = faked.job(*(f"full-{n}" for n in range(20)), systemTags=FULL)
    linked = faked.job("linked", "linked-2")
    faked.engine.start(copies)
    faked.engine.start(linked)
    assert (granted(faked, copies), granted(faked, linked)) == (1, 2)


def test_a_process_of_the_host_is_always_left_to_what_is_quick(make_faked: Any) -> None:
    faked: Faked = make_faked(hosts=2)
    faked.engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    with faked.engine.database.engine.begin() as connection:
        # One machine's worker serves both.
        connection.exec_driver_sql("UPDATE hosts SET processes = 4, machine_id = 'm'")
    job = faked.job(*(f"n{n}" for n in range(20)), systemTags=FULL)
    faked.engine.start(job)
    assert waits_for(faked, job) == "accountShare"
    other = of_another_account(faked, "x", "y", systemTags=FULL)
    faked.engine.start(other)
    assert (granted(faked, job), granted(faked, other)) == (2, 1)


def test_one_name_beside_another_accounts_thousands_begins_at_once(faked: Faked) -> None:
    big = faked.job(*(f"big-{n}" for n in range(500)), systemTags=FULL)
    faked.engine.start(big)
    small = of_another_account(faked, "small", systemTags=FULL)
    faked.engine.start(small)
    assert granted(faked, small) == 1


def test_a_lowered_limit_stops_nothing_and_lets_nothing_begin(faked: Faked) -> None:
    job = faked.job("a", "b")
    faked.engine.start(job)
    limit(faked, LimitScope.HOST, "", LimitName.BUILDS, 0)
    later = faked.job("c")
    faked.engine.start(later)
    assert (granted(faked, job), granted(faked, later)) == (2, 0)


def test_a_storage_s_rate_is_shared_by_its_running_copies(faked: Faked) -> None:
    limit(faked, LimitScope.PRIMARY_STORAGE, "", LimitName.BYTES_PER_SECOND, 6 << 20)
    job = faked.job("a", "b", "c", systemTags=FULL)
    faked.engine.start(job)
    claims = [
        leases.claim(faked.engine.database, row.uuid, host_of(faked), owner="w", lease_s=60)
        for row in faked.engine.rows("SELECT uuid FROM items ORDER BY ordinal")
    ]
    rates = []
    for claim in claims:
        assert claim is not None
        flags = leases.beat(faked.engine.database, claim, lease_s=60, bytes_done=0)
        assert flags is not None
        rates.append(flags.rate_bytes_s)
    assert rates == [2 << 20] * 3
    limit(
        faked,
        LimitScope.PRIMARY_STORAGE,
        faked.inventory.storage,
        LimitName.BYTES_PER_SECOND,
        3 << 20,
    )
    assert claims[0] is not None
    flags = leases.beat(faked.engine.database, claims[0], lease_s=60, bytes_done=0)
    assert flags is not None
    assert flags.rate_bytes_s == 1 << 20


def test_a_linked_clone_has_no_rate(faked: Faked) -> None:
    limit(faked, LimitScope.PRIMARY_STORAGE, "", LimitName.BYTES_PER_SECOND, 1 << 20)
    faked.engine.start(faked.job("a"))
    uuid = faked.engine.scalar("SELECT uuid FROM items")
    claim = leases.claim(faked.engine.database, uuid, host_of(faked), owner="w", lease_s=60)
    assert claim is not None
    assert claim.flags.rate_bytes_s is None


@pytest.mark.parametrize(
    ("scope", "name", "value"),
    [
        (LimitScope.SOURCE, LimitName.BYTES_PER_SECOND, 1 << 30),
        (LimitScope.HOST, LimitName.BUILDS, -1),
        (LimitScope.HOST, LimitName.BUILDS, 2**63),
        (LimitScope.PRIMARY_STORAGE, LimitName.BYTES_PER_SECOND, 1000),
    ],
)
def test_a_limit_that_cannot_be_is_refused(
    faked: Faked, scope: LimitScope, name: LimitName, value: int
) -> None:
    with pytest.raises(InvalidArgument):
        limit(faked, scope, "", name, value)
    assert faked.engine.scalar("SELECT count(*) FROM limits") == 0


def test_a_resource_is_found_by_name_or_uuid(faked: Faked) -> None:
    def find(given: str) -> str:
        return faked.engine.database.run(lambda c: limits.find_resource(c, LimitScope.HOST, given))

    host = faked.inventory.hosts[0]
    name = faked.engine.scalar("SELECT name FROM hosts")
    assert find(host) == find(name) == host
    with pytest.raises(ResourceNotFound, match="there is no host with the name or uuid nowhere"):
        find("nowhere")


def want_bases(faked: Faked, host_uuids: list[str]) -> list[str]:
    """Sets that somebody asked for, of as many sources as there are hosts given."""
    made = [uuid4().hex for _ in host_uuids]
    with faked.engine.database.engine.begin() as connection:
        for uuid, host in zip(made, host_uuids, strict=True):
            connection.execute(
                text(
                    "INSERT INTO base_sets (uuid, vm_instance_uuid, host_uuid, with_data_volumes, "
                    "state, fence, attempts, lapses) "
                    "VALUES (:uuid, :vm, :host, TRUE, 'Wanted', 0, 0, 0)"
                ),
                {"uuid": uuid, "vm": uuid4().hex, "host": host},
            )
    return made


def test_bases_leave_a_process_of_their_machine_to_what_is_quick(make_faked: Any) -> None:
    faked: Faked = make_faked(hosts=2)
    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE hosts SET processes = 3, machine_id = 'm'")
    one, other = faked.inventory.hosts
    first, second, third = want_bases(faked, [one, other, one])
    database = faked.engine.database

    def claim(uuid: str) -> BaseClaim | None:
        return base_claims.claim(database, uuid, owner="worker", lease_s=15)

    mine = claim(first)
    assert mine is not None
    assert claim(second) is not None
    assert claim(third) is None
    assert base_claims.next_wanted(database, other) is None
    base_claims.hand_back(database, mine)
    assert base_claims.next_wanted(database, other) == first
    mine = claim(first)
    assert mine is not None
    # A full copy waits behind them.
    faked.engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    with database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE hosts SET processes = 4")
    job = faked.job("a", "b", systemTags=FULL)
    faked.engine.start(job)
    assert granted(faked, job) == 1
    assert waits_for(faked, job) == "hostSlots"


def test_a_base_that_found_no_room_is_next(faked: Faked) -> None:
    database = faked.engine.database
    host = host_of(faked)
    with database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE hosts SET processes = 2")
    (refused,) = want_bases(faked, [host])
    job = faked.job("a")
    lost: list[str] = []

    def while_it_is_made(call: str) -> None:
        if call == "make_base":
            lost.append(str(base_claims.claim(database, refused, owner="other", lease_s=15)))

    faked.storage.before = while_it_is_made
    faked.engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    faked.engine.publisher.publish(TaskName.START, job)
    while faked.engine.publisher.messages and not lost:
        faked.engine.run(faked.engine.publisher.messages.popleft())
    assert lost[0] == "None"
    assert base_claims.next_wanted(database, host) == refused
