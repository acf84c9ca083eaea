"""Whatever a caller sends to any path of ZStack's surface is answered or refused."""

import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, example, given
from hypothesis import settings as with_settings
from hypothesis import strategies as st

from app.api.routes import RPC, ZSTACK
from app.store.session import Database
from app.zstack.messages import CLONE, MESSAGES, query_classes
from tests.engine import Engine
from tests.factories import ADMIN
from tests.integration.api.conftest import Api, exchange, open_session
from tests.integration.queries.conftest import fill

ROUTES = [(r.method, f"/zstack/v1{r.path}") for r in ZSTACK] + [(r.method, r.path) for r in RPC]
METHODS = ["GET", "HEAD", "OPTIONS", "PATCH", "TRACE", "POST", "PUT", "DELETE"]
CLASSES = [m.request_class for m in MESSAGES] + [java for java, _ in query_classes()]
ACTIONS = [m.action for m in MESSAGES] + ["params", "logInByAccount", "logInByUser", "renewSession"]
MEMBERS = [
    *("names", "strategy", "full", "vmInstanceUuid", "uuid", "hostUuid", "clusterUuid", "type"),
    *("systemTags", "userTags", "rootVolumeSystemTags", "vmNicParams", "diskAOs", "resetTpm"),
    *("vmCustomSpecification", "description", "name", "password", "accountName", "accountUuid"),
    *("userName", "accountUuids", "resourceUuids", "toPublic", "identityUuid", "value", "state"),
    *("duration", "jobName", "jobData", "cpuNum", "memorySize", "sessionUuid", "deleteMode"),
    *("conditions", "limit", "start", "fields", "sortBy", "groupBy", "count", "all", "apiId"),
]
SOURCE = "<source>"
ODD_TEXTS = ["", " ", "\x00", "\u202e", "\uffff", "\U0010ffff", "..", "a/b", "a" * 300, "%s", "'"]
ODD_IN_PATHS = ["%00", "%FF", "%ED%A0%80", "..", "%2e%2e", "%2F", "{}", "*", ";", "a" * 300, "%"]
ODD_QUERIES = [
    *("%", "=", "&&", "q", "q=", "q=%00=1", "q=name=%FF", "q[]=x", "limit=-1", "limit=1e9"),
    *("start=9223372036854775808", "sort=-", "fields=,", "groupBy=" + "a." * 200 + "b", "all=x"),
    *("q=vmNics.vmInstance.name!=x", "q=createDate>9999-99-99", "count=true&replyWithCount=true"),
    *("deleteMode=%00", "cpuNum=x", "memorySize=9223372036854775808", "l3NetworkUuids=%00"),
]
ODD_HEADERS = [
    *("X-Job-UUID: " + "/" * 32, "X-Job-UUID: short", "X-API-Timeout: -1", "X-API-Timeout: \xb2"),
    *("X-Web-Hook: http://[", "X-Web-Hook: http://a b\xff", "Prefer: wait=-1", "Prefer: \xff"),
    *("X-Request-Ip: \xff", "X-JSON-Schema: \xff", "Accept-Encoding: gzip;q=\xff", "Expect: x"),
    *(
        "Content-Encoding: gzip",
        "Content-Type: \xff/\xff; charset=\xff",
        "Cookie: vmclone_session=\xff",
        'Cookie: vmclone_session="\\000"',
    ),
    *("If-None-Match: \xff", "Date: Mon, 01 Jan 0001 00:00:00 ../../x", "Upgrade: websocket"),
    *("Authorization: OAuth \xff", "Authorization: ZStack a:b", "Authorization: ZStack \xff:\xff"),
]
TEXTS = st.text(max_size=20) | st.sampled_from([SOURCE, ADMIN, "0" * 32, *ODD_TEXTS])
NUMBERS = st.floats(allow_nan=False, allow_infinity=False)
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | TEXTS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=5,
)
PARAMETERS = st.dictionaries(st.sampled_from(MEMBERS) | TEXTS, VALUES, max_size=5)
BODIES = st.one_of(
    st.dictionaries(st.sampled_from(ACTIONS), PARAMETERS | VALUES, min_size=1, max_size=2),
    PARAMETERS,
    VALUES,
).map(lambda value: json.dumps(value).encode()) | st.binary(max_size=50)
HEADERS = st.lists(st.sampled_from(ODD_HEADERS), max_size=2)
SEGMENTS = st.sampled_from([SOURCE, ADMIN, "0" * 32]) | st.sampled_from(ODD_IN_PATHS)
QUOTED = st.text(max_size=20).map(lambda text: quote(text, safe="=&,"))
QUERIES = st.lists(st.sampled_from(ODD_QUERIES) | QUOTED, max_size=3).map("&".join)
# Most requests reach the route that they name.
TARGETS = st.tuples(
    st.sampled_from(ROUTES).flatmap(
        lambda route: st.tuples(
            st.just(route[0]) | st.just(route[0]) | st.sampled_from(METHODS), st.just(route[1])
        )
    ),
    SEGMENTS,
    QUERIES,
).map(lambda t: (t[0][0], t[0][1].replace("{uuid}", t[1]) + (f"?{t[2]}" if t[2] else "")))
EVERY = with_settings(max_examples=80, deadline=None, suppress_health_check=list(HealthCheck))


