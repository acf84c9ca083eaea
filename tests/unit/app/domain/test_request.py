"""CloneVmInstance's parameters, each by itself."""

import contextlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import CloneError, InvalidArgument
from app.domain.nic_params import NicWish
from app.domain.plan import CloneMethod, CloneStrategy
from app.domain.request import MAX_NAMES, CloneRequest, parse_clone_request

UUID = "0123456789abcdef0123456789abcdef"


def parsed(**parameters: Any) -> CloneRequest:
    return parse_clone_request({"names": ["a"]} | parameters)


def refusal(**parameters: Any) -> str:
    with pytest.raises(InvalidArgument) as error:
        parsed(**parameters)
    return error.value.details.replace("org.zstack.header.vm.APICloneVmInstanceMsg", "M")


def test_names_alone_are_a_whole_request() -> None:
    assert parsed() == CloneRequest(names=("a",))
    assert parsed().strategy is CloneStrategy.INSTANT_START
    assert not parsed().with_data_volumes


def test_names_are_kept_in_order_trimmed_and_numbers_become_text() -> None:
    names = [" b ", "a", "a", 7, 1.5, "../x", "é" * 255, "a\N{NO-BREAK SPACE}b"]
    assert parsed(names=names).names == (
        "b",
        "a",
        "a",
        "7",
        "1.5",
        "../x",
        "é" * 255,
        "a\N{NO-BREAK SPACE}b",
    )


def test_ten_thousand_names_are_one_request() -> None:
    assert len(parsed(names=["n"] * MAX_NAMES).names) == 10_000


@pytest.mark.parametrize(
    ("names", "text"),
    [
        (None, "field[names] of message[M] is mandatory, can not be null"),
        ([], "field[names] of message[M] must be a nonempty list"),
        ("a", "field[names] of message[M] must be a nonempty list"),
        (["a", None], "field[names] of message[M] cannot contain a NULL element"),
        (["a", True], "field[names][1] of message[M] must be a string"),
        ([{}], "field[names][0] of message[M] must be a string"),
        (["a", " "], "field[names][1] of message[M] is an empty string"),
        (
            ["x" * 300],
            "field[names][0] of message[M] exceeds max length of string. expected was <= 255, "
            "actual was 300",
        ),
        (["a\nb"], "field[names][0] of message[M] contains a control character"),
        (["a\x00"], "field[names][0] of message[M] contains a control character"),
        (["\x7fa"], "field[names][0] of message[M] contains a control character"),
        (["a\x85b"], "field[names][0] of message[M] contains a control character"),
        (
            ["n"] * 10_001,
            "field[names] of message[M] has 10001 elements, at most 10000 are allowed in one "
            "request; send the rest in another one",
        ),
    ],
)
def test_bad_names_are_refused_by_place(names: Any, text: str) -> None:
    assert refusal(names=names) == text


@pytest.mark.parametrize("strategy", list(CloneStrategy))
def test_every_strategy_is_known(strategy: CloneStrategy) -> None:
    assert parsed(strategy=f" {strategy} ").strategy is strategy


def test_a_strategy_is_case_sensitive() -> None:
    assert refusal(strategy="instantstart") == (
        "valid value for field[strategy] of message[M] are [InstantStart, CreateStopped, "
        "JustCreate], but instantstart found"
    )


@pytest.mark.parametrize(
    ("given_full", "with_data"),
    [(True, True), ("true", True), ("TRUE", True), (False, False), ("False", False), (None, False)],
)
def test_full_means_data_volumes_too(given_full: Any, with_data: bool) -> None:
    assert parsed(full=given_full).with_data_volumes is with_data


def test_placement_and_storage_are_uuids_and_an_empty_one_is_none() -> None:
    request = parsed(
        clusterUuid="c",
        hostUuid=" h ",
        primaryStorageUuidForRootVolume="r",
        primaryStorageUuidForDataVolume="",
        description="d",
        rootVolumeSystemTags=["any::tag"],
        dataVolumeSystemTags=["cloneMode::full"],
        userTags=["free text", "free text"],
    )
    assert (request.cluster_uuid, request.host_uuid) == ("c", "h")
    assert request.primary_storage_for_root == "r"
    assert request.primary_storage_for_data is None
    assert request.description == "d"
    assert request.root_volume_system_tags == ("any::tag",)
    assert request.data_volume_system_tags == ("cloneMode::full",)
    assert request.user_tags == ("free text",)


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        ({"full": "maybe"}, "Invalid value for boolean field [full], [maybe] is not a valid"),
        ({"resetTpm": 1}, "Invalid value for boolean field [resetTpm], [1] is not a valid"),
        ({"clusterUuid": []}, "field[clusterUuid] of message[M] must be a string"),
        ({"hostUuid": "x" * 256}, "field[hostUuid] of message[M] exceeds max length of string"),
        ({"description": "x" * 2049}, "field[description] of message[M] exceeds max length"),
        ({"description": "a\x00"}, "field[description] of message[M] contains a NUL character"),
        ({"systemTags": "x"}, "field[systemTags] of message[M] must be a list of strings"),
        ({"userTags": [1]}, "field[userTags] of message[M] must be a list of strings"),
        ({"userTags": ["\x00"]}, "field[userTags] of message[M] contains a NUL character"),
        ({"systemTags": ["nonsense::x"]}, "no system tag matches nonsense::x"),
        ({"systemTags": [""]}, "no system tag matches "),
        ({"systemTags": ["cloneMode"]}, "system tag[cloneMode] must be cloneMode::auto|reflink|"),
        ({"systemTags": ["cloneMode::x"]}, "system tag[cloneMode::x] must be cloneMode::auto|"),
        ({"dataVolumeSystemTags": ["cloneMode::a::b"]}, "system tag[cloneMode::a::b] must be"),
        ({"systemTags": ["staticIp::x::10.0.0.1"]}, "system tag[staticIp::x::10.0.0.1] must be"),
        ({"systemTags": [f"staticIp::{UUID}::10.0.0"]}, f"system tag[staticIp::{UUID}::10.0.0]"),
        ({"systemTags": [f"staticIp::{UUID}"]}, f"system tag[staticIp::{UUID}] must be staticIp"),
        ({"systemTags": ["cdroms"]}, "system tag[cdroms] must be cdroms::<ISO's uuid"),
        ({"systemTags": ["cdroms::dvd"]}, "system tag[cdroms::dvd] must be cdroms::"),
        ({"systemTags": ["createWithoutCdRom::1"]}, "system tag[createWithoutCdRom::1] must be"),
        ({"vmNicParams": {}}, "field[vmNicParams] of message[M] must be a list"),
        ({"vmNicParams": '"x"'}, "field[vmNicParams] of message[M] must be a list"),
        ({"vmNicParams": "{"}, "field[vmNicParams] of message[M] is a string, but not one of J"),
        ({"vmNicParams": "[" * 99_999}, "field[vmNicParams] of message[M] is a string, but not"),
        ({"diskAOs": 0}, "field[diskAOs] of message[M] must be a list"),
        ({"vmCustomSpecification": []}, "field[vmCustomSpecification] of message[M] must be an"),
    ],
)
def test_a_bad_parameter_is_named(parameters: dict[str, Any], text: str) -> None:
    assert refusal(**parameters).startswith(text)


