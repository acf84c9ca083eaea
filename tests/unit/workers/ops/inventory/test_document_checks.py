"""Each mistake in a document is told with its place, its name and what would be valid."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from app.domain.errors import InvalidArgument
from app.domain.plan import BackingFile, VolumeFormat, VolumeType
from app.store.inventory.known import Known
from app.store.inventory.values import Inventory
from app.store.models import IpAllocator, VmState
from workers.ops.inventory.document import Problems, compose
from workers.ops.inventory.reader import read
from workers.ops.inventory.shelves import Shelves, open_shelves

GIB = 1 << 30
PLACES = """\
zones: [{name: z}]
clusters: [{name: c, zone: z, hypervisorType: Simulator}]
hosts: [{name: h, cluster: c, managementIp: 127.0.0.1, cpuNum: 8, memorySize: 16GiB}]
primaryStorage: [{name: ps, type: LocalStorage, url: /srv/ps, clusters: [c]}]
l3Networks:
  - name: l3
    zone: z
    ipRanges: [{startIp: 10.0.0.10, endIp: 10.0.0.20, netmask: 255.255.255.0, gateway: 10.0.0.1}]
"""


def no_file(path: str, image_format: VolumeFormat, backing: BackingFile | None) -> int | None:
    return None


def declare(
    text: str, tmp_path: Path, *, known: Known | None = None, shelves: Shelves | None = None
) -> tuple[Inventory, list[str]]:
    """The inventory, and its problems as `line:column: text`."""
    file = tmp_path / "inventory.yaml"
    file.write_text(text)
    problems = Problems("")
    inventory = read(compose(file), shelves or open_shelves(known or Known(), no_file), problems)
    return inventory, [line.removeprefix(":") for line in problems.lines()]


def pointed(text: str) -> tuple[str, str]:
    """The text without its `@`, and the `line:column` where that stood."""
    before, _, after = text.partition("@")
    line = before.count("\n") + 1
    return before + after, f"{line}:{len(before) - before.rfind(chr(10))}"


def problems_of(text: str, tmp_path: Path) -> list[str]:
    """The document's problems; the place that `@` marks reads `@` in them."""
    plain, place = pointed(text)
    problems = declare(plain, tmp_path)[1]
    return [p.replace(f"{place}: ", "@ ", 1) if p.startswith(place) else p for p in problems]


def with_places(old: str, new: str) -> str:
    assert old in PLACES
    return PLACES.replace(old, new)


def vm(body: str) -> str:
    """PLACES with a VM of these further keys."""
    return (
        PLACES
        + f"vmInstances:\n  - {{name: golden, cluster: c, cpuNum: 1, memorySize: 1GiB, {body}}}\n"
    )


ROOT = "{type: Root, primaryStorage: ps, path: /i/a.qcow2, size: 1GiB}"


def test_a_whole_document_becomes_values_that_refer_to_each_other(tmp_path: Path) -> None:
    text = vm(
        "volumes: [{type: Data, primaryStorage: ps, path: /i/d.raw, format: raw, size: 4MiB}, "
        f"{ROOT}],"
        "state: Running, nics: [{l3Network: l3, ip: 10.0.0.12, mac: FA-00-00-00-00-01}],"
        "cdroms: [{iso: /i/x.iso}, {iso: null}], userTags: [a, b, a]"
    )
    inventory, problems = declare(text, tmp_path)
    assert problems == []
    golden = inventory.vms["golden"]
    assert golden.host is inventory.hosts["h"]
    assert golden.host.cluster.zone is inventory.zones["z"]
    assert [(v.type, v.device_id, v.size) for v in golden.volumes] == [
        (VolumeType.ROOT, 0, GIB),
        (VolumeType.DATA, 1, 4 << 20),
    ]
    assert golden.nics[0].mac == "fa:00:00:00:00:01"
    assert golden.cdroms == ("/i/x.iso", None)
    assert golden.user_tags == ("a", "b")
    assert golden.state is VmState.RUNNING
    assert golden.default_network is inventory.networks["l3"]
    assert inventory.storages["ps"].host is inventory.hosts["h"]
    assert inventory.networks["l3"].clusters == (inventory.clusters["c"],)
    assert inventory.networks["l3"].ip_allocator is IpAllocator.RANDOM


