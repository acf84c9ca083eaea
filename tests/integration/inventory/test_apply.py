"""What a document declares is in the database, once, or nothing of it is."""

import base64
import random
from collections.abc import Callable
from pathlib import Path
from textwrap import dedent
from typing import Any

import pytest
from sqlalchemy import text

from app.domain.addressing import to_number
from app.domain.errors import InvalidArgument, ResourceNotFound
from app.settings import Settings
from app.store import capacity
from app.store.accounts import ADMIN_UUID
from app.store.capacity import Holding
from app.store.inventory import known
from app.store.inventory.values import Kind
from app.store.models import ReservationKind, ResourceState
from app.store.models import metadata as tables
from app.store.session import Database
from tests.factories import make_account
from workers.ops.inventory import commands
from workers.ops.inventory.commands import Applied

GIB = 1 << 30
DOCUMENT = dedent(
    """\
    zones: [{name: z}]
    clusters: [{name: c, zone: z, hypervisorType: Simulator}]
    hosts: [{name: h, cluster: c, managementIp: 127.0.0.1, cpuNum: 8, memorySize: 16GiB}]
    primaryStorage: [{name: ps, type: LocalStorage, url: /srv/ps, clusters: [c], capacity: 10GiB}]
    l3Networks:
      - name: l3
        zone: z
        bridge: br0
        dns: [10.0.0.1]
        ipRanges:
          - {startIp: 10.0.0.10, endIp: 10.0.0.12, netmask: 255.255.255.0, gateway: 10.0.0.1}
    vmInstances:
      - name: golden
        cluster: c
        state: Running
        cpuNum: 2
        memorySize: 1GiB
        volumes:
          - {type: Root, primaryStorage: ps, path: /i/root.qcow2, size: 4GiB}
          - {type: Data, primaryStorage: ps, path: /i/data.raw, format: raw, size: 1GiB}
        nics: [{l3Network: l3}]
        cdroms: [{iso: /i/x.iso}, {iso: null}]
        systemTags: [a::b]
    """
)
Apply = Callable[..., Applied]


@pytest.fixture
def apply(database: Database, tmp_path: Path) -> Apply:
    """Apply DOCUMENT with these replacements made."""
    settings = Settings(home=tmp_path)
    database.run(lambda connection: make_account(connection, ADMIN_UUID, admin=True))

    def run(*changes: tuple[str, str], document: str = DOCUMENT) -> Applied:
        for old, new in changes:
            assert old in document
            document = document.replace(old, new)
        file = tmp_path / "inventory.yaml"
        file.write_text(document)
        return commands.apply(database, settings, file)

    return run


def rows(database: Database, query: str, **values: object) -> list[tuple[Any, ...]]:
    with database.engine.connect() as connection:
        return [tuple(row) for row in connection.execute(text(query), values)]


def everything(database: Database) -> dict[str, list[tuple[Any, ...]]]:
    return {
        name: sorted(rows(database, f"SELECT * FROM {name}"), key=repr) for name in tables.tables
    }