def no_fault_of_ours(answer: bytes) -> None:
    """503 is a refused job or call of ZStack's."""
    head, _, body = answer.partition(b"\r\n\r\n")
    status = int(head.split()[1])
    assert status < 500 or status == 503, answer
    assert b"SYS.1000" not in body, answer
    assert b"Traceback" not in answer, answer


@pytest.fixture
def source(database: Database, engine: Engine) -> Iterator[str]:
    """Afterwards what was accepted is judged, and meets no fault of ours either."""
    with database.engine.begin() as connection:
        connection.exec_driver_sql("DELETE FROM accounts")
        uuid = fill(connection).source
    yield uuid
    for job in engine.rows("SELECT uuid FROM jobs WHERE state = 'Accepted'"):
        engine.start(job.uuid)
    jobs = engine.rows("SELECT kind::text, state::text, error, request FROM jobs")
    assert jobs
    assert [j for j in jobs if j.state == "Accepted" or "SYS.1000" in str(j.error)] == []


# One of them at least is accepted.
@example(
    ("PUT", f"/zstack/v1/vm-instances/{SOURCE}/actions"),
    [],
    b'{"cloneVmInstance": {"names": ["a"]}}',
)
@EVERY
@given(TARGETS, HEADERS, BODIES)
async def test_no_request_is_a_fault_of_ours(
    api: Api, database: Database, source: str, target: Any, headers: list[str], body: bytes
) -> None:
    lines = [f"{target[0]} {target[1]} HTTP/1.1", "Host: test", "Connection: close", *headers]
    if not any(header.startswith(("Authorization", "Cookie")) for header in headers):
        lines.append(f"Authorization: {open_session(database, ADMIN)['Authorization']}")
    body = body.replace(SOURCE.encode(), source.encode())
    head = "\r\n".join([*lines, f"Content-Length: {len(body)}", "", ""]).replace(SOURCE, source)
    no_fault_of_ours(await exchange(api, head.encode("latin-1") + body))


@example(CLONE.request_class, {"vmInstanceUuid": SOURCE, "names": ["a"]}, "")
@EVERY
@given(st.sampled_from(CLASSES), PARAMETERS, st.sampled_from(ODD_TEXTS) | VALUES)
async def test_no_message_of_the_legacy_rpc_is_a_fault_of_ours(
    api: Api, database: Database, source: str, java_class: str, members: Any, session: Any
) -> None:
    valid = open_session(database, ADMIN)["Authorization"].removeprefix("OAuth ")
    for uuid in (valid, session):
        body = json.dumps({java_class: members | {"session": {"uuid": uuid}}})
        answer = await api.post("/zstack/api", data=body.replace(SOURCE, source).encode())
        said = await answer.text()
        assert (answer.status, "SYS.1000" in said, "Traceback" in said) == (200, False, False), said