def test_uuids_follow_from_kind_and_name(tmp_path: Path) -> None:
    first, _ = declare("zones: [{name: same}]", tmp_path)
    second, _ = declare("# moved\nzones: [{name: other}, {name: same}]", tmp_path)
    uuid = first.zones["same"].uuid
    assert uuid == second.zones["same"].uuid
    assert len(uuid) == 32
    assert uuid[12] == "5"
    assert uuid != second.zones["other"].uuid


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("zones: [{name: z, @name: y}]", ["@ zone 'z': the key `name` stands here twice"]),
        (
            "zones: [{name: z, @nmae: y}]",
            ["@ zone 'z': the key `nmae` is unknown; valid are description, name, uuid"],
        ),
        (
            "@zone: [{name: z}]",
            [
                "@ the document: the key `zone` is unknown; valid are clusters, diskOfferings, "
                "hosts, images, instanceOfferings, l3Networks, primaryStorage, vmInstances, zones"
            ],
        ),
        ("zones: [{name:@}]", ["@ zones[0]: `name` is missing"]),
        ("zones: [@{}]", ["@ zones[0]: `name` is missing"]),
        ("zones: [@z]", ["@ zones[0]: must be a mapping of keys to values"]),
        ("zones: @{name: z}", ["@ the document: `zones` must be a list"]),
        ("zones: [{name: @[a]}]", ["@ zones[0]: `name` must be a single value"]),
        ("@- zones", ["@ the document: must be a mapping of keys to values"]),
        (
            "zones: [{name: z},\n  {name: @z}]",
            ["@ zone 'z': the zone name 'z' is used on line 1 already"],
        ),
        (
            "zones: [{name: z, uuid: @ABC}]",
            [
                "@ zone 'z': `uuid` is 'ABC': is no uuid; write 32 lower-case hex digits of "
                "a version 1 to 5 uuid"
            ],
        ),
    ],
)
def test_form(text: str, expected: Sequence[str], tmp_path: Path) -> None:
    assert problems_of(text, tmp_path) == list(expected)


def test_all_mistakes_are_shown_at_once_from_the_top(tmp_path: Path) -> None:
    text = "clusters: [{name: c, zone: z, hypervisorType: Xen}]\nhosts: [{name: h, cpuNum: none}]"
    assert declare(text, tmp_path)[1] == [
        "1:28: cluster 'c': there is no zone 'z'; declared are: none",
        "1:47: cluster 'c': `hypervisorType` is 'Xen': must be one of KVM, Simulator",
        "2:9: host 'h': `cluster` is missing",
        "2:9: host 'h': `managementIp` is missing",
        "2:9: host 'h': `memorySize` is missing",
        "2:27: host 'h': `cpuNum` is 'none': must be a whole number of at least 1",
    ]


def test_an_entry_with_a_mistake_is_not_reported_again_where_it_is_used(tmp_path: Path) -> None:
    text = with_places("hypervisorType: Simulator", "hypervisorType: @Xen")
    assert problems_of(text, tmp_path) == [
        "@ cluster 'c': `hypervisorType` is 'Xen': must be one of KVM, Simulator"
    ]