def test_the_world_after_an_apply(apply: Apply, database: Database) -> None:
    applied = apply()
    uuids = {(kind.value, name): uuid for kind, name, uuid in applied.entries}
    golden = uuids["vm", "golden"]
    assert rows(
        database,
        "SELECT state::text, origin::text, host_uuid, last_host_uuid, cluster_uuid, "
        "hypervisor_type::text FROM vm_instances WHERE uuid = :uuid",
        uuid=golden,
    ) == [
        (
            "Running",
            "adopted",
            uuids["host", "h"],
            uuids["host", "h"],
            uuids["cluster", "c"],
            "Simulator",
        )
    ]
    assert rows(
        database,
        "SELECT type::text, device_id, install_path, format::text, size, status::text "
        "FROM volumes WHERE vm_instance_uuid = :uuid ORDER BY device_id",
        uuid=golden,
    ) == [
        ("Root", 0, "/i/root.qcow2", "qcow2", 4 * GIB, "Ready"),
        ("Data", 1, "/i/data.raw", "raw", GIB, "Ready"),
    ]
    assert rows(
        database,
        "SELECT total_cpu, available_cpu, total_memory, available_memory FROM host_capacities",
    ) == [(80, 78, 16 * GIB, 15 * GIB)]
    assert rows(database, "SELECT total_bytes, available_bytes FROM storage_capacities") == [
        (10 * GIB, 10 * GIB)
    ]
    assert rows(
        database, "SELECT device_id, iso_install_path FROM vm_cdroms ORDER BY device_id"
    ) == [(0, "/i/x.iso"), (1, None)]
    assert rows(database, "SELECT kind::text, tag FROM tags") == [("System", "a::b")]
    [(mac, internal_name, internal_id)] = rows(
        database, "SELECT mac, internal_name, internal_id FROM vm_nics CROSS JOIN vm_instances"
    )
    assert mac.startswith("fa:")
    assert mac.endswith(":00")
    assert internal_name == f"vnic{internal_id}.0"
    [(ip, range_uuid)] = rows(database, "SELECT ip, ip_range_uuid FROM used_ips")
    assert ip in {"10.0.0.10", "10.0.0.11", "10.0.0.12"}
    assert rows(database, "SELECT uuid FROM ip_ranges") == [(range_uuid,)]


def test_applied_twice_nothing_moves(apply: Apply, database: Database) -> None:
    first = apply()
    before = everything(database)
    assert apply() == first
    assert everything(database) == before


def test_every_key_may_change_and_uuids_stay(apply: Apply, database: Database) -> None:
    first = apply()
    second = apply(
        ("cpuNum: 8", "cpuNum: 4"),
        ("memorySize: 1GiB", "memorySize: 2GiB"),
        ("bridge: br0", "bridge: br1"),
        ("endIp: 10.0.0.12", "endIp: 10.0.0.40"),
        ("capacity: 10GiB", "capacity: 20GiB"),
        ("systemTags: [a::b]", "userTags: [u]"),
        ("cdroms: [{iso: /i/x.iso}, {iso: null}]", "cdroms: [{iso: null}]"),
    )
    assert first.entries == second.entries
    assert rows(
        database,
        "SELECT total_cpu, available_cpu, total_memory, available_memory FROM host_capacities",
    ) == [(40, 38, 16 * GIB, 14 * GIB)]
    assert rows(database, "SELECT bridge, end_ip FROM l3_networks CROSS JOIN ip_ranges") == [
        ("br1", "10.0.0.40")
    ]
    assert rows(database, "SELECT available_bytes FROM storage_capacities") == [(20 * GIB,)]
    assert rows(database, "SELECT kind::text, tag FROM tags") == [("User", "u")]
    assert rows(database, "SELECT device_id, iso_install_path FROM vm_cdroms") == [(0, None)]


def test_a_stopped_vm_gives_back_what_it_held(apply: Apply, database: Database) -> None:
    apply()
    apply(("state: Running", "state: Stopped"))
    assert rows(database, "SELECT available_cpu, available_memory FROM host_capacities") == [
        (80, 16 * GIB)
    ]
    assert rows(database, "SELECT host_uuid, last_host_uuid IS NULL FROM vm_instances") == [
        (None, False)
    ]


def test_what_clones_hold_stays_held(apply: Apply, database: Database) -> None:
    uuids = {kind: uuid for kind, _, uuid in apply().entries}
    database.run(
        lambda connection: capacity.reserve(
            connection,
            [
                Holding(ReservationKind.CPU, uuids[Kind.HOST], "1" * 32, 10),
                Holding(ReservationKind.STORAGE, uuids[Kind.STORAGE], "2" * 32, GIB),
            ],
        )
    )
    apply(("cpuNum: 8", "cpuNum: 2"), ("capacity: 10GiB", "capacity: 5GiB"))
    assert rows(database, "SELECT total_cpu, available_cpu FROM host_capacities") == [(20, 8)]
    assert rows(database, "SELECT available_bytes FROM storage_capacities") == [(4 * GIB,)]


