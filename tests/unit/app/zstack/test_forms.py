"""Bodies: strict JSON, then the action that they ask for."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.zstack.forms import MAX_DEPTH, BadRequest, action_of, check_types, parse_object

CLONE = "cloneVmInstance"


def nested(levels: int) -> bytes:
    """An object that nests so many levels, itself the first."""
    return b'{"a":' * levels + b"1" + b"}" * levels


@pytest.mark.parametrize(
    ("body", "text"),
    [
        (b"", "the body is empty, a JSON object is expected"),
        (b" \n", "the body is empty, a JSON object is expected"),
        (b"[]", "the body is not a JSON object"),
        (b"null", "the body is not a JSON object"),
        (b"{", "the body is not JSON: "),
        (b'{"a":1,}', "the body is not JSON: "),
        (b'{"a":NaN}', "the body is not JSON: NaN is no JSON value"),
        (b'{"a":-Infinity}', "the body is not JSON: -Infinity is no JSON value"),
        (b'{"a":1,"a":2}', "the body is not JSON: member 'a' stands twice"),
        (b'{"x":{"a":1,"a":2}}', "the body is not JSON: member 'a' stands twice"),
        (b'{"a":"\xff"}', "the body is not UTF-8: byte 6 cannot be read"),
        (b'{"a":"\\ud800"}', "the body is not JSON: it holds an unpaired surrogate"),
        (b'{"\\uDC00":1}', "the body is not JSON: it holds an unpaired surrogate"),
        (b'{"a":9223372036854775808}', "the body is not JSON: a number does not fit in 64 bits"),
        (b'{"a":-9223372036854775809}', "the body is not JSON: a number does not fit in 64 bits"),
        (b'{"a":1e400}', "the body is not JSON: a number does not fit in 64 bits"),
        (nested(MAX_DEPTH + 1), "the body nests deeper than 32 levels"),
        (nested(100_000), "the body nests deeper than 32 levels"),
    ],
)
def test_what_is_no_strict_json_object_is_refused_by_name(body: bytes, text: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        parse_object(body)
    assert str(refusal.value).startswith(text)


@pytest.mark.parametrize(
    ("body", "value"),
    [
        (nested(MAX_DEPTH), json.loads(nested(MAX_DEPTH))),
        (b'{"a":9223372036854775807}', {"a": 2**63 - 1}),
        (b'{"a":-9223372036854775808}', {"a": -(2**63)}),
        (b'{"a":"\\ud83d\\ude00"}', {"a": "\N{GRINNING FACE}"}),
        (b'{"a":"\\\\ud800"}', {"a": "\\ud800"}),
        ('{"a":"é"}'.encode(), {"a": "é"}),
    ],
)
def test_everything_within_the_limits_is_read(body: bytes, value: dict[str, Any]) -> None:
    assert parse_object(body) == value


def test_a_megabyte_of_digits_is_never_converted() -> None:
    """Converting them all takes minutes, and Python's own refusal has another text."""
    with pytest.raises(BadRequest, match="a number does not fit in 64 bits"):
        parse_object(b'{"a":' + b"9" * (1 << 20) + b"}")


@given(
    st.binary()
    | st.text().map(str.encode)
    | st.recursive(
        st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    ).map(lambda value: json.dumps(value).encode())
)
def test_any_body_is_an_object_or_a_bad_request(body: bytes) -> None:
    try:
        value = parse_object(body)
    except BadRequest:
        return
    assert value == json.loads(body)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ({CLONE: {"names": ["a"], "systemTags": ["t"]}}, {"names": ["a"], "systemTags": ["t"]}),
        (
            {CLONE: {"names": ["a"]}, "systemTags": ["t"], "userTags": ["u"]},
            {"names": ["a"], "systemTags": ["t"], "userTags": ["u"]},
        ),
        (
            {CLONE: {"names": ["a"], "vmInstanceUuid": ""}},
            {"names": ["a"], "vmInstanceUuid": ""},
        ),
        ({"names": ["a"], "full": True}, {"names": ["a"], "full": True}),
        ({CLONE: None}, {}),
        ({CLONE: {"systemTags": ["in"]}, "systemTags": ["out"]}, {"systemTags": ["out"]}),
        # What is at the top level and null replaces too, as on a real server.
        ({CLONE: {"userTags": ["in"]}, "userTags": None}, {"userTags": None}),
        # Everything else beside the action is ignored.
        ({CLONE: {"names": ["a"]}, "names": ["b"], "requestIp": "::1"}, {"names": ["a"]}),
    ],
)
def test_every_body_form_gives_the_same_parameters(
    body: dict[str, Any], expected: dict[str, Any]
) -> None:
    assert action_of(body, [CLONE], path="/p", flat=CLONE) == (CLONE, expected)


@pytest.mark.parametrize(
    ("body", "flat", "text"),
    [
        ({}, CLONE, "the body doesn't contain action mapping to the URL[/p]"),
        ({"x": {"names": []}}, CLONE, "the body doesn't contain action mapping to the URL[/p]"),
        ({"names": ["a"]}, None, "the body doesn't contain action mapping to the URL[/p]"),
        ({CLONE: []}, CLONE, "the value of [cloneVmInstance] must be a JSON object"),
        ({CLONE: "x"}, CLONE, "the value of [cloneVmInstance] must be a JSON object"),
    ],
)
def test_a_body_without_its_action_is_refused(
    body: dict[str, Any], flat: str | None, text: str
) -> None:
    with pytest.raises(BadRequest) as refusal:
        action_of(body, [CLONE], path="/p", flat=flat)
    assert str(refusal.value) == text


@pytest.mark.parametrize("value", [None, True, False, "true", "FALSE", " True "])
def test_booleans_may_be_written_as_text(value: object) -> None:
    check_types({"full": value}, booleans=["full"])


@pytest.mark.parametrize(
    ("parameters", "text"),
    [
        (
            {"b": "yes"},
            "Invalid value for boolean field [b], [yes] is not a valid boolean string"
            "[true, false].",
        ),
        (
            {"b": 1},
            "Invalid value for boolean field [b], [1] is not a valid boolean string[true, false].",
        ),
        ({"i": "1"}, "[i] field is excepted an int or long, but was [1]."),
        ({"i": True}, "[i] field is excepted an int or long, but was [True]."),
        ({"l": "a"}, "[l] field is expected a list, but was [a]."),
        ({"l": {}}, "[l] field is expected a list, but was [{}]."),
        ({"l": "x" * 500}, f"[l] field is expected a list, but was [{'x' * 100}]."),
    ],
)
def test_a_wrong_type_has_zstacks_text(parameters: dict[str, Any], text: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        check_types(parameters, booleans=["b"], integers=["i"], lists=["l"])
    assert str(refusal.value) == text


def test_absent_and_null_parameters_have_every_type() -> None:
    check_types({"b": None}, booleans=["b"], integers=["i"], lists=["l"])
