"""Quotas are exact: the last one that fits is taken, the next one refused, and no two requests
share what is left. What is shared may be copied, and nothing else of others."""

import threading
from typing import Any

import pytest
from sqlalchemy import insert

from app.domain.errors import InvalidQuota, ResourceNotFound
from app.store import account_edits, quotas, shares
from app.store.models import Image
from app.store.models.identity import EVERY_ACCOUNT, QuotaName
from app.store.session import Database
from tests.factories import GIB, make_account, new_uuid
from tests.integration.engine.conftest import Faked
from workers.start import start_job

MIB = 1 << 20


@pytest.fixture
def faked(make_faked: Any) -> Faked:
    made: Faked = make_faked(vm_cpu=2, vm_memory=GIB)
    return made


@pytest.fixture
def tenant(faked: Faked) -> str:
    """With whom the source is shared."""
    with faked.engine.database.engine.begin() as connection:
        uuid = make_account(connection)
        (source,) = shares.find(connection, [faked.inventory.source])
        shares.share(connection, [source], accounts=[uuid], to_public=False)
    return uuid


def put(faked: Faked, account: str, name: str, value: int) -> None:
    faked.engine.database.run(lambda c: quotas.put(c, account, name, value))


def used(faked: Faked, account: str) -> dict[str, int]:
    found = faked.engine.database.run(lambda c: quotas.usages(c, account))
    return {usage.name: usage.used for usage in found}


def clone(faked: Faked, account: str, *names: str, **parameters: Any) -> str:
    job = faked.job(*names, account=account, **parameters)
    faked.engine.start(job)
    return job


def error_of(faked: Faked, job: str) -> Any:
    return faked.engine.scalar("SELECT error FROM jobs WHERE uuid = :job", job=job)


EACH = {
    QuotaName.VM_TOTAL_NUM: 1,
    QuotaName.VM_NUM: 1,
    QuotaName.VM_CPU_NUM: 2,
    QuotaName.VM_MEMORY_SIZE: GIB,
    QuotaName.DATA_VOLUME_NUM: 1,
    QuotaName.VOLUME_CAPACITY: 2 * MIB,
}


@pytest.mark.parametrize("name", QuotaName)
def test_a_quota_is_exact_and_its_refusal_has_the_numbers(
    faked: Faked, tenant: str, name: QuotaName
) -> None:
    limit = 3 * EACH[name]
    put(faked, tenant, name, limit)
    assert error_of(faked, clone(faked, tenant, "a", "b", full=True)) is None
    refused = clone(faked, tenant, "c", "d", full=True)
    error = error_of(faked, refused)
    assert error["code"] == "ID.1003"
    taken = 2 * EACH[name]
    for part in (tenant, str(name), f"value: {limit}", f"used:{taken},", f"Request:{taken}."):
        assert part in error["details"]
    assert error["opaque"] == {
        "account": tenant,
        "quota": name,
        "limit": limit,
        "used": taken,
        "requested": taken,
    }
    assert faked.engine.item_states(refused) == []
    assert error_of(faked, clone(faked, tenant, "c", full=True)) is None
    assert used(faked, tenant) == {quota: 3 * amount for quota, amount in EACH.items()}


def test_a_quota_of_minus_one_is_none_and_an_account_s_own_wins(faked: Faked, tenant: str) -> None:
    put(faked, EVERY_ACCOUNT, "vm.totalNum", 0)
    assert error_of(faked, clone(faked, tenant, "a"))["code"] == "ID.1003"
    put(faked, tenant, "vm.totalNum", -1)
    assert error_of(faked, clone(faked, tenant, "a", "b", "c")) is None


def test_administrators_are_exempt(faked: Faked) -> None:
    put(faked, EVERY_ACCOUNT, "vm.totalNum", 0)
    job = faked.job("a")
    faked.engine.start(job)
    assert faked.engine.item_states(job) == ["Succeeded"]


@pytest.mark.parametrize("strategy", ["CreateStopped", "JustCreate"])
def test_what_does_not_run_counts_as_vms_alone(faked: Faked, tenant: str, strategy: str) -> None:
    for name in ("vm.num", "vm.cpuNum", "vm.memorySize"):
        put(faked, tenant, name, 0)
    put(faked, tenant, "vm.totalNum", 2)
    assert error_of(faked, clone(faked, tenant, "a", "b", strategy=strategy)) is None
    assert error_of(faked, clone(faked, tenant, "c", strategy=strategy))["code"] == "ID.1003"


def test_names_that_wait_count_and_names_that_failed_do_not(faked: Faked, tenant: str) -> None:
    put(faked, tenant, "vm.totalNum", 2)
    job = faked.job("a", "b", account=tenant, deadline_s=3600)
    start_job(job, faked.engine.worker)
    assert faked.engine.item_states(job) == ["Waiting", "Waiting"]
    assert used(faked, tenant)["vm.totalNum"] == 2
    assert error_of(faked, clone(faked, tenant, "c"))["code"] == "ID.1003"
    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql(
            "UPDATE jobs SET cancel_requested_at = clock_timestamp() WHERE uuid = %s", (job,)
        )
    faked.engine.sweep()
    faked.engine.drain()
    assert used(faked, tenant)["vm.totalNum"] == faked.engine.item_states(job).count("Succeeded")