def test_a_clone_mode_of_the_volume_wins_over_the_vms() -> None:
    request = parsed(systemTags=["cloneMode::linked"], rootVolumeSystemTags=["cloneMode::full"])
    assert (request.root_mode, request.data_mode) == (CloneMethod.FULL, CloneMethod.LINKED)
    assert parsed().root_mode is CloneMethod.AUTO


def test_static_addresses_are_in_the_tags_order() -> None:
    tags = [f"staticIp::{UUID}::10.0.0.9", f"staticIp::{UUID}::10.0.0.8"]
    assert parsed(systemTags=tags).static_ips == ((UUID, "10.0.0.9"), (UUID, "10.0.0.8"))


@pytest.mark.parametrize(
    ("tags", "drives"),
    [
        ([], None),
        (["createWithoutCdRom::true"], ()),
        (["createWithoutCdRom::false"], None),
        (["createWithoutCdRom::true", "cdroms::empty"], ()),
        ([f"cdroms::{UUID}::empty::none"], (UUID, None)),
        (["cdroms::none"], ()),
    ],
)
def test_drives_follow_the_tags(tags: list[str], drives: tuple[str | None, ...] | None) -> None:
    assert parsed(systemTags=tags).cdroms == drives


def test_what_has_no_effect_is_listed_by_name() -> None:
    request = parsed(
        vmNicParams=f'[{{"l3NetworkUuid": "{UUID}", "mac": "fa:00:00:00:00:01"}}]',
        diskAOs=[{"boot": True}],
        vmCustomSpecification={"hostname": "h"},
        resetTpm="true",
        systemTags=["hostname::h", f"staticIp::{UUID}::10.0.0.9", "qemuga", "resourceConfig::a::b"],
    )
    assert request.nics == (NicWish(UUID, is_default=True, mac="fa:00:00:00:00:01"),)
    assert request.ignored == ("systemTags[resourceConfig]",)
    assert request.guest_fields == (
        "systemTags[hostname]",
        "systemTags[qemuga]",
        "vmCustomSpecification",
        "resetTpm",
    )
    assert request.reset_tpm


def test_what_is_empty_is_not_listed() -> None:
    request = parsed(
        vmNicParams=" ", diskAOs=[], vmCustomSpecification={}, resetTpm=False, unknown="x"
    )
    assert request.ignored == ()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)
TAGS = st.lists(
    st.lists(st.sampled_from(["cloneMode", "cdroms", "staticIp", "full", UUID, "x"])).map("::".join)
)


NIC_FIELDS = (
    *("mac", "ip", "netmask", "gateway", "ip6", "prefix6", "gateway6", "metaData", "driverType"),
    *("VmNicType", "state", "inboundBandwidth", "multiQueueNum", "isDefaultNic", "sgUuids"),
)
DISK_FIELDS = (
    *("boot", "platform", "primaryStorageUuid", "size", "templateUuid", "diskOfferingUuid"),
    *("sourceType", "sourceUuid", "systemTags", "name"),
)
LIKELY = st.sampled_from(
    [UUID, "10.0.0.9", "255.255.255.0", "fd00::9", "64", "fa:00:00:00:00:01", "virtio", "VNIC"]
)


def elements(*fields: str) -> st.SearchStrategy[dict[str, Any]]:
    return st.dictionaries(st.sampled_from(fields), LIKELY | VALUES)


@given(
    st.fixed_dictionaries(
        {},
        optional={
            "names": st.just(["a", "b"]) | st.lists(st.text() | st.integers()) | VALUES,
            "systemTags": TAGS | VALUES,
            "rootVolumeSystemTags": TAGS,
            **dict.fromkeys(("strategy", "full", "resetTpm", "hostUuid", "description"), VALUES),
            "vmNicParams": st.lists(elements("l3NetworkUuid", *NIC_FIELDS)) | VALUES,
            "diskAOs": st.lists(elements(*DISK_FIELDS)) | VALUES,
            "vmCustomSpecification": VALUES,
        },
    )
)
def test_any_parameters_are_a_request_or_refused(parameters: dict[str, Any]) -> None:
    with contextlib.suppress(CloneError):
        request = parse_clone_request(parameters)
        assert len(request.names) == len(parameters["names"])
