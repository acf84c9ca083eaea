"""Hosts, addresses and space: who gets what, and what a shortage says."""

from typing import Any

import pytest

from app.store import hosts
from app.store.models import IpAllocator
from tests.factories import GIB, make_account, make_job
from tests.integration.engine.conftest import Faked


def test_one_name_too_many_for_the_range_fails_alone(make_faked: Any) -> None:
    faked: Faked = make_faked(first_ip="10.0.0.10", last_ip="10.0.0.12")
    job = faked.job("a", "b", "c", "d")
    faked.engine.start(job)
    assert faked.engine.item_states(job) == ["Succeeded"] * 3 + ["Failed"]
    error = faked.engine.scalar("SELECT error FROM items WHERE name = 'd'")
    assert error["cause"]["code"] == "L3.1000"
    assert "no ip is available" in error["cause"]["details"]
    faked.nothing_left_of("d")


def test_first_available_addresses_come_in_order(make_faked: Any) -> None:
    faked: Faked = make_faked(ip_allocator=IpAllocator.FIRST_AVAILABLE)
    faked.engine.start(faked.job("a", "b", "c"))
    rows = faked.engine.rows(
        "SELECT u.ip FROM used_ips u JOIN vm_nics n ON n.uuid = u.vm_nic_uuid "
        "JOIN items i ON i.vm_uuid = n.vm_instance_uuid ORDER BY i.ordinal"
    )
    assert [row.ip for row in rows] == ["10.0.0.10", "10.0.0.11", "10.0.0.12"]


def test_a_static_address_serves_one_name_and_fails_the_next(faked: Faked) -> None:
    tag = f"staticIp::{faked.inventory.l3_network}::10.0.0.77"
    job = faked.job("a", "b", systemTags=[tag])
    faked.engine.start(job)
    assert faked.engine.item_states(job) == ["Succeeded", "Failed"]
    assert faked.engine.scalar("SELECT count(*) FROM used_ips WHERE ip = '10.0.0.77'") == 1
    error = faked.engine.scalar("SELECT error FROM items WHERE name = 'b'")
    assert "IP[10.0.0.77] is not available" in error["cause"]["details"]


def test_a_static_address_outside_the_ranges_refuses_the_job(faked: Faked) -> None:
    job = faked.job("a", systemTags=[f"staticIp::{faked.inventory.l3_network}::10.9.9.9"])
    faked.engine.start(job)
    error = faked.engine.scalar("SELECT error FROM jobs WHERE uuid = :job", job=job)
    assert (error["code"], "IP[10.9.9.9] is not available" in error["details"]) == ("L3.1000", True)


def test_clones_have_the_nics_that_were_asked_for(faked: Faked) -> None:
    l3 = faked.inventory.l3_network
    nics = [
        {"l3NetworkUuid": l3, "driverType": "e1000", "state": "disable"},
        {"l3NetworkUuid": l3, "isDefaultNic": True, "inboundBandwidth": 8000},
    ]
    job = faked.job("a", "b", vmNicParams=nics)
    faked.engine.start(job)
    assert faked.engine.item_states(job) == ["Succeeded"] * 2
    rows = faked.engine.rows(
        "SELECT n.device_id, n.driver_type, n.state::text AS state, u.ip FROM vm_nics n "
        "JOIN vm_instances v ON v.uuid = n.vm_instance_uuid JOIN used_ips u "
        "ON u.vm_nic_uuid = n.uuid WHERE v.origin = 'cloned' ORDER BY n.device_id"
    )
    assert [(row.device_id, row.driver_type, row.state) for row in rows] == [
        *[(0, "e1000", "disable")] * 2,
        *[(1, "virtio", "enable")] * 2,
    ]
    assert len({row.ip for row in rows}) == 4
    plan = faked.engine.scalar("SELECT plan FROM items LIMIT 1")
    assert [nic["is_default"] for nic in plan["nics"]] == [False, True]
    assert [nic["inbound"] for nic in plan["nics"]] == [None, 8000]