def test_a_host_too_small_for_its_running_vms_is_refused(apply: Apply, database: Database) -> None:
    apply()
    before = everything(database)
    with pytest.raises(InvalidArgument, match=r":3:\d+: host 'h': has \d+ bytes of memory .* need"):
        apply(("memorySize: 16GiB", "memorySize: 1MiB"))
    assert everything(database) == before


def test_a_dangling_reference_writes_nothing(apply: Apply, database: Database) -> None:
    before = everything(database)
    with pytest.raises(InvalidArgument, match="there is no network 'l9'; declared are: l3"):
        apply(("l3Network: l3}", "l3Network: l9}"))
    assert everything(database) == before


def test_vms_need_the_account_they_belong_to(database: Database, tmp_path: Path) -> None:
    file = tmp_path / "inventory.yaml"
    file.write_text(DOCUMENT)
    with pytest.raises(InvalidArgument, match="the database has no admin account yet"):
        commands.apply(database, Settings(home=tmp_path), file)
    assert rows(database, "SELECT name FROM zones") == []


def test_a_second_document_refers_to_what_is_there(apply: Apply, database: Database) -> None:
    first = apply()
    second = dedent(
        """\
        vmInstances:
          - name: silver
            cluster: c
            cpuNum: 1
            memorySize: 1GiB
            volumes: [{type: Root, primaryStorage: ps, path: /i/silver.qcow2, size: 1GiB}]
            nics: [{l3Network: l3}]
        """
    )
    apply(document=second)
    assert rows(database, "SELECT name FROM vm_instances ORDER BY name") == [
        ("golden",),
        ("silver",),
    ]
    assert len(set(rows(database, "SELECT ip FROM used_ips"))) == 2
    assert apply() == first


def test_addresses_are_kept_until_others_are_declared(apply: Apply, database: Database) -> None:
    apply()
    [(ip, mac)] = rows(database, "SELECT ip, mac FROM used_ips CROSS JOIN vm_nics")
    apply(("endIp: 10.0.0.12", "endIp: 10.0.0.99"))
    assert rows(database, "SELECT ip, mac FROM used_ips CROSS JOIN vm_nics") == [(ip, mac)]
    apply(("l3Network: l3}", "l3Network: l3, ip: 10.0.0.77, mac: fa:00:00:00:00:09}"))
    assert rows(database, "SELECT ip, ip_range_uuid, mac FROM used_ips CROSS JOIN vm_nics") == [
        ("10.0.0.77", None, "fa:00:00:00:00:09")
    ]


def test_an_address_that_somebody_has_is_refused_by_place(apply: Apply, database: Database) -> None:
    apply(("l3Network: l3}", "l3Network: l3, ip: 10.0.0.11}"))
    before = everything(database)
    silver = DOCUMENT.replace("golden", "silver").replace("/i/", "/j/")
    with pytest.raises(InvalidArgument, match=r":13:5: vm 'silver': the address 10\.0\.0\.11 of"):
        apply(("l3Network: l3}", "l3Network: l3, ip: 10.0.0.11}"), document=silver)
    assert everything(database) == before


def test_a_free_pick_leaves_declared_addresses_alone(apply: Apply, database: Database) -> None:
    apply(
        ("    bridge: br0\n", "    bridge: br0\n    ipAllocator: FirstAvailable\n"),
        ("nics: [{l3Network: l3}]", "nics: [{l3Network: l3}, {l3Network: l3, ip: 10.0.0.10}]"),
    )
    assert rows(
        database,
        "SELECT device_id, ip FROM used_ips JOIN vm_nics ON vm_nics.uuid = vm_nic_uuid ORDER BY 1",
    ) == [(0, "10.0.0.11"), (1, "10.0.0.10")]


def test_a_file_that_another_vm_has_is_refused(apply: Apply, database: Database) -> None:
    apply()
    with pytest.raises(InvalidArgument, match=r"/i/root\.qcow2 is a volume of VM 'golden' already"):
        apply(document=DOCUMENT.replace("golden", "silver"))


def test_more_vms_than_addresses_are_refused(apply: Apply, database: Database) -> None:
    nics = ", ".join(["{l3Network: l3}"] * 4)
    with pytest.raises(InvalidArgument, match=r"vm 'golden': .*no ip is available"):
        apply(("nics: [{l3Network: l3}]", f"nics: [{nics}]"))
    assert rows(database, "SELECT name FROM zones") == []


