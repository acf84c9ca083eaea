"""The query string."""

import contextlib
import time
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.query import Condition, Hop, Kind, Operator, Query, Sort, TagKind
from app.zstack.conditions import OPERATORS, parse_query, query_of_rpc
from app.zstack.forms import BadRequest
from app.zstack.resources import QUERIES
from app.zstack.resources.machines import VM_INSTANCE


def parse(pairs: list[tuple[str, str]]) -> Query:
    return parse_query(VM_INSTANCE, pairs)


def condition(text: str) -> Condition:
    (parsed,) = parse([("q", text)]).conditions
    return parsed


@pytest.mark.parametrize("operator", ["=", "!=", ">", ">=", "<", "<=", "~=", "!~="])
def test_an_operator_stands_between_field_and_value(operator: str) -> None:
    assert condition(f" name {operator} x ") == Condition(
        "name", Kind.TEXT, Operator(operator), " x "
    )


@pytest.mark.parametrize("operator", ["?=", "!?="])
def test_a_list_is_separated_by_commas(operator: str) -> None:
    assert condition(f"state{operator}Running,Stopped") == Condition(
        "state", Kind.TEXT, Operator(operator), ["Running", "Stopped"]
    )
    assert condition(f"cpuNum{operator}1,2") == Condition(
        "cpu_num", Kind.INTEGER, Operator(operator), [1, 2]
    )


@pytest.mark.parametrize("operator", ["is null", "not null"])
def test_a_null_test_has_no_value(operator: str) -> None:
    assert condition(f"hostUuid {operator}") == Condition(
        "host_uuid", Kind.TEXT, Operator(operator)
    )


@pytest.mark.parametrize("value", ["a>b", "x is null", "1 < 2", "not null"])
def test_an_operator_late_in_zstacks_order_may_stand_in_the_value(value: str) -> None:
    assert condition(f"description={value}").value == value


@pytest.mark.parametrize("text", ["description=a!=b", "description=a>=b", "description=a?=b"])
def test_an_operator_early_in_zstacks_order_wins_wherever_it_stands(text: str) -> None:
    """Even where the field is then one that nobody knows."""
    with pytest.raises(BadRequest, match=r"\[description=a\] is not a queryable field"):
        condition(text)


def test_the_order_is_zstacks() -> None:
    assert " ".join(OPERATORS) == "!= >= <= !?= !~= ~= ?= = > < is null not null"


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("Nov 14, 2017 2:20:57 PM", datetime(2017, 11, 14, 14, 20, 57)),
        ("2017-11-14 14:20:57", datetime(2017, 11, 14, 14, 20, 57)),
        (" 2017-11-14 ", datetime(2017, 11, 14)),
    ],
)
def test_dates_are_in_the_servers_zone(text: str, moment: datetime) -> None:
    assert condition(f"createDate>{text}") == Condition(
        "created_at", Kind.MOMENT, Operator.GREATER, moment.astimezone()
    )