def test_a_clones_nics_are_its_sources_otherwise(faked: Faked) -> None:
    job = faked.job("a")
    faked.engine.start(job)
    (nic,) = faked.engine.scalar("SELECT plan FROM items")["nics"]
    assert (nic["model"], nic["driver_type"], nic["is_default"]) == (None, "virtio", True)


def test_a_nic_has_the_address_that_was_asked_for(faked: Faked) -> None:
    l3 = faked.inventory.l3_network
    nics = [{"l3NetworkUuid": l3}, {"l3NetworkUuid": l3, "ip": "10.0.0.77"}]
    job = faked.job("a", vmNicParams=nics)
    faked.engine.start(job)
    plan = faked.engine.scalar("SELECT plan FROM items")
    assert plan["nics"][1]["ip"] == "10.0.0.77" != plan["nics"][0]["ip"]
    again = faked.job("b", vmNicParams=nics)
    faked.engine.start(again)
    assert faked.engine.item_states(again) == ["Failed"]
    outside = faked.job("c", vmNicParams=[{"l3NetworkUuid": l3, "ip": "11.0.0.1"}])
    faked.engine.start(outside)
    error = faked.engine.scalar("SELECT error FROM jobs WHERE uuid = :job", job=outside)
    assert error["code"] == "L3.1000"


def test_a_nic_in_an_unknown_network_refuses_the_job(faked: Faked) -> None:
    job = faked.job("a", vmNicParams=[{"l3NetworkUuid": "0" * 32}])
    faked.engine.start(job)
    error = faked.engine.scalar("SELECT error FROM jobs WHERE uuid = :job", job=job)
    assert error["details"].startswith("invalid field[vmNicParams], resource[uuid:0000")


def test_addresses_and_macs_are_never_given_twice(faked: Faked) -> None:
    faked.engine.start(faked.job(*(f"vm-{n}" for n in range(300))))
    assert faked.engine.scalar("SELECT count(DISTINCT ip) FROM used_ips") == 301
    assert faked.engine.scalar("SELECT count(DISTINCT mac) FROM vm_nics") == 301
    assert (
        faked.engine.scalar("SELECT count(*) FROM vm_nics WHERE mac !~ '^fa(:[0-9a-f]{2}){5}$'")
        == 0
    )


def test_clones_are_spread_over_the_hosts_with_fewest_vms(make_faked: Any) -> None:
    faked: Faked = make_faked(hosts=3)
    faked.engine.start(faked.job(*(f"vm-{n}" for n in range(9))))
    rows = faked.engine.rows(
        "SELECT host_uuid, count(*) FROM vm_instances WHERE origin = 'cloned' GROUP BY host_uuid"
    )
    assert [row.count for row in rows] == [3, 3, 3]


def test_the_last_host_is_preferred(make_faked: Any) -> None:
    faked: Faked = make_faked(hosts=3, strategy="LastHostPreferredAllocatorStrategy")
    faked.engine.start(faked.job("a", "b", "c"))
    rows = faked.engine.rows("SELECT DISTINCT host_uuid FROM items")
    assert [row.host_uuid for row in rows] == [faked.inventory.hosts[0]]


def test_a_designated_host_takes_them_all(make_faked: Any) -> None:
    faked: Faked = make_faked(hosts=3)
    wanted = faked.inventory.hosts[2]
    faked.engine.start(faked.job("a", "b", hostUuid=wanted))
    rows = faked.engine.rows("SELECT DISTINCT host_uuid FROM items")
    assert [row.host_uuid for row in rows] == [wanted]


def test_names_that_fit_no_host_fail_with_the_numbers(make_faked: Any) -> None:
    faked: Faked = make_faked(cpu=2)
    job = faked.job("a", "b", "c")
    faked.engine.start(job)
    assert faked.engine.item_states(job) == ["Succeeded", "Succeeded", "Failed"]
    cause = faked.engine.scalar("SELECT error FROM items WHERE name = 'c'")["cause"]
    assert cause["code"] == "HOST_ALLOCATION.1000"
    assert cause["details"] == f"no host having cpu[1], memory[{GIB} bytes] found"
    faked.nothing_left_of("c")