def test_concurrent_requests_of_an_account_never_exceed_its_quota(
    faked: Faked, tenant: str, database_url: str
) -> None:
    put(faked, tenant, "vm.totalNum", 10)
    jobs = [faked.job("a", "b", "c", account=tenant) for _ in range(8)]
    gate = threading.Barrier(len(jobs))

    def start(job: str) -> None:
        gate.wait()
        start_job(job, faked.engine.worker)

    # Each with a connection of its own; the publisher is a list, which all may append to.
    threads = [threading.Thread(target=start, args=(job,)) for job in jobs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    running = sum(error_of(faked, job) is None for job in jobs)
    assert running == 3
    assert used(faked, tenant)["vm.totalNum"] == 9


def test_a_quota_that_cannot_be_is_refused(database: Database) -> None:
    with database.engine.begin() as connection:
        account = make_account(connection)
        with pytest.raises(InvalidQuota, match=r"vm\.totalNum"):
            quotas.put(connection, account, "vm.nums", 1)
        with pytest.raises(InvalidQuota, match="0 or more"):
            quotas.put(connection, account, "vm.num", -2)
        with pytest.raises(ResourceNotFound):
            quotas.put(connection, new_uuid(), "vm.num", 1)


def test_a_source_of_another_account_must_be_shared(faked: Faked, tenant: str) -> None:
    with faked.engine.database.engine.begin() as connection:
        stranger = make_account(connection)
    refused = clone(faked, stranger, "a")
    assert error_of(faked, refused)["code"] == "ID.1002"
    shared = clone(faked, tenant, "a")
    assert faked.engine.item_states(shared) == ["Succeeded"]
    owners = "SELECT DISTINCT account_uuid FROM vm_instances WHERE origin = 'cloned'"
    assert faked.engine.scalar(owners) == tenant
    with faked.engine.database.engine.begin() as connection:
        source = shares.find(connection, [faked.inventory.source])
        shares.revoke(connection, source, accounts=[tenant], to_public=False, everything=False)
    assert error_of(faked, clone(faked, tenant, "b"))["code"] == "ID.1002"
    with faked.engine.database.engine.begin() as connection:
        shares.share(connection, source, accounts=[], to_public=True)
    assert error_of(faked, clone(faked, stranger, "c")) is None


def test_another_network_must_be_shared(faked: Faked, tenant: str) -> None:
    other = new_uuid()
    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO l3_networks (uuid, name, zone_uuid, ip_allocator, state) "
            "SELECT %s, 'other', zone_uuid, ip_allocator, state FROM l3_networks LIMIT 1",
            (other,),
        )
    nics = [{"l3NetworkUuid": other}]
    assert error_of(faked, clone(faked, tenant, "a", vmNicParams=nics))["code"] == "ID.1002"
    with faked.engine.database.engine.begin() as connection:
        network = shares.find(connection, [other])
        shares.share(connection, network, accounts=[tenant], to_public=False)
    assert error_of(faked, clone(faked, tenant, "b", vmNicParams=nics)) is None
    own = [{"l3NetworkUuid": faked.inventory.l3_network}]
    assert error_of(faked, clone(faked, tenant, "c", vmNicParams=own)) is None


def test_an_iso_in_a_drive_must_be_there_and_shared(faked: Faked, tenant: str) -> None:
    iso = new_uuid()
    tags = [f"cdroms::{iso}::empty"]
    assert error_of(faked, clone(faked, tenant, "a", systemTags=tags))["code"] == "SYS.1003"
    with faked.engine.database.engine.begin() as connection:
        connection.execute(insert(Image), {"uuid": iso, "name": "dvd", "size": 1})
    assert error_of(faked, clone(faked, tenant, "b", systemTags=tags))["code"] == "ID.1002"
    with faked.engine.database.engine.begin() as connection:
        shared = shares.find(connection, [iso])
        shares.share(connection, shared, accounts=[tenant], to_public=False)
    assert error_of(faked, clone(faked, tenant, "c", systemTags=tags)) is None
    drives = faked.engine.rows(
        "SELECT iso_uuid FROM vm_cdroms JOIN items ON vm_uuid = vm_instance_uuid ORDER BY device_id"
    )
    assert [drive.iso_uuid for drive in drives] == [iso, None]


def test_on_kvm_an_iso_without_a_file_is_no_iso(faked: Faked, tenant: str) -> None:
    iso = new_uuid()
    with faked.engine.database.engine.begin() as connection:
        connection.execute(insert(Image), {"uuid": iso, "name": "dvd", "size": 1})
        shares.share(connection, shares.find(connection, [iso]), accounts=[tenant], to_public=True)
        connection.exec_driver_sql("UPDATE clusters SET hypervisor_type = 'KVM'")
        connection.exec_driver_sql("UPDATE vm_instances SET hypervisor_type = 'KVM'")
    job = clone(faked, tenant, "a", systemTags=[f"cdroms::{iso}"])
    assert error_of(faked, job)["code"] == "SYS.1014"


def test_a_job_of_an_account_that_was_deleted_is_refused(faked: Faked, tenant: str) -> None:
    job = faked.job("a", account=tenant)
    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE jobs SET account_uuid = %s", (new_uuid(),))
        account_edits.delete_account(connection, tenant)
    faked.engine.start(job)
    assert error_of(faked, job)["code"] == "ID.1002"
