"""The query string."""

import contextlib
import time
from datetime import datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.vm_query import Comparison, Sort, VmQuery
from app.zstack.conditions import OPERATORS, parse_query
from app.zstack.forms import BadRequest


def condition(text: str) -> Comparison:
    (parsed,) = parse_query([("q", text)]).conditions
    return parsed


@pytest.mark.parametrize("operator", ["=", "!=", ">", ">=", "<", "<=", "~=", "!~="])
def test_an_operator_stands_between_field_and_value(operator: str) -> None:
    assert condition(f" name {operator} x ") == Comparison("name", operator, " x ", is_text=True)


@pytest.mark.parametrize("operator", ["?=", "!?="])
def test_a_list_is_separated_by_commas(operator: str) -> None:
    assert condition(f"state{operator}Running,Stopped") == Comparison(
        "state", operator, ["Running", "Stopped"], is_text=True
    )
    assert condition(f"cpuNum{operator}1,2") == Comparison(
        "cpu_num", operator, [1, 2], is_text=False
    )


@pytest.mark.parametrize("operator", ["is null", "not null"])
def test_a_null_test_has_no_value(operator: str) -> None:
    assert condition(f"hostUuid {operator}") == Comparison(
        "host_uuid", operator, None, is_text=True
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
    assert condition(f"createDate>{text}") == Comparison(
        "created_at", ">", moment.astimezone(), is_text=False
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
        ([("limit", "x")], "Invalid query parameter. The parameter[limit] must be an integer"),
        ([("limit", "-1")], "Invalid query parameter. The parameter[limit] must be an integer"),
        ([("start", "1e3")], "Invalid query parameter. The parameter[start] must be an integer"),
        ([("start", "9" * 20)], "Invalid query parameter. The parameter[start] must be an int"),
        ([("sort", "nonsense")], "Invalid query parameter. [nonsense] is not a queryable field"),
        ([("fields", "name,nope")], "Invalid query parameter. [nope] is not a queryable field"),
    ],
)
def test_a_bad_parameter_is_named(pairs: list[tuple[str, str]], text: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        parse_query(pairs)
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
    assert parse_query([("groupBy", "x"), ("unknown", "y")]) == VmQuery(conditions=[], limit=1000)


def test_every_parameter_has_its_effect() -> None:
    query = parse_query(
        [
            ("q", "name=a"),
            ("q", "cpuNum>1"),
            ("limit", "5"),
            ("start", "2"),
            ("sort", "-createDate"),
            ("fields", "name, vmNics"),
            ("count", "True"),
            ("replyWithCount", "true"),
        ]
    )
    assert [comparison.column for comparison in query.conditions] == ["name", "cpu_num"]
    assert (query.limit, query.start) == (5, 2)
    assert query.sort == Sort("created_at", descending=True)
    assert query.fields == ("name", "vmNics")
    assert query.count_only
    assert query.with_total


@pytest.mark.parametrize("text", ["name", "+name", " name"])
def test_sorting_ascends_with_and_without_a_plus(text: str) -> None:
    assert parse_query([("sort", text)]).sort == Sort("name", descending=False)


def test_at_most_ten_thousand_are_given() -> None:
    assert parse_query([("limit", "99999999")]).limit == 10_000


@given(st.sampled_from(["q", "limit", "start", "sort", "fields", "count"]), st.text())
def test_any_text_is_a_query_or_a_bad_request(name: str, text: Any) -> None:
    for value in (text, f"createDate>{text}", f"cpuNum={text}"):
        with contextlib.suppress(BadRequest):
            parse_query([(name, value)])