@pytest.mark.parametrize(
    ("value", "valid"),
    [("16GiB", 16 * GIB), ("128MiB", 128 << 20), ("4096", 4096), ("1.5GiB", 3 * GIB // 2)],
)
def test_sizes(value: str, valid: int, tmp_path: Path) -> None:
    inventory, problems = declare(with_places("16GiB", value), tmp_path)
    assert problems == []
    assert inventory.hosts["h"].memory_size == valid


@pytest.mark.parametrize("value", ["16GB", "0", "-1", "1e9", "some", "9999999PiB"])
def test_what_is_no_size(value: str, tmp_path: Path) -> None:
    assert problems_of(with_places("16GiB", f"@{value}"), tmp_path) == [
        f"@ host 'h': `memorySize` is '{value}': is no size; write bytes or a number with "
        "KiB, MiB, GiB or TiB, as 16GiB"
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "endIp: 10.0.0.20",
            "endIp: @10.0.0.9",
            "@ network 'l3': the end 10.0.0.9 is below the start 10.0.0.10",
        ),
        (
            "gateway: 10.0.0.1}",
            "gateway: @10.0.1.1}",
            "@ network 'l3': `gateway` 10.0.1.1 is outside the subnet 10.0.0.0/24",
        ),
        (
            "endIp: 10.0.0.20",
            "endIp: @10.0.0.255",
            "@ network 'l3': `endIp` 10.0.0.255 is the first or last address of 10.0.0.0/24",
        ),
        (
            "netmask: 255.255.255.0",
            "netmask: @255.0.255.0",
            "@ network 'l3': `netmask` is '255.0.255.0': is no netmask, as 255.255.255.0",
        ),
        (
            "gateway: 10.0.0.1}]",
            "gateway: 10.0.0.1},\n"
            "    @{startIp: 10.0.0.20, endIp: 10.0.0.30, netmask: 255.255.255.0}]",
            "@ network 'l3': the range 10.0.0.20-10.0.0.30 overlaps 10.0.0.10-10.0.0.20",
        ),
        (
            "startIp: 10.0.0.10",
            "startIp: @10.0.0.300",
            "@ network 'l3': `startIp` is '10.0.0.300': is no IP address, as 10.0.0.10 or fd00::10",
        ),
        (
            "gateway: 10.0.0.1}]",
            "gateway: 10.0.0.1},\n    @{startIp: fd00::10, endIp: 10.0.0.30, prefixLen: 64}]",
            "@ network 'l3': its addresses must all be of IPv4 or all of IPv6",
        ),
        (
            "gateway: 10.0.0.1}]",
            "gateway: 10.0.0.1},\n    {startIp: fd00::10, endIp: fd00::20, prefixLen: @129}]",
            "@ network 'l3': `prefixLen` is '129': must be a prefix length of IPv6, 1 to 128",
        ),
        (
            "gateway: 10.0.0.1}]",
            "gateway: 10.0.0.1},\n    {startIp: @'fd00::', endIp: fd00::20, prefixLen: 64}]",
            "@ network 'l3': `startIp` fd00:: is the first address of fd00::/64",
        ),
        (
            "    zone: z",
            "    zone: z\n    ipAllocator: @Fastest",
            "@ network 'l3': `ipAllocator` is 'Fastest': must be one of Random, FirstAvailable",
        ),
        (
            "    zone: z",
            "    zone: z\n    dns: [10.0.0.1, @dns.example]",
            "@ network 'l3': `dns` is 'dns.example': is no IP address",
        ),
    ],
)
def test_networks(old: str, new: str, expected: str, tmp_path: Path) -> None:
    assert problems_of(with_places(old, new), tmp_path) == [expected]


SECOND_HOST = (
    "hosts: [{name: g, cluster: c, managementIp: 127.0.0.1, cpuNum: 1, memorySize: 1GiB}, "
)


def test_a_local_storage_of_a_cluster_with_several_hosts_says_whose_it_is(tmp_path: Path) -> None:
    text = with_places("hosts: [", SECOND_HOST).replace(
        "Storage: [{name: ps", "Storage: [@{name: ps"
    )
    assert problems_of(text, tmp_path) == [
        "@ storage 'ps': `host` must say whose folder it is; its clusters' hosts: g, h"
    ]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "url: /srv/ps",
            "url: @srv/ps",
            "@ storage 'ps': `url` is 'srv/ps': must be an absolute path",
        ),
        (
            "url: /srv/ps",
            "url: @/srv/../ps",
            "@ storage 'ps': `url` is '/srv/../ps': must be the plain path of something "
            "below /, as /ps",
        ),
        (
            "clusters: [c]}]",
            "clusters: [@d]}]",
            "@ storage 'ps': there is no cluster 'd'; declared are: c",
        ),
        (
            "clusters: [c]}]",
            "clusters: @[]}]",
            "@ storage 'ps': `clusters` must name at least one cluster",
        ),
        (
            "type: LocalStorage",
            "type: SharedMountPoint, host: @h",
            "@ storage 'ps': only a LocalStorage belongs to a host",
        ),
        (
            "clusters: [c]}]",
            "clusters: [c]},\n  {name: q, type: LocalStorage, url: @/srv/ps, clusters: [c]}]",
            "@ storage 'q': the url '/srv/ps' is used on line 4 already",
        ),
    ],
)
def test_storages(old: str, new: str, expected: str, tmp_path: Path) -> None:
    assert problems_of(with_places(old, new), tmp_path) == [expected]


def test_a_vm_has_exactly_one_root_volume(tmp_path: Path) -> None:
    data = "{type: Data, primaryStorage: ps, path: /i/d, format: raw, size: 1MiB}"
    assert problems_of(vm(f"volumes: @[{data}]"), tmp_path) == [
        "@ vm 'golden': `volumes` must have one volume of type Root"
    ]
    second = "{type: @Root, primaryStorage: ps, path: /i/b.qcow2, size: 1GiB}"
    assert problems_of(vm(f"volumes: [{ROOT}, {second}]"), tmp_path) == [
        "@ vm 'golden': has a Root volume already; others are Data"
    ]