def test_volumes_may_change_places(apply: Apply, database: Database) -> None:
    apply(("format: raw, ", ""))
    apply(
        ("format: raw, ", ""),
        ("/i/root.qcow2", "/i/x"),
        ("/i/data.raw", "/i/root.qcow2"),
        ("/i/x", "/i/data.raw"),
        ("iso: /i/data.raw.iso", "iso: /i/x.iso"),
    )
    assert rows(database, "SELECT device_id, install_path FROM volumes ORDER BY device_id") == [
        (0, "/i/data.raw"),
        (1, "/i/root.qcow2"),
    ]


def test_what_a_vm_no_longer_declares_is_gone(apply: Apply, database: Database) -> None:
    apply()
    apply(
        (
            "      - {type: Data, primaryStorage: ps, path: /i/data.raw, "
            "format: raw, size: 1GiB}\n",
            "",
        ),
        ("    nics: [{l3Network: l3}]\n", ""),
    )
    assert rows(database, "SELECT type::text FROM volumes") == [("Root",)]
    assert rows(database, "SELECT uuid FROM vm_nics") == []
    assert rows(database, "SELECT uuid FROM used_ips") == []


def test_a_disabled_host_stays_disabled_through_an_apply(apply: Apply, database: Database) -> None:
    apply()
    commands.set_state(database, Kind.HOST, "h", ResourceState.DISABLED)
    apply(("cpuNum: 8", "cpuNum: 9"))
    assert rows(database, "SELECT state::text, cpu_num FROM hosts") == [("Disabled", 9)]


def test_set_names_what_there_is(apply: Apply, database: Database) -> None:
    apply()
    with pytest.raises(ResourceNotFound, match="there is no storage 'x'; declared are: ps"):
        commands.set_state(database, Kind.STORAGE, "x", ResourceState.DISABLED)


def test_remove_takes_what_nothing_uses_and_leaves_nothing(
    apply: Apply, database: Database
) -> None:
    before = everything(database)
    apply()
    in_order = [
        (Kind.VM, "golden"),
        (Kind.STORAGE, "ps"),
        (Kind.NETWORK, "l3"),
        (Kind.HOST, "h"),
        (Kind.CLUSTER, "c"),
        (Kind.ZONE, "z"),
    ]
    for kind, name in reversed(in_order[1:]):
        with pytest.raises(InvalidArgument, match=f"{kind} '{name}' is in use by [12] "):
            commands.remove(database, kind, name)
    for kind, name in in_order:
        commands.remove(database, kind, name)
    after = everything(database)
    assert after == before


def test_what_is_known_of_adopted_vms(apply: Apply, database: Database) -> None:
    nic = "nics: [{l3Network: l3, ip: 10.0.0.11, mac: 'fa:00:00:00:00:01'}]"
    applied = apply(
        ("nics: [{l3Network: l3}]", nic),
        ("    cpuNum: 2\n", "    platform: Other\n    cpuNum: 2\n"),
    )
    uuids = {name: uuid for _, name, uuid in applied.entries}
    (golden,) = database.run(known.adopted_vms)
    assert (golden.uuid, golden.name, golden.host_uuid) == (uuids["golden"], "golden", uuids["h"])
    assert (golden.platform, golden.system_tags, golden.user_tags) == ("Other", ("a::b",), ())
    assert golden.addresses == {"fa:00:00:00:00:01": to_number("10.0.0.11")}


CATALOGUE = DOCUMENT.replace(
    "vmInstances:\n",
    "images: [{name: debian, size: 4GiB}]\n"
    "instanceOfferings: [{name: small, cpuNum: 2, memorySize: 1GiB}]\n"
    "vmInstances:\n",
).replace(
    "  - name: golden\n", "  - name: golden\n    image: debian\n    instanceOffering: small\n"
)