@pytest.mark.parametrize(
    ("pairs", "text"),
    [
        ([("q", "name")], "Invalid query parameter. The 'name' in the parameter[q] doesn't"),
        ([("q", "")], "Invalid query parameter. The '' in the parameter[q] doesn't contain any"),
        ([("q", "nonsense=1")], "Invalid query parameter. [nonsense] is not a queryable field"),
        ([("q", "name;--=1")], "Invalid query parameter. [name;--] is not a queryable field"),
        ([("q", "cpuNum=x")], "[cpuNum] field is excepted an int or long, but was [x]."),
        ([("q", "cpuNum?=1,")], "[cpuNum] field is excepted an int or long, but was []."),
        ([("q", f"cpuNum={2**63}")], "[cpuNum] field is excepted an int or long, but was [92"),
        ([("q", "cpuNum=" + "9" * 5000)], "[cpuNum] field is excepted an int or long"),
        ([("q", "createDate>soon")], "[createDate] is compared with a date, but [soon] is none"),
        ([("q", "name=a\x00b")], "Invalid query parameter. A value contains a NUL character"),
        ([("q", "name?=a,\x00")], "Invalid query parameter. A value contains a NUL character"),
        ([("q", "name~=\x00")], "Invalid query parameter. A value contains a NUL character"),
        ([("q", "name?=" + "," * 10_000)], "Invalid query. The list of [name] has more than 10000"),
        ([("fields", "name," * 1000)], "Invalid query. It has more than 1000 fields"),
        ([("limit", "x")], "Invalid query parameter. The parameter[limit] must be an integer"),
        ([("limit", "-1")], "Invalid query parameter. The parameter[limit] must be an integer"),
        ([("start", "1e3")], "Invalid query parameter. The parameter[start] must be an integer"),
        ([("start", "9" * 20)], "Invalid query parameter. The parameter[start] must be an int"),
        ([("sort", "nonsense")], "Invalid query parameter. [nonsense] is not a queryable field"),
        ([("fields", "name,nope")], "Invalid query parameter. [nope] is not a queryable field"),
        ([("fields", "zone")], "Invalid query parameter. [zone] is not a queryable field"),
        ([("groupBy", "nope")], "Invalid query parameter. [nope] is not a queryable field"),
        ([("sort", "host.name")], "Invalid query parameter. [host.name] is not a queryable field"),
        ([("q", "host.nope=1")], "Invalid query parameter. [host.nope] is not a queryable field"),
        ([("q", "nope.name=1")], "Invalid query parameter. [nope.name] is not a queryable field"),
        ([("q", "vmNics=1")], "Invalid query parameter. [vmNics] is not a queryable field"),
        ([("q", "vmNics.usedIps.ipInBinary=1")], "Invalid query parameter. [vmNics.usedIps.ip"),
        ([("q", "host." * 6 + "name=1")], "Invalid query parameter. [host.host.host."),
        ([("q", "name=a")] * 101, "Invalid query. It has more than 100 conditions"),
        ([("q", "name=\ud800")], "Invalid query parameter. A value is not UTF-8"),
        ([("q", "allVolumes.isShareable=perhaps")], "Invalid value for boolean field [isSh"),
    ],
)
def test_a_bad_parameter_is_named(pairs: list[tuple[str, str]], text: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        parse(pairs)
    assert str(refusal.value).startswith(text)


@pytest.mark.parametrize(
    ("zone", "date"),
    [("Asia/Shanghai", "0001-01-01"), ("America/New_York", "9999-12-31 23:59:59")],
)
def test_a_date_at_the_edge_of_time_is_a_date_or_refused(
    monkeypatch: pytest.MonkeyPatch, zone: str, date: str
) -> None:
    with monkeypatch.context() as patched:
        patched.setenv("TZ", zone)
        time.tzset()
        with contextlib.suppress(BadRequest):
            assert condition(f"createDate>{date}").value
    time.tzset()


def test_nothing_asked_for_has_zstacks_defaults() -> None:
    assert parse([("filterName", "x"), ("unknown", "y")]) == Query(conditions=[], limit=1000)


def test_every_parameter_has_its_effect() -> None:
    query = parse(
        [
            ("q", "name=a"),
            ("q", "cpuNum>1"),
            ("limit", "5"),
            ("start", "2"),
            ("sort", "-createDate"),
            ("groupBy", "clusterUuid"),
            ("fields", "name, vmNics"),
            ("count", "True"),
            ("replyWithCount", "true"),
        ]
    )
    assert [comparison.column for comparison in query.conditions] == ["name", "cpu_num"]
    assert (query.limit, query.start) == (5, 2)
    assert query.sort == Sort("created_at", descending=True)
    assert query.group_by == "cluster_uuid"
    assert query.fields == ("name", "vmNics")
    assert query.count_only
    assert query.with_total


@pytest.mark.parametrize("text", ["name", "+name", " name"])
def test_sorting_ascends_with_and_without_a_plus(text: str) -> None:
    assert parse([("sort", text)]).sort == Sort("name", descending=False)


def test_at_most_ten_thousand_are_given() -> None:
    assert parse([("limit", "99999999")]).limit == 10_000


def test_dots_lead_along_relations() -> None:
    to_nics = Hop("vm_nics", "uuid", "vm_instance_uuid")
    assert condition("vmNics.ip=10.0.0.9") == Condition(
        "ip", Kind.TEXT, Operator.EQUAL, "10.0.0.9", (to_nics,)
    )
    to_network = Hop("l3_networks", "l3_network_uuid", "uuid")
    assert condition("vmNics.l3Network.dns?=a,b").hops == (to_nics, to_network)
    clusters = condition("cluster.primaryStorage.availableCapacity>5")
    assert clusters.hops == (
        Hop("clusters", "cluster_uuid", "uuid"),
        Hop("cluster_primary_storages", "uuid", "cluster_uuid"),
        Hop("primary_storages", "primary_storage_uuid", "uuid"),
    )
    assert (clusters.kind, clusters.value) == (Kind.INTEGER, 5)


def test_tags_are_a_list_of_texts() -> None:
    assert condition("__userTag__~=a%") == Condition(TagKind.USER, Kind.LIST, Operator.LIKE, "a%")
    assert condition("host.__systemTag__ is null").column is TagKind.SYSTEM


def test_a_pattern_is_a_text_for_each_kind() -> None:
    assert condition("cpuNum~=1%").value == "1%"
    assert condition("createDate~=2017%").value == "2017%"


def test_every_relation_leads_to_members_that_are_there() -> None:
    for resource in QUERIES.values():
        for name in resource.relations:
            parse_query(resource, [("q", f"{name}.uuid=x")])


@pytest.mark.parametrize(
    ("op", "operator"),
    [
        ("=", "="),
        ("!=", "!="),
        (">", ">"),
        (">=", ">="),
        ("<", "<"),
        ("<=", "<="),
        ("like", "~="),
        ("not like", "!~="),
    ],
)
def test_a_message_compares_as_the_query_string_does(op: str, operator: str) -> None:
    members = {"conditions": [{"name": "host.name", "op": op, "value": "x"}]}
    assert query_of_rpc(VM_INSTANCE, members) == parse([("q", f"host.name{operator}x")])


@pytest.mark.parametrize(
    ("op", "value", "text"),
    [
        ("in", "a,b", "name?=a,b"),
        ("in", ["a", "b"], "name?=a,b"),
        ("not in", "a", "name!?=a"),
        ("is null", None, "name is null"),
        ("is not null", None, "name not null"),
        ("not null", "", "name not null"),
        ("=", 5, "name=5"),
        ("=", True, "name=true"),
    ],
)
def test_a_message_has_lists_null_tests_and_plain_values(op: str, value: Any, text: str) -> None:
    members = {"conditions": [{"name": "name", "op": op, "value": value}]}
    assert query_of_rpc(VM_INSTANCE, members) == parse([("q", text)])


def test_a_message_has_every_other_member() -> None:
    members = {
        "limit": 5,
        "start": "2",
        "count": False,
        "replyWithCount": True,
        "sortBy": "name",
        "sortDirection": "desc",
        "fields": ["name", "uuid"],
        "groupBy": "state",
        "session": {"uuid": "s"},
        "conditions": None,
        "filterName": None,
    }
    text = "limit=5&start=2&replyWithCount=true&sort=-name&fields=name,uuid&groupBy=state"
    pairs = [(name, value) for name, _, value in (p.partition("=") for p in text.split("&"))]
    assert query_of_rpc(VM_INSTANCE, members) == parse(pairs)


@pytest.mark.parametrize(
    "members",
    [
        {"conditions": "name=x"},
        {"conditions": ["name=x"]},
        {"conditions": [{"name": "name", "op": "~", "value": "x"}]},
        {"conditions": [{"name": "name", "op": "="}]},
        {"conditions": [{"name": ["name"], "op": "=", "value": "x"}]},
        {"conditions": [{"name": "nope", "op": "=", "value": "x"}]},
        {"limit": {"a": 1}},
        {"limit": -1},
        {"fields": "name"},
        {"fields": ["nope"]},
        {"fields": ["name"] * 1001},
        {"conditions": [{"name": "name", "op": "=", "value": "x"}] * 101},
        {"conditions": [{"name": "cpuNum", "op": "in", "value": [1] * 10_001}]},
        {"sortBy": "nope"},
    ],
)
def test_a_bad_message_is_a_bad_request(members: dict[str, Any]) -> None:
    with pytest.raises(BadRequest):
        query_of_rpc(VM_INSTANCE, members)


@given(
    st.sampled_from(sorted(QUERIES)),
    st.sampled_from(["q", "limit", "start", "sort", "fields", "count", "groupBy"]),
    st.text(),
)
def test_any_text_is_a_query_or_a_bad_request(api: str, name: str, text: Any) -> None:
    for value in (text, f"createDate>{text}", f"cpuNum={text}", f"zone.{text}=1"):
        with contextlib.suppress(BadRequest):
            parse_query(QUERIES[api], [(name, value)])


_JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
)


@given(st.sampled_from(["conditions", "limit", "fields", "sortBy", "count", "groupBy"]), _JSON)
def test_any_member_is_a_query_or_a_bad_request(name: str, value: Any) -> None:
    with contextlib.suppress(BadRequest):
        query_of_rpc(VM_INSTANCE, {name: value})