def test_a_vm_is_on_a_host_of_its_cluster(tmp_path: Path) -> None:
    more = with_places(
        "hosts: [",
        "hosts: [{name: g, cluster: d, managementIp: 127.0.0.1, cpuNum: 1, memorySize: 1GiB}, ",
    ).replace("clusters: [{", "clusters: [{name: d, zone: z, hypervisorType: Simulator}, {")
    text = vm(f"host: @g, volumes: [{ROOT}]").replace(PLACES, more)
    assert problems_of(text, tmp_path) == [
        "@ vm 'golden': host 'g' is not in cluster 'c'; its hosts are: h"
    ]


def test_a_vm_of_a_cluster_with_several_hosts_says_which_has_its_volumes(tmp_path: Path) -> None:
    more = with_places("hosts: [", SECOND_HOST).replace("url: /srv/ps", "url: /srv/ps, host: h")
    text = vm(f"volumes: [{ROOT}]").replace(PLACES, more).replace("- {name: gold", "- @{name: gold")
    assert problems_of(text, tmp_path) == [
        "@ vm 'golden': `host` must say which host has its volumes; those of cluster 'c': g, h"
    ]


@pytest.mark.parametrize(
    ("volume", "expected"),
    [
        (
            "{type: Data, primaryStorage: ps, path: @/i/a.qcow2, size: 1GiB}",
            "@ vm 'golden': the file '/i/a.qcow2' is used on line 10 already",
        ),
        (
            "{type: Data, primaryStorage: @px, path: /i/b, size: 1GiB}",
            "@ vm 'golden': there is no storage 'px'; declared are: ps",
        ),
        (
            "{type: Data, primaryStorage: ps, path: @i/b, size: 1GiB}",
            "@ vm 'golden': `path` is 'i/b': must be an absolute path",
        ),
        (
            "{type: Data, primaryStorage: ps, path: /i/b, format: @vmdk, size: 1GiB}",
            "@ vm 'golden': `format` is 'vmdk': must be one of qcow2, raw",
        ),
        (
            "{type: Data, primaryStorage: ps, path: /i/b, format: raw, size: 1GiB, "
            "backing: [@{path: /i/c, format: raw}]}",
            "@ vm 'golden': /i/b is raw and stands on nothing",
        ),
        (
            "{type: Data, primaryStorage: ps, path: /i/b, size: 1GiB, "
            "backing: [{path: @/i/b, format: qcow2}]}",
            "@ vm 'golden': /i/b stands in this chain already",
        ),
        (
            "{type: Data, primaryStorage: ps, path: /i/b, size: 1GiB, @host: h}",
            "@ vm 'golden': the key `host` is unknown; valid are backing, format, name, path, "
            "primaryStorage, size, type, uuid",
        ),
    ],
)
def test_volumes(volume: str, expected: str, tmp_path: Path) -> None:
    assert problems_of(vm(f"volumes: [{ROOT}, {volume}]"), tmp_path) == [expected]


@pytest.mark.parametrize(
    ("nics", "expected"),
    [
        ("{l3Network: @l4}", "@ vm 'golden': there is no network 'l4'; declared are: l3"),
        (
            "{l3Network: l3, ip: @10.0.1.5}",
            "@ vm 'golden': 10.0.1.5 is in no subnet of network 'l3', which has: 10.0.0.0/24",
        ),
        (
            "{l3Network: l3, ip: @10.0.0.1}",
            "@ vm 'golden': 10.0.0.1 is the gateway of network 'l3'",
        ),
        (
            "{l3Network: l3, ip: 10.0.0.11}, {l3Network: l3, ip: @10.0.0.11}",
            "@ vm 'golden': the address '10.0.0.11' is used on line 10 already",
        ),
        (
            "{l3Network: l3, mac: fa:00:00:00:00:01}, {l3Network: l3, mac: @FA-00-00-00-00-01}",
            "@ vm 'golden': the MAC 'FA-00-00-00-00-01' is used on line 10 already",
        ),
        (
            "{l3Network: l3, mac: @01:00:5e:00:00:01}",
            "@ vm 'golden': `mac` is '01:00:5e:00:00:01': is a multicast address; the first "
            "octet of a NIC's is even",
        ),
        (
            "{l3Network: l3, mac: @nonsense}",
            "@ vm 'golden': `mac` is 'nonsense': is no MAC address, as fa:16:3e:00:00:01",
        ),
    ],
)
def test_nics(nics: str, expected: str, tmp_path: Path) -> None:
    assert problems_of(vm(f"volumes: [{ROOT}], nics: [{nics}]"), tmp_path) == [expected]


