"""Browsers: a cookie instead of `Authorization`, and the token that guards it."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from aiohttp.test_utils import TestClient

from app.api.main import DEFAULT_PASSWORD, create_app
from app.settings import Settings
from app.store.accounts import sha512
from app.store.session import Database
from tests.factories import ADMIN
from tests.integration.api.conftest import Api
from tests.integration.api.test_identity import account, done

SESSION = "/api/v1/session"
VM = "0" * 32


async def sign_in(api: Api, name: str = "admin", password: str = DEFAULT_PASSWORD) -> Any:
    """What the page reads; the cookie stays in the client."""
    answer = await api.post(SESSION, json={"accountName": name, "password": password})
    assert answer.status == 200, await answer.text()
    return await answer.json()


async def problem(answer: Any, status: int) -> dict[str, Any]:
    assert answer.status == status, await answer.text()
    assert answer.content_type == "application/problem+json"
    body: dict[str, Any] = await answer.json()
    return body


async def test_a_browser_signs_in_and_its_cookie_is_let_in_on_both_surfaces(api: Api) -> None:
    shown = await sign_in(api)
    assert shown == {
        "account": "admin",
        "accountUuid": ADMIN,
        "isAdmin": True,
        "csrfToken": shown["csrfToken"],
    }
    assert await (await api.get(SESSION)).json() == shown
    assert (await api.get("/api/v1/clone-jobs")).status == 200
    assert (await api.get("/zstack/v1/vm-instances?q=name=golden")).status == 200


async def test_no_script_and_no_other_site_gets_the_cookie(api: Api) -> None:
    answer = await api.post(SESSION, json={"accountName": "admin", "password": DEFAULT_PASSWORD})
    cookie = answer.cookies["vmclone_session"]
    assert (cookie["httponly"], cookie["samesite"], cookie["path"]) == (True, "Strict", "/")
    assert not cookie["secure"]  # this public URL is plain http
    assert cookie.value not in await answer.text()
    assert answer.headers["Cache-Control"] == "no-store"


async def test_behind_https_the_cookie_never_travels_in_the_clear(
    settings: Settings, aiohttp_client: Callable[..., Awaitable[Api]]
) -> None:
    public = settings.model_copy(update={"public_url": "https://clones.example"})
    api: TestClient[Any, Any] = await aiohttp_client(create_app(public))
    answer = await api.post(SESSION, json={"accountName": "admin", "password": DEFAULT_PASSWORD})
    assert answer.cookies["vmclone_session"]["secure"]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/v1/clone-jobs"),
        ("POST", f"/api/v1/clone-jobs/{VM}/cancel"),
        ("DELETE", f"/api/v1/clone-jobs/{VM}/vms"),
        ("DELETE", SESSION),
        ("PUT", f"/zstack/v1/vm-instances/{VM}/actions"),
        ("DELETE", f"/zstack/v1/vm-instances/{VM}"),
    ],
)
async def test_a_cookie_alone_changes_nothing(api: Api, method: str, path: str) -> None:
    await sign_in(api)
    body = {"vmInstanceUuid": VM, "names": ["web-1"]}
    for headers in ({}, {"X-CSRF-Token": "0" * 64}, {"X-CSRF-Token": "é"}):
        answer = await api.request(method, path, json=body, headers=headers)
        assert answer.status == 403
        assert "X-CSRF-Token" in await answer.text()
    assert (await api.get(SESSION)).status == 200


async def test_with_its_token_a_cookie_submits(api: Api) -> None:
    token = (await sign_in(api))["csrfToken"]
    body = {"vmInstanceUuid": VM, "names": ["web-1"]}
    answer = await api.post("/api/v1/clone-jobs", json=body, headers={"X-CSRF-Token": token})
    assert answer.status == 202
    assert (await answer.json())["account"] == "admin"


async def test_a_token_is_of_one_session_only(api: Api) -> None:
    first = (await sign_in(api))["csrfToken"]
    second = (await sign_in(api))["csrfToken"]
    assert first != second
    refused = await api.delete(SESSION, headers={"X-CSRF-Token": first})
    assert refused.status == 403


async def test_authorization_goes_before_the_cookie_and_needs_no_token(
    api: Api, signed_in: dict[str, str]
) -> None:
    await sign_in(api)
    body = {"vmInstanceUuid": VM, "names": ["web-1"]}
    assert (await api.post("/api/v1/clone-jobs", json=body, headers=signed_in)).status == 202
    wrong = {"Authorization": "OAuth " + "0" * 32}
    assert (await api.get("/api/v1/clone-jobs", headers=wrong)).status == 401


async def test_signing_out_ends_the_session_and_takes_the_cookie(api: Api) -> None:
    token = (await sign_in(api))["csrfToken"]
    kept = {"Cookie": f"vmclone_session={_cookie(api)}"}
    answer = await api.delete(SESSION, headers={"X-CSRF-Token": token})
    assert answer.status == 204
    assert not _cookie(api)
    assert (await problem(await api.get(SESSION), 401))["code"] == "ID.1001"
    assert (await api.get(SESSION, headers=kept)).status == 401


async def test_wrong_passwords_are_refused_and_counted_with_those_of_other_clients(
    api: Api,
) -> None:
    for _ in range(10):
        answer = await api.post(SESSION, json={"accountName": "admin", "password": "wrong"})
        refused = await problem(answer, 401)
        assert refused["code"] == "ID.1000"
    answer = await api.post(SESSION, json={"accountName": "admin", "password": DEFAULT_PASSWORD})
    assert "too many failed attempts" in (await problem(answer, 401))["detail"]


async def test_a_form_of_another_site_cannot_sign_anybody_in(api: Api) -> None:
    body = '{"accountName": "admin", "password": "password"}'
    answer = await api.post(SESSION, data=body, headers={"Content-Type": "text/plain"})
    await problem(answer, 415)
    assert not answer.cookies


async def test_a_user_of_an_account_signs_in_with_a_password_of_its_own(
    api: Api, signed_in: dict[str, str]
) -> None:
    made = await account(api, signed_in, "tenant")
    tenant = (await sign_in(api, "tenant", "tenant"))["csrfToken"]
    body = {"params": {"name": "kim", "password": sha512("kims")}}
    await done(api, "POST", "/accounts/users", {"X-CSRF-Token": tenant}, body)
    names = {"accountName": "tenant", "userName": "kim", "password": "kims"}
    shown = await (await api.post(SESSION, json=names)).json()
    assert (shown["accountUuid"], shown["isAdmin"]) == (made["uuid"], False)


async def test_a_session_that_has_expired_is_nobodys(api: Api, database: Database) -> None:
    await sign_in(api)
    with database.engine.begin() as connection:
        connection.exec_driver_sql("UPDATE sessions SET expires_at = clock_timestamp()")
    await problem(await api.get(SESSION), 401)
    await problem(await api.get("/api/v1/clone-jobs"), 401)


def _cookie(api: Api) -> str:
    return next((c.value for c in api.session.cookie_jar if c.key == "vmclone_session"), "")
