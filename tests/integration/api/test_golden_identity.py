"""Whole exchanges of signing in and out, as the clients of section 9's rows have them, byte for
byte but for what is new each time."""

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import pytest

from app.settings import Settings
from app.store.accounts import sha512
from app.store.session import Database
from tests.factories import ADMIN, Inventory
from tests.integration.api.conftest import Api
from tests.integration.api.test_access_keys import make_key

DATE = re.compile(r"[A-Z][a-z]{2} \d{1,2}, \d{4} \d{1,2}:\d{2}:\d{2} [AP]M")
EXPIRED = (
    '{"error":{"code":"ID.1001","description":"The session is invalid, either wrong session id or '
    'the session has been expired","details":"Session expired"}}'
)


@dataclass
class Exchange:
    """One answer, its new parts replaced by what they are."""

    status: int
    text: str

    @classmethod
    async def of(cls, api: Api, method: str, path: str, **sent: Any) -> "Exchange":
        answer = await api.request(method, path, **sent)
        text = (await answer.text()).replace(
            f"http://{answer.url.host}:{answer.url.port}", "<base>"
        )
        text = DATE.sub("<date>", text)
        return cls(answer.status, text)


async def login(api: Api, base: str = "/zstack/v1") -> tuple[str, Exchange]:
    body = {"logInByAccount": {"accountName": "admin", "password": sha512("password")}}
    answer = await api.put(f"{base}/accounts/login", json=body)
    text = await answer.text()
    session = json.loads(text)["inventory"]["uuid"]
    return session, Exchange(answer.status, DATE.sub("<date>", text).replace(session, "<session>"))


@pytest.mark.parametrize("base", ["/zstack/v1", "/v1"])
async def test_row_1_login(api: Api, base: str) -> None:
    _, exchange = await login(api, base)
    assert exchange == Exchange(
        200,
        f'{{"inventory":{{"uuid":"<session>","accountUuid":"{ADMIN}","userUuid":"{ADMIN}",'
        '"expiredDate":"<date>","createDate":"<date>","noSessionEvaluation":false}}',
    )


async def test_row_1_login_with_a_wrong_password(api: Api) -> None:
    body = {"logInByAccount": {"accountName": "admin", "password": sha512("wrong")}}
    assert await Exchange.of(api, "PUT", "/zstack/v1/accounts/login", json=body) == Exchange(
        503,
        '{"error":{"code":"ID.1000","description":"Unable to authenticate a user",'
        '"details":"wrong account name or password"}}',
    )


@pytest.mark.parametrize(
    ("zone", "poll"),
    [
        ("Etc/UTC", {"Authorization": "OAuth null"}),  # row 5, Java
        ("UTC", None),  # row 13, Go: the submission's own headers, over another method and path
    ],
)
async def test_rows_5_and_13_a_signed_clone_and_its_stale_poll(
    api: Api,
    inventory: Inventory,
    database: Database,
    settings: Settings,
    engine: Any,
    zone: str,
    poll: dict[str, str] | None,
) -> None:
    uri = f"/v1/vm-instances/{inventory.source}/actions"
    signed = make_key(database, settings).headers("PUT", uri, zone=zone, at=datetime.now(UTC))
    job = "5" * 32
    sent = await Exchange.of(
        api,
        "PUT",
        f"/zstack{uri}",
        json={"cloneVmInstance": {"names": ["a"], "strategy": "InstantStart", "full": False}},
        headers=signed | {"X-API-Timeout": "60", "X-Job-UUID": job},
    )
    location = f"<base>/zstack/v1/api-jobs/{job}"
    assert sent == Exchange(202, f'{{"location":"{location}","apiTimeout":60000}}')
    headers = poll or signed
    running = await api.get(f"/zstack/v1/api-jobs/{job}", headers=headers)
    assert running.status == 202
    assert "result" not in await running.json()
    engine.start(job)
    ended = await api.get(f"/zstack/v1/api-jobs/{job}", headers=headers)
    assert ended.status == 200
    result = await ended.json()
    assert result["success"]
    assert result["result"]["numberOfClonedVm"] == 1


async def test_row_10_logout_and_what_is_left_of_the_session(api: Api) -> None:
    session, _ = await login(api)
    path = f"/zstack/v1/accounts/sessions/{session}"
    assert await Exchange.of(api, "GET", f"{path}/valid") == Exchange(200, '{"valid":true}')
    assert await Exchange.of(api, "DELETE", f"{path}?deleteMode=") == Exchange(200, "{}")
    assert await Exchange.of(api, "GET", f"{path}/valid") == Exchange(200, '{"valid":false}')
    headers = {"Authorization": f"OAuth {session}"}
    query = await Exchange.of(api, "GET", "/zstack/v1/vm-instances", headers=headers)
    assert query == Exchange(503, EXPIRED)


@pytest.mark.parametrize("session", ["unknown", "null", ""])
async def test_row_18_a_bad_session_is_202_then_503_and_at_once_for_a_query(
    api: Api, session: str
) -> None:
    headers = {"Authorization": f"OAuth {session}", "X-Job-UUID": "1" * 32}
    path = f"/zstack/v1/vm-instances/{'a' * 32}/actions"
    sent = await Exchange.of(api, "PUT", path, json={"cloneVmInstance": {}}, headers=headers)
    assert sent.status == 202
    assert await Exchange.of(api, "GET", f"/zstack/v1/api-jobs/{'1' * 32}") == Exchange(
        503, EXPIRED
    )
    query = await Exchange.of(api, "GET", "/zstack/v1/vm-instances", headers=headers)
    assert query == Exchange(503, EXPIRED)


async def test_row_18_a_missing_header_is_400(api: Api) -> None:
    missing = Exchange(400, "missing header 'Authorization'")
    path = f"/zstack/v1/vm-instances/{'a' * 32}/actions"
    assert await Exchange.of(api, "PUT", path, json={"cloneVmInstance": {}}) == missing
    assert await Exchange.of(api, "GET", "/zstack/v1/vm-instances") == missing
    # A bad body is reported before a bad token.
    assert (await Exchange.of(api, "PUT", path, json={})).text.startswith(
        "the body doesn't contain"
    )