@pytest.mark.parametrize(
    ("keys", "expected"),
    [
        (
            "state: @Paused",
            "@ vm 'golden': `state` is 'Paused': must be one of Stopped, Running",
        ),
        (
            "defaultL3Network: @l3",
            "@ vm 'golden': network 'l3' has no NIC of this VM; its NICs are on: none",
        ),
        ("cdroms: [{iso: @x.iso}]", "@ vm 'golden': `iso` is 'x.iso': must be an absolute path"),
        (
            "platform: @BeOS",
            "@ vm 'golden': `platform` is 'BeOS': must be one of Linux, Windows, "
            "Paravirtualization, WindowsVirtio, Other",
        ),
    ],
)
def test_other_keys_of_a_vm(keys: str, expected: str, tmp_path: Path) -> None:
    assert problems_of(vm(f"volumes: [{ROOT}], {keys}"), tmp_path) == [expected]


def known_places(tmp_path: Path) -> Known:
    return Known(
        declare(PLACES, tmp_path)[0], {"golden": "0" * 12 + "4" + "0" * 3 + "8" + "0" * 15}
    )


def test_references_reach_what_the_database_has(tmp_path: Path) -> None:
    known = known_places(tmp_path)
    inventory, problems = declare(
        vm(f"volumes: [{ROOT}]").removeprefix(PLACES), tmp_path, known=known
    )
    assert problems == []
    assert inventory.vms["golden"].host is known.inventory.hosts["h"]
    assert inventory.vms["golden"].uuid == known.vm_uuids["golden"]


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        (
            "hypervisorType: Simulator",
            "hypervisorType: @KVM",
            "@ cluster 'c': its type is Simulator and cannot become KVM",
        ),
        (
            "url: /srv/ps",
            "url: @/srv/qs",
            "@ storage 'ps': its url is /srv/ps and cannot become /srv/qs",
        ),
    ],
)
def test_what_gives_an_entry_its_meaning_cannot_change(
    old: str, new: str, expected: str, tmp_path: Path
) -> None:
    text, place = pointed(with_places(old, new))
    problems = declare(text, tmp_path, known=known_places(tmp_path))[1]
    assert problems == [
        expected.replace("@", f"{place}:")
        + "; remove the entry (`vmclone inventory remove`) or declare a new one"
    ]


def test_a_uuid_cannot_change(tmp_path: Path) -> None:
    known = known_places(tmp_path)
    uuid = "b" * 12 + "4" + "b" * 19
    problems = declare(f"zones: [{{name: z, uuid: {uuid}}}]", tmp_path, known=known)[1]
    there = known.inventory.zones["z"].uuid
    assert problems == [
        f"1:25: zone 'z': is known by the uuid {there}; a uuid cannot change",
    ]


def test_a_volume_size_comes_from_the_file_where_it_is_not_declared(tmp_path: Path) -> None:
    text = vm("volumes: [" + ROOT.replace(", size: 1GiB", "") + "]")
    shelves = open_shelves(Known(), lambda path, image_format, backing: 5 << 20)
    inventory, problems = declare(text, tmp_path, shelves=shelves)
    assert problems == []
    assert inventory.vms["golden"].volumes[0].size == 5 << 20
    assert shelves.warnings == []


def test_a_volume_whose_file_is_elsewhere_has_size_0_and_a_warning(tmp_path: Path) -> None:
    text = vm("volumes: [" + ROOT.replace(", size: 1GiB", "") + "]")
    shelves = open_shelves(Known(), no_file)
    inventory, problems = declare(text, tmp_path, shelves=shelves)
    assert problems == []
    assert inventory.vms["golden"].volumes[0].size == 0
    assert shelves.warnings == [
        "vm 'golden': /i/a.qcow2 is not on this machine, so its size is not known until its "
        "host's worker copies it; `size` would declare it"
    ]


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"zones: [", ":1:9: is not valid YAML: "),
        (b"", ":1:1: the document is empty"),
        (b"a: 1\n---\nb: 2\n", ":2:1: is not valid YAML: but found another document"),
        (b"\xff\xfe\xff", ": is not UTF-8 text: "),
        (b"\tzones: []", ":1:1: is not valid YAML: "),
    ],
)
def test_what_is_no_document(content: bytes, expected: str, tmp_path: Path) -> None:
    file = tmp_path / "bad.yaml"
    file.write_bytes(content)
    with pytest.raises(InvalidArgument) as caught:
        compose(file)
    assert caught.value.details.startswith(f"{file}{expected}")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(InvalidArgument, match=r"none\.yaml: cannot be read: No such file"):
        compose(tmp_path / "none.yaml")
