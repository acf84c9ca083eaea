import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.domain.errors import ResourceNotFound
from app.zstack import rpc
from app.zstack.forms import BadRequest
from app.zstack.messages import BY_CLASS, CLONE, MESSAGES, messages_of

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.text(max_size=20),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
NOW = datetime(2026, 1, 2, tzinfo=UTC)


@given(VALUES, st.sampled_from(MESSAGES))
def test_any_member_is_a_rest_form_or_a_refusal(value: Any, message: Any) -> None:
    members = {"uuid": value, "vmInstanceUuid": value, "sessionUuid": value, "apiId": value}
    try:
        form = rpc.rest_form(message, members)
    except BadRequest:
        assert "{uuid}" in message.path
        assert not isinstance(value, str) or not value.strip()
        return
    except ResourceNotFound:
        assert "{uuid}" in message.path
        assert "/" in value or not value.strip(". ")
        return
    assert form.path.count("/") == message.path.count("/")
    assert form.method == message.method
    assert all(isinstance(text, str) for pair in form.query for text in pair)


@given(st.dictionaries(st.text(max_size=20), VALUES, max_size=3))
def test_any_object_is_a_call_or_a_refusal(body: dict[str, Any]) -> None:
    try:
        call = rpc.parse_call(body)
    except BadRequest:
        return
    assert call.message is None
    assert "session" not in call.members


@pytest.mark.parametrize("uuid", ["\x00", "\r\nX: y", "\u202e", "\x7f", 5, None, ["a"], {}])
def test_what_no_header_could_hold_names_no_session(uuid: Any) -> None:
    assert rpc.parse_call({CLONE.request_class: {"session": {"uuid": uuid}}}).session_uuid == ""


def test_the_path_s_member_leaves_the_body() -> None:
    stop = BY_CLASS["org.zstack.header.vm.APIStopVmInstanceMsg"]
    form = rpc.rest_form(stop, {"uuid": "a", "type": "cold"})
    assert (form.path, form.body) == (
        "/vm-instances/a/actions",
        {"stopVmInstance": {"type": "cold"}},
    )


def test_a_result_is_text_below_its_class() -> None:
    body = json.loads(rpc.done("C", {"inventory": 1, "success": True, "schema": {}}, NOW, NOW))
    assert json.loads(body["result"]) == {"C": {"success": True, "inventory": 1}}


@pytest.mark.parametrize("message", MESSAGES, ids=lambda message: message.name)
def test_an_action_picks_its_message_among_those_of_its_path(message: Any) -> None:
    candidates = messages_of(message.method, message.path)
    assert [m.action for m in candidates].count(message.action) == 1
    assert CLONE not in candidates or candidates[0] is CLONE
