"""Request headers, with ZStack's texts."""

import re

import pytest

from app.zstack.forms import BadRequest
from app.zstack.headers import MAX_TIMEOUT_S, Session, Signed, credential, job_headers, shown


@pytest.mark.parametrize("value", ["OAuth abc", "OAuthabc", "OAuth   abc  "])
def test_a_session_is_what_follows_oauth(value: str) -> None:
    assert credential({"Authorization": value}) == Session("abc")


@pytest.mark.parametrize(
    ("headers", "text"),
    [
        ({}, "missing header 'Authorization'"),
        ({"Authorization": "Basic abc"}, "Authorization type must be 'OAuth'"),
        ({"Authorization": "oauth abc"}, "Authorization type must be 'OAuth'"),
        ({"Authorization": "ZStack abc"}, "accessKey format is 'ZStack AccessKeyId:Signature'"),
        ({"Authorization": "ZStack a:b:c"}, "accessKey format is 'ZStack AccessKeyId:Signature'"),
        ({"Authorization": "ZStack a:b"}, "'Date' must be incuded in request header"),
    ],
)
def test_another_form_of_authorization_is_a_bad_request(headers: dict[str, str], text: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        credential(headers)
    assert str(refusal.value) == text


def test_an_access_key_comes_with_its_signature_and_date() -> None:
    headers = {"Authorization": "ZStack  key:signature= ", "Date": "today"}
    assert credential(headers) == Signed("key", "signature=", "today")


def test_without_headers_a_job_gets_an_id_and_nothing_else() -> None:
    first, second = job_headers({}), job_headers({})
    assert re.fullmatch("[0-9a-f]{32}", first.job_uuid)
    assert first.job_uuid != second.job_uuid
    assert (first.timeout_s, first.web_hook, first.wants_schema) == (None, None, False)


def test_headers_that_are_there_are_taken() -> None:
    headers = job_headers(
        {
            "X-Job-UUID": "J" * 32,
            "X-API-Timeout": " 60 ",
            "X-Web-Hook": "https://example.com/hook",
            "X-JSON-Schema": "",
            "X-Request-Ip": "192.0.2.1",
        }
    )
    assert headers.job_uuid == "J" * 32
    assert headers.timeout_s == 60
    assert headers.web_hook == "https://example.com/hook"
    assert headers.wants_schema
    assert headers.request_ip == "192.0.2.1"


@pytest.mark.parametrize("value", ["", "a" * 31, "a" * 33, "é" * 32])
def test_a_job_uuid_has_thirty_two_characters(value: str) -> None:
    with pytest.raises(BadRequest) as refusal:
        job_headers({"X-Job-UUID": value})
    assert str(refusal.value) == "Invalid header[X-Job-UUID], it must be a UUID with '-' stripped"


@pytest.mark.parametrize("value", ["1", "0060", str(MAX_TIMEOUT_S)])
def test_a_timeout_is_a_number_of_seconds(value: str) -> None:
    assert job_headers({"X-API-Timeout": value}).timeout_s == int(value)


@pytest.mark.parametrize(
    "value",
    ["", "0", "-1", "soon", "1.5", "٣", str(MAX_TIMEOUT_S + 1), "9" * 5000, "0" * 9 + "1" * 20],
)
def test_any_other_timeout_is_refused(value: str) -> None:
    with pytest.raises(BadRequest, match=r"^Invalid header\[X-API-Timeout\]"):
        job_headers({"X-API-Timeout": value})


@pytest.mark.parametrize(
    "value",
    [
        "",
        "example.com",
        "ftp://example.com",
        "http://é",
        "http://" + "x" * 2048,
        "http://a b/",
        "http://[",
        "http://:80/",
        "http://a:port/",
        "https:///hook",
    ],
)
def test_a_web_hook_is_an_absolute_url(value: str) -> None:
    with pytest.raises(BadRequest, match=r"^Invalid header\[X-Web-Hook\]"):
        job_headers({"X-Web-Hook": value})


def test_a_refusal_can_be_sent_even_where_the_header_is_not_utf8() -> None:
    """Bytes that are no UTF-8 arrive as lone surrogates, which nothing can encode."""
    with pytest.raises(BadRequest) as bad_timeout:
        job_headers({"X-API-Timeout": "\udcff"})
    assert shown("\udcff") == "?"
    assert str(bad_timeout.value).encode()
    assert job_headers({"X-Request-Ip": "\udcff"}).request_ip == "?"
