"""MACs and addresses that a request names, and networks with IPv6 or without any ranges."""

from typing import Any

import pytest
from sqlalchemy import insert

from app.domain.addressing import split_ip
from app.queue import TaskName
from app.store import networks
from app.store.models import ClusterL3Network, IpAllocator, IpRange, L3Network
from tests.factories import make_account, make_job, new_uuid
from tests.integration.engine.conftest import Faked

NICS = (
    "SELECT n.device_id, n.mac, n.meta_data, n.driver_type FROM vm_nics n "
    "JOIN items i ON i.vm_uuid = n.vm_instance_uuid ORDER BY i.ordinal, n.device_id"
)
IPS = (
    "SELECT u.ip, u.ip_version, u.ip_in_long, u.netmask, u.gateway, u.ip_range_uuid "
    "FROM used_ips u JOIN vm_nics n ON n.uuid = u.vm_nic_uuid "
    "JOIN items i ON i.vm_uuid = n.vm_instance_uuid ORDER BY i.ordinal, n.device_id, u.ip_version"
)


def add_range6(faked: Faked, network: str, start: str = "fd00::10", end: str = "fd00::ffff") -> str:
    uuid = new_uuid()
    values = {
        "uuid": uuid,
        "name": "six",
        "l3_network_uuid": network,
        "ip_version": 6,
        "start_ip": start,
        "end_ip": end,
        "start_ip_in_long": 0,
        "end_ip_in_long": 0,
        "netmask": "ffff:ffff:ffff:ffff::",
        "gateway": "fd00::1",
        "network_cidr": "fd00::/64",
    }
    with faked.engine.database.engine.begin() as connection:
        connection.execute(insert(IpRange), values)
    return uuid


def add_network(faked: Faked) -> str:
    """Without ranges."""
    uuid, place = new_uuid(), faked.inventory
    with faked.engine.database.engine.begin() as connection:
        connection.execute(
            insert(L3Network), {"uuid": uuid, "name": f"l3-{uuid}", "zone_uuid": place.zone}
        )
        connection.execute(
            insert(ClusterL3Network), {"cluster_uuid": place.cluster, "l3_network_uuid": uuid}
        )
    return uuid


def causes(faked: Faked, job: str) -> list[str | None]:
    rows = faked.engine.rows(
        "SELECT error FROM items WHERE job_uuid = :job ORDER BY ordinal", job=job
    )
    return [row.error and row.error["cause"]["code"] for row in rows]


def refusal(faked: Faked, **parameters: Any) -> tuple[str, str]:
    job = faked.job("a", **parameters)
    faked.engine.start(job)
    error = faked.engine.scalar("SELECT error FROM jobs WHERE uuid = :job", job=job)
    return error["code"], error["details"]


def test_each_name_has_the_address_and_the_mac_after_the_last(faked: Faked) -> None:
    nic: dict[str, Any] = {"l3NetworkUuid": faked.inventory.l3_network, "ip": "10.0.0.254"}
    nic |= {"mac": "fa:00:00:00:00:fd", "metaData": "m", "multiQueueNum": 2}
    job = faked.job("a", "b", "c", vmNicParams=[nic])
    faked.engine.start(job)
    assert faked.engine.item_states(job) == ["Succeeded"] * 3
    assert [row.ip for row in faked.engine.rows(IPS)] == ["10.0.0.254", "10.0.0.255", "10.0.1.0"]
    nics = faked.engine.rows(NICS)
    assert [nic.mac for nic in nics] == [f"fa:00:00:00:00:{octet}" for octet in ("fd", "fe", "ff")]
    assert {(nic.meta_data, nic.driver_type) for nic in nics} == {("m", "virtio")}


def test_one_that_is_in_use_fails_its_name_alone(faked: Faked) -> None:
    """The source's NIC has fa:00:00:00:01:00."""
    l3 = faked.inventory.l3_network
    job = faked.job("a", "b", "c", vmNicParams=[{"l3NetworkUuid": l3, "mac": "fa:00:00:00:00:ff"}])
    faked.engine.start(job)
    assert causes(faked, job) == [None, "VM.1009", None]
    faked.nothing_left_of("b")
    taken = faked.job("x", vmNicParams=[{"l3NetworkUuid": l3, "ip": "10.0.3.1"}])
    faked.engine.start(taken)
    job = faked.job("d", "e", vmNicParams=[{"l3NetworkUuid": l3, "ip": "10.0.3.0"}])
    faked.engine.start(job)
    assert causes(faked, job) == [None, "L3.1000"]
    faked.nothing_left_of("e")


