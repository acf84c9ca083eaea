"""Whatever a caller says of clones, the job ends, and never by a fault of ours."""

from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import insert

from app.store.models import DiskOffering
from tests.factories import new_uuid
from tests.integration.engine.conftest import Faked
from tests.integration.engine.test_addresses import add_network, add_range6

# Stand for uuids of the inventory, which a strategy does not know.
L3, BARE, STORAGE, OFFERING, NOWHERE = "<l3>", "<bare>", "<storage>", "<offering>", "c" * 32
IPS = st.sampled_from(["10.0.0.9", "10.0.0.30", "10.0.255.250", "10.0.0.1", "9.9.9.9", "fd00::20"])
IPS6 = st.sampled_from(["fd00::10", "fd00::ffff", "fd00::1", "ff02::1", "10.0.0.9"])
MACS = st.sampled_from(["fa:00:00:00:01:00", "fa:00:00:00:09:01", "fe:ff:ff:ff:ff:ff", "x"])
NETWORKS = st.sampled_from([L3, L3, L3, BARE, BARE, NOWHERE])
ODD = st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.lists(st.none())


def mostly(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.one_of(values, values, values, values, ODD)


NIC = st.fixed_dictionaries(
    {"l3NetworkUuid": mostly(NETWORKS)},
    optional={
        "mac": mostly(MACS),
        "ip": mostly(IPS),
        "netmask": mostly(st.sampled_from(["255.255.0.0", "255.255.255.0"])),
        "gateway": mostly(IPS),
        "ip6": mostly(IPS6),
        "prefix6": mostly(st.sampled_from(["64", "129"])),
        "gateway6": mostly(IPS6),
        "metaData": mostly(st.text()),
        "driverType": mostly(st.sampled_from(["virtio", "e1000"])),
        "multiQueueNum": mostly(st.integers(0, 300)),
        "isDefaultNic": ODD,
        "inboundBandwidth": mostly(st.integers(-1, 1 << 64)),
    },
)
DISK = st.fixed_dictionaries(
    {},
    optional={
        "boot": mostly(st.booleans()),
        "size": mostly(st.integers(-1, 1 << 63) | st.sampled_from([1, 1 << 30, 1 << 50])),
        "diskOfferingUuid": mostly(st.sampled_from([OFFERING, NOWHERE])),
        "primaryStorageUuid": mostly(st.sampled_from([STORAGE, NOWHERE])),
        "name": mostly(st.text()),
        "platform": mostly(st.sampled_from(["Linux", "Windows"])),
        "systemTags": mostly(st.lists(st.text())),
    },
)
TAG = st.one_of(
    st.builds("staticIp::{}::{}".format, NETWORKS, IPS | IPS6.map(lambda ip: ip.replace(":", "-"))),
    st.builds("customMac::{}::{}".format, NETWORKS, MACS),
    st.builds("ipv4Netmask::{}::{}".format, NETWORKS, st.sampled_from(["255.255.0.0", "1.2.3.4"])),
    st.builds("ipv4Gateway::{}::{}".format, NETWORKS, IPS),
    st.builds("ipv6Prefix::{}::{}".format, NETWORKS, st.integers(0, 130)),
    st.builds("primaryStorageUuidForDataVolume::{}".format, st.sampled_from([STORAGE, NOWHERE])),
    st.sampled_from(["consolePassword::x", "bootMode::UEFI", "vmPriority::High"]),
    st.sampled_from(["qemuga", "qemuga::", "qemuga::\x00"]),
)


def placed(value: Any, names: dict[str, str]) -> Any:
    if isinstance(value, dict):
        return {key: placed(inner, names) for key, inner in value.items()}
    if isinstance(value, list):
        return [placed(inner, names) for inner in value]
    if isinstance(value, str):
        for stand_in, uuid in names.items():
            value = value.replace(stand_in, uuid)
    return value


def test_every_job_ends_and_never_by_a_fault_of_ours(faked: Faked) -> None:
    bare, offering = add_network(faked), new_uuid()
    add_range6(faked, faked.inventory.l3_network)
    with faked.engine.database.engine.begin() as connection:
        connection.execute(
            insert(DiskOffering), {"uuid": offering, "name": "o", "disk_size": 1 << 20}
        )
    places = {L3: faked.inventory.l3_network, BARE: bare}
    places |= {STORAGE: faked.inventory.storage, OFFERING: offering}

    @settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
    @given(
        st.fixed_dictionaries(
            {},
            optional={
                "vmNicParams": mostly(st.lists(mostly(NIC), max_size=3)),
                "diskAOs": mostly(st.lists(mostly(DISK), max_size=3)),
                "systemTags": mostly(st.lists(TAG, max_size=4)),
                "vmCustomSpecification": ODD,
                "full": ODD,
            },
        )
    )
    def check(parameters: dict[str, Any]) -> None:
        job = faked.job("a", "b", **placed(parameters, places))
        faked.engine.start(job)
        faked.engine.drain()
        ended = faked.engine.rows(
            "SELECT j.state::text AS state, j.error->>'code' AS code, "
            "ARRAY(SELECT i.error::text FROM items i WHERE i.job_uuid = j.uuid) AS errors "
            "FROM jobs j WHERE uuid = :job",
            job=job,
        )[0]
        assert ended.state == "Finished"
        assert ended.code != "SYS.1000"
        assert "SYS.1000" not in str(ended.errors)

    check()
    faked.capacity_adds_up()
    ends = "SELECT count(*) FROM items WHERE state = CAST(:state AS item_state)"
    assert faked.engine.scalar(ends, state="Succeeded") > 4, "many of them mean something"