def test_images_and_offerings_describe_vms(apply: Apply, database: Database) -> None:
    applied = apply(document=CATALOGUE)
    uuids = {kind.value: uuid for kind, _, uuid in applied.entries}
    described = "SELECT image_uuid, instance_offering_uuid FROM vm_instances"
    assert rows(database, described) == [(uuids["image"], uuids["offering"])]
    roots = "SELECT root_image_uuid FROM volumes ORDER BY type = 'Root'"
    assert rows(database, roots) == [(None,), (uuids["image"],)]
    assert rows(database, "SELECT name, size, format FROM images") == [("debian", 4 * GIB, "qcow2")]
    assert rows(database, "SELECT name, cpu_num, memory_size FROM instance_offerings") == [
        ("small", 2, GIB)
    ]
    before = everything(database)
    apply(document=CATALOGUE)
    assert everything(database) == before
    with database.single() as connection:
        (vm,) = known.adopted_vms(connection)
    assert (vm.image, vm.instance_offering) == ("debian", "small")
    for kind in ("image", "offering"):
        with pytest.raises(InvalidArgument, match="is in use by 1 VMs"):
            commands.remove(database, kind, "debian" if kind == "image" else "small")
    apply()
    assert rows(database, described) == [(None, None)]
    commands.remove(database, "image", "debian")
    commands.remove(database, "offering", "small")
    assert rows(database, "SELECT uuid FROM images UNION SELECT uuid FROM instance_offerings") == []


def test_an_image_that_is_not_declared_is_a_mistake(apply: Apply, database: Database) -> None:
    with pytest.raises(InvalidArgument, match="there is no image 'x'; declared are: debian"):
        apply(("image: debian", "image: x"), document=CATALOGUE)


def test_a_tag_may_be_as_long_as_user_data(apply: Apply, database: Database) -> None:
    """Random, so that PostgreSQL cannot make it small."""
    tag = "userdata::" + base64.b64encode(random.Random(1).randbytes(48 << 10)).decode()
    for _ in range(2):
        apply(("systemTags: [a::b]", f"systemTags: [a::b, '{tag}']"))
    assert rows(database, "SELECT tag FROM tags ORDER BY tag") == [("a::b",), (tag,)]


SIX = (
    "gateway: 10.0.0.1}",
    "gateway: 10.0.0.1}\n      - {startIp: fd00::10, endIp: fd00::ff, prefixLen: 64, "
    "gateway: fd00::1}",
)


def test_ranges_of_ipv6_stand_beside_those_of_ipv4(apply: Apply, database: Database) -> None:
    document = DOCUMENT + "diskOfferings: [{name: small, diskSize: 2GiB}]\n"
    apply(SIX, document=document)
    ranges = (
        "SELECT ip_version, start_ip, end_ip, start_ip_in_long, netmask, gateway, network_cidr "
        "FROM ip_ranges ORDER BY ip_version"
    )
    four = ("10.0.0.10", "10.0.0.12", to_number("10.0.0.10"), "255.255.255.0", "10.0.0.1")
    six = ("fd00::10", "fd00::ff", 0, "ffff:ffff:ffff:ffff::", "fd00::1")
    assert rows(database, ranges) == [(4, *four, "10.0.0.0/24"), (6, *six, "fd00::/64")]
    assert rows(database, "SELECT name, disk_size FROM disk_offerings") == [("small", 2 * GIB)]
    before = everything(database)
    apply(SIX, document=document)
    assert everything(database) == before
    with database.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO used_ips (uuid, l3_network_uuid, ip_version, ip, ip_in_long) "
                "SELECT repeat('a', 32), uuid, 6, 'fd00::20', 0 FROM l3_networks"
            )
        )
    apply(SIX, document=document)
    named = rows(
        database,
        "SELECT r.ip_version FROM used_ips u JOIN ip_ranges r ON r.uuid = u.ip_range_uuid "
        "WHERE u.ip_version = 6",
    )
    assert named == [(6,)]
    apply()
    assert rows(database, "SELECT ip_range_uuid FROM used_ips WHERE ip_version = 6") == [(None,)]
    assert commands.remove(database, "diskOffering", "small")
    assert rows(database, "SELECT name FROM disk_offerings") == []