def test_a_batch_looks_at_its_own_names_addresses_alone(
    make_faked: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    faked: Faked = make_faked(slots=3)
    looked_at = []

    def load(connection: Any, uuid: str, need: networks.AddressNeed, rng: Any) -> Any:
        looked_at.append(len(need.asked))
        return load_network(connection, uuid, need, rng)

    load_network = networks.load_network
    monkeypatch.setattr(networks, "load_network", load)
    nic = {"l3NetworkUuid": faked.inventory.l3_network, "ip": "10.0.0.100"}
    faked.engine.start(faked.job(*(f"a-{n}" for n in range(50)), vmNicParams=[nic]))
    assert max(looked_at) <= 3
    assert [row.ip for row in faked.engine.rows(IPS)] == [f"10.0.0.{100 + n}" for n in range(50)]


@pytest.mark.parametrize("allocator", [IpAllocator.RANDOM, IpAllocator.FIRST_AVAILABLE])
def test_what_waiting_names_ask_for_is_given_to_nobody_else(
    make_faked: Any, allocator: IpAllocator
) -> None:
    faked: Faked = make_faked(
        slots=1, first_ip="10.0.0.10", last_ip="10.0.0.19", ip_allocator=allocator
    )
    faked.engine.publisher.lost = lambda message: message[0] is TaskName.CLONE_VM
    nic = {"l3NetworkUuid": faked.inventory.l3_network, "ip": "10.0.0.10"}
    asking = faked.job(*(f"a-{n}" for n in range(9)), vmNicParams=[nic])
    faked.engine.start(asking)
    with faked.engine.database.engine.begin() as connection:
        other = make_account(connection, admin=True)
        taking = make_job(connection, faked.inventory.source, ["b"], account=other)
        connection.exec_driver_sql("UPDATE hosts SET slots = 2")
    faked.engine.start(taking)
    assert faked.engine.item_states(taking) == ["Granted"]
    assert faked.engine.scalar("SELECT count(*) FROM used_ips WHERE ip = '10.0.0.19'") == 1


def test_a_network_that_is_removed_meanwhile_fails_its_names_and_no_others(
    make_faked: Any,
) -> None:
    faked: Faked = make_faked(slots=0)
    network = add_network(faked)
    job = faked.job("a", vmNicParams=[{"l3NetworkUuid": network}])
    faked.engine.start(job)
    assert faked.engine.item_states(job) == ["Waiting"]
    other = faked.job("b")
    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql(
            f"DELETE FROM cluster_l3_networks WHERE l3_network_uuid = '{network}'"
        )
        connection.exec_driver_sql(f"DELETE FROM l3_networks WHERE uuid = '{network}'")
        connection.exec_driver_sql("UPDATE hosts SET slots = NULL")
    faked.engine.start(other)
    assert faked.engine.item_states(other) == ["Succeeded"]
    assert causes(faked, job) == ["HOST_ALLOCATION.1000"]


def test_a_storage_that_is_removed_meanwhile_fails_its_names_and_no_others(
    make_faked: Any,
) -> None:
    faked: Faked = make_faked(slots=0)
    storage = new_uuid()
    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql(
            "INSERT INTO primary_storages (uuid, name, type, url, zone_uuid, state, reflink) "
            f"SELECT '{storage}', 'other', type, '/other', zone_uuid, state, reflink "
            "FROM primary_storages"
        )
    job = faked.job("a", primaryStorageUuidForRootVolume=storage)
    faked.engine.start(job)
    assert faked.engine.item_states(job) == ["Waiting"]
    other = faked.job("b")
    with faked.engine.database.engine.begin() as connection:
        connection.exec_driver_sql(f"DELETE FROM primary_storages WHERE uuid = '{storage}'")
        connection.exec_driver_sql("UPDATE hosts SET slots = NULL")
    faked.engine.start(other)
    assert faked.engine.item_states(other) == ["Succeeded"]
    assert causes(faked, job) == ["SYS.1003"]


@pytest.mark.parametrize("table", ["vm_nics", "volumes"])
def test_a_source_that_changed_meanwhile_fails_its_names_and_no_others(
    make_faked: Any, table: str
) -> None:
    """What the names were to have was minted when their job was judged."""
    faked: Faked = make_faked(slots=0, data_volumes=2)
    job = faked.job("a", full=True)
    faked.engine.start(job)
    other = faked.job("b", vmNicParams=[{"l3NetworkUuid": faked.inventory.l3_network}])
    with faked.engine.database.engine.begin() as connection:
        if table == "vm_nics":
            connection.exec_driver_sql("DELETE FROM vm_nics")
        else:
            connection.exec_driver_sql(
                "DELETE FROM bases WHERE volume_uuid IN "
                "(SELECT uuid FROM volumes WHERE device_id = 2)"
            )
        connection.exec_driver_sql("UPDATE hosts SET slots = NULL")
    faked.engine.start(other)
    assert faked.engine.item_states(other) == ["Succeeded"]
    assert causes(faked, job) == ["SYS.1006"]


def test_tags_name_macs_one_a_name(faked: Faked) -> None:
    macs = ["fa:00:00:00:07:02", "fa:00:00:00:07:01"]
    tags = [f"customMac::{faked.inventory.l3_network}::{mac}" for mac in macs]
    job = faked.job("a", "b", "c", systemTags=tags)
    faked.engine.start(job)
    assert causes(faked, job) == [None, None, "VM.1009"]
    assert [nic.mac for nic in faked.engine.rows(NICS)] == macs
    assert faked.engine.scalar("SELECT count(*) FROM tags") == 0


@pytest.mark.parametrize("allocator", list(IpAllocator))
def test_a_network_of_both_families_gives_one_of_each(make_faked: Any, allocator: Any) -> None:
    faked: Faked = make_faked(ip_allocator=allocator)
    range6 = add_range6(faked, faked.inventory.l3_network)
    job = faked.job("a", "b")
    faked.engine.start(job)
    assert faked.engine.item_states(job) == ["Succeeded"] * 2
    ips = faked.engine.rows(IPS)
    assert [ip.ip_version for ip in ips] == [4, 6, 4, 6]
    for six in ips[1::2]:
        assert split_ip("fd00::10") <= split_ip(six.ip) <= split_ip("fd00::ffff")
        assert (six.ip_in_long, six.netmask, six.gateway, six.ip_range_uuid) == (
            0,
            "ffff:ffff:ffff:ffff::",
            "fd00::1",
            range6,
        )
    assert len({ip.ip for ip in ips}) == 4
    plan = faked.engine.scalar("SELECT plan FROM items WHERE name = 'a'")
    (nic,) = plan["nics"]
    assert (nic["ip6"], nic["prefix6"], nic["gateway6"]) == (ips[1].ip, 64, "fd00::1")


def test_a_range_as_large_as_a_subnet_of_ipv6_serves(faked: Faked) -> None:
    add_range6(faked, faked.inventory.l3_network, "fd00::", "fd00::ffff:ffff:ffff:ffff")
    job = faked.job(*(f"n{number}" for number in range(20)))
    faked.engine.start(job)
    assert faked.engine.item_states(job) == ["Succeeded"] * 20


def test_ipv6_addresses_run_out_as_others_do(faked: Faked) -> None:
    add_range6(faked, faked.inventory.l3_network, "fd00::10", "fd00::11")
    job = faked.job("a", "b", "c")
    faked.engine.start(job)
    assert causes(faked, job) == [None, None, "L3.1000"]
    faked.nothing_left_of("c")


def test_ipv6_is_named_by_tags_and_elements(faked: Faked) -> None:
    l3 = faked.inventory.l3_network
    add_range6(faked, l3)
    tagged = faked.job("a", systemTags=[f"staticIp::{l3}::fd00--77"])
    counted = faked.job("b", "c", vmNicParams=[{"l3NetworkUuid": l3, "ip6": "fd00::ff"}])
    for job in (tagged, counted):
        faked.engine.start(job)
    sixes = {row.ip for row in faked.engine.rows(IPS) if row.ip_version == 6}
    assert sixes == {"fd00::77", "fd00::ff", "fd00::100"}
    code, details = refusal(faked, systemTags=[f"staticIp::{l3}::fd01--1"])
    assert (code, "IP[fd01::1] is not available" in details) == ("L3.1000", True)


def test_a_network_without_ranges_gives_no_addresses(faked: Faked) -> None:
    l3 = add_network(faked)
    job = faked.job("a", vmNicParams=[{"l3NetworkUuid": l3}])
    faked.engine.start(job)
    assert faked.engine.item_states(job) == ["Succeeded"]
    assert faked.engine.rows(IPS) == []


def test_on_a_network_without_ranges_the_request_says_the_subnet(faked: Faked) -> None:
    l3 = add_network(faked)
    by_tags = [f"staticIp::{l3}::10.5.0.9", f"ipv4Netmask::{l3}::255.255.0.0"]
    by_tags += [f"ipv4Gateway::{l3}::10.5.0.1"]
    by_tags += [f"staticIp::{l3}::fd05--9", f"ipv6Prefix::{l3}::48", f"ipv6Gateway::{l3}::fd05--1"]
    job = faked.job("a", vmNicParams=[{"l3NetworkUuid": l3}], systemTags=by_tags)
    faked.engine.start(job)
    assert [tuple(row) for row in faked.engine.rows(IPS)] == [
        ("10.5.0.9", 4, split_ip("10.5.0.9")[1], "255.255.0.0", "10.5.0.1", None),
        ("fd05::9", 6, 0, "ffff:ffff:ffff::", "fd05::1", None),
    ]
    own = {"l3NetworkUuid": l3, "ip": "10.5.0.10", "netmask": "255.255.255.0"}
    job = faked.job("b", vmNicParams=[own | {"gateway": "10.5.0.2"}])
    faked.engine.start(job)
    assert {ip.gateway for ip in faked.engine.rows(IPS) if ip.ip == "10.5.0.10"} == {"10.5.0.2"}
    again = faked.job("c", vmNicParams=[own])
    faked.engine.start(again)
    assert causes(faked, again) == ["L3.1000"]


@pytest.mark.parametrize("ip", ["10.5.0.9", "fd05::9"])
def test_an_address_without_a_subnet_is_no_address(faked: Faked, ip: str) -> None:
    l3 = add_network(faked)
    by_element = {"l3NetworkUuid": l3, "ip" if "." in ip else "ip6": ip}
    by_tag = f"staticIp::{l3}::{ip.replace('::', '--')}"
    for parameters in ({"vmNicParams": [by_element]}, {"systemTags": [by_tag]}):
        code, details = refusal(faked, **parameters)
        assert (code, "no ranges to say its netmask" in details) == ("SYS.1007", True)


def test_a_range_says_netmask_and_gateway_itself(faked: Faked) -> None:
    l3 = faked.inventory.l3_network
    nic = {"l3NetworkUuid": l3, "ip": "10.0.5.5", "netmask": "255.255.0.0", "gateway": "10.0.0.1"}
    job = faked.job("a", vmNicParams=[nic])
    faked.engine.start(job)
    assert faked.engine.item_states(job) == ["Succeeded"]
    code, details = refusal(faked, vmNicParams=[nic | {"gateway": "10.0.0.2"}])
    assert (code, "gateway[10.0.0.2] is not that of" in details) == ("SYS.1007", True)
    code, _ = refusal(faked, systemTags=[f"ipv4Netmask::{l3}::255.0.0.0"])
    assert code == "SYS.1007"


@pytest.mark.parametrize("tag", ["customMac::{}::fa:00:00:00:00:09", "ipv6Prefix::{}::64"])
def test_tags_of_a_network_that_there_is_not_refuse_the_job(faked: Faked, tag: str) -> None:
    code, details = refusal(faked, systemTags=[tag.format("c" * 32)])
    assert code == "SYS.1003"
    assert "type:L3NetworkVO] not found" in details