def test_a_full_storage_fails_by_name(make_faked: Any) -> None:
    faked: Faked = make_faked(storage_bytes=3 << 20)
    job = faked.job("a", "b", "c", "d", systemTags=["cloneMode::full"])
    faked.engine.start(job)
    states = faked.engine.item_states(job)
    assert states == ["Succeeded"] * states.count("Succeeded") + ["Failed"] * states.count("Failed")
    assert 0 < states.count("Failed") < 4
    cause = faked.engine.scalar("SELECT error FROM items WHERE name = 'd'")["cause"]
    assert cause["code"] == "PS.1000"
    faked.nothing_left_of("d")


def test_a_disabled_host_gets_nothing(make_faked: Any) -> None:
    faked: Faked = make_faked()
    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE hosts SET state = 'Disabled'")
    job = faked.job("a")
    faked.engine.start(job)
    assert faked.engine.item_states(job) == ["Failed"]
    cause = faked.engine.scalar("SELECT error FROM items")["cause"]
    assert cause["details"] == "no Enabled hosts found in the [1] candidate hosts"


def test_clones_go_where_their_machine_runs(make_faked: Any) -> None:
    faked: Faked = make_faked(hosts=3)
    unable, able, not_asked = faked.inventory.hosts
    faked.hypervisor.needs = ("machine type new",)
    with faked.engine.database.engine.begin() as connection:
        hosts.report_runs(connection, unable, ["machine type old"])
        hosts.report_runs(connection, able, ["machine type new", "machine type old"])
    job = faked.job("a", "b", "c", "d")
    faked.engine.start(job)
    assert faked.engine.item_states(job) == ["Succeeded"] * 4
    rows = faked.engine.rows("SELECT DISTINCT host_uuid FROM items")
    assert {row.host_uuid for row in rows} == {able, not_asked}


def test_a_machine_that_no_host_runs_fails_by_its_name(make_faked: Any) -> None:
    faked: Faked = make_faked()
    faked.hypervisor.needs = ("machine type new",)
    with faked.engine.database.engine.begin() as connection:
        hosts.report_runs(connection, faked.inventory.hosts[0], [])
    job = faked.job("a")
    faked.engine.start(job)
    cause = faked.engine.scalar("SELECT error FROM items")["cause"]
    assert cause["code"] == "HOST_ALLOCATION.1000"
    assert "needs: machine type new;" in cause["details"]


def test_without_a_free_slot_names_wait_and_say_so(make_faked: Any) -> None:
    faked: Faked = make_faked(slots=1)
    faked.engine.publisher.lost = lambda message: message[0] == "vmclone.clone_vm"
    job = faked.job("a", "b")
    faked.engine.start(job)
    assert faked.engine.item_states(job) == ["Granted", "Waiting"]
    assert faked.engine.scalar("SELECT wait_reason::text FROM jobs") == "hostSlots"


def test_a_small_account_goes_ahead_of_anothers_thousands(make_faked: Any) -> None:
    faked: Faked = make_faked(slots=4)
    faked.engine.publisher.lost = lambda message: message[0] == "vmclone.clone_vm"
    faked.engine.start(faked.job(*(f"big-{n}" for n in range(50))))
    with faked.engine.database.engine.begin() as connection:
        other = make_account(connection, admin=True)
        small = make_job(connection, faked.inventory.source, ["small"], account=other)
    faked.engine.start(small)
    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE hosts SET slots = 5")
    faked.engine.sweep()
    assert faked.engine.item_states(small) == ["Granted"]


@pytest.mark.parametrize("seen", [True, False])
def test_a_host_that_nobody_serves_gets_no_grant(make_faked: Any, seen: bool) -> None:
    faked: Faked = make_faked()
    if not seen:
        with faked.engine.database.engine.begin() as connection:
            connection.exec_driver_sql("UPDATE hosts SET seen_at = NULL")
    job = faked.job("a")
    faked.engine.start(job)
    assert faked.engine.item_states(job) == ["Succeeded" if seen else "Waiting"]
