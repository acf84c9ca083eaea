"""Requests signed with access keys, whose signatures are computed here once more."""

import base64
import hashlib
import hmac
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as with_settings
from hypothesis import strategies as st

from app.settings import Settings
from app.store import access_keys
from app.store.access_keys import open_key_file
from app.store.session import Database
from tests.factories import ADMIN, Inventory, make_account, make_inventory
from tests.integration.api.conftest import Api
from tests.integration.api.test_paths import raw

FORMAT = "'Date' format error, correct format is 'EEE, dd MMM yyyy HH:mm:ss z'"


class Signer:
    """As the SDKs do it, and nothing of ours."""

    def __init__(self, access_key_id: str, secret: str) -> None:
        self.id = access_key_id
        self.secret = secret

    def headers(
        self,
        method: str,
        uri: str,
        *,
        zone: str = "Etc/UTC",
        at: datetime | None = None,
        md5: str | None = None,
    ) -> dict[str, str]:
        moment = at or datetime.now(UTC)
        date = f"{moment:%a, %d %b %Y %H:%M:%S} {zone}"
        lines = [method, date, uri]
        extra: dict[str, str] = {}
        if md5 is not None:
            extra = {"Content-MD5": md5, "Content-Type": "application/json"}
            lines = [method, md5, "application/json", date, uri]
        digest = hmac.new(self.secret.encode(), "\n".join(lines).encode(), hashlib.sha1).digest()
        signature = base64.b64encode(digest).decode()
        return {"Authorization": f"ZStack {self.id}:{signature}", "date": date} | extra


def make_key(database: Database, settings: Settings, account: str = ADMIN) -> Signer:
    with database.engine.begin() as connection:
        key_file = open_key_file(settings.key_file)
        key = access_keys.create(connection, key_file, account_uuid=account)
        return Signer(key.row.access_key_id, key.secret)


@pytest.fixture
def signer(inventory: Inventory, database: Database, settings: Settings) -> Signer:
    return make_key(database, settings)


@pytest.mark.parametrize("base", ["/zstack/v1", "/v1", "/zstack//v1"])
async def test_a_signed_clone_is_its_account_s_below_every_base(
    api: Api, inventory: Inventory, signer: Signer, database: Database, base: str
) -> None:
    uri = f"/v1/vm-instances/{inventory.source}/actions"
    answer = await api.put(
        f"{base}{uri.removeprefix('/v1')}",
        json={"cloneVmInstance": {"names": ["a"]}},
        headers=signer.headers("PUT", uri),
    )
    assert answer.status == 202
    with database.single() as connection:
        owner = connection.exec_driver_sql("SELECT account_uuid FROM jobs").scalar_one()
    assert owner == ADMIN


async def test_a_query_is_signed_without_its_query_string(api: Api, signer: Signer) -> None:
    headers = signer.headers("GET", "/v1/vm-instances")
    answer = await api.get("/zstack/v1/vm-instances?q=name=golden&limit=1", headers=headers)
    assert answer.status == 200
    assert len((await answer.json())["inventories"]) == 1


async def test_the_old_python_form_is_accepted(api: Api, signer: Signer) -> None:
    headers = signer.headers("GET", "/v1/vm-instances", md5="rL0Y20zC+Fzt72VPzMSk2A==")
    assert (await api.get("/v1/vm-instances", headers=headers)).status == 200


async def test_our_own_surface_takes_access_keys_too(
    api: Api, inventory: Inventory, signer: Signer
) -> None:
    uri = "/api/v1/clone-jobs"
    body = {"vmInstanceUuid": inventory.source, "names": ["a"]}
    made = await api.post(uri, json=body, headers=signer.headers("POST", uri))
    assert made.status == 202
    listed = await api.get(uri, headers=signer.headers("GET", uri))
    assert [job["uuid"] for job in (await listed.json())["clone-jobs"]] == [
        (await made.json())["uuid"]
    ]
    wrong = await api.get(uri, headers=signer.headers("POST", uri))
    assert (wrong.status, (await wrong.json())["code"]) == (401, "ID.1000")


async def test_a_key_acts_for_its_account_alone(
    api: Api, inventory: Inventory, database: Database, settings: Settings
) -> None:
    with database.engine.begin() as connection:
        tenant = make_account(connection)
    headers = make_key(database, settings, tenant).headers("GET", "/v1/vm-instances")
    answer = await api.get("/v1/vm-instances", headers=headers)
    assert (await answer.json())["inventories"] == []


async def test_a_key_that_was_deleted_signs_nothing(
    api: Api, signer: Signer, database: Database
) -> None:
    with database.engine.begin() as connection:
        access_keys.delete(connection, signer.id)
    answer = await api.get("/v1/vm-instances", headers=signer.headers("GET", "/v1/vm-instances"))
    error = (await answer.json())["error"]
    assert (answer.status, error["code"]) == (503, "ID.1000")
    assert "access key id" in error["details"]


@pytest.mark.parametrize(
    ("change", "status", "text"),
    [
        ({"Authorization": "ZStack nobody:x"}, 503, "access key id"),
        ({"Authorization": "ZStack \xff:x"}, 503, "access key id"),
        ({"Authorization": "ZStack {id}:x"}, 503, "wrong accessKey signature"),
        ({"Authorization": "ZStack {id}:\xff"}, 503, "wrong accessKey signature"),
        (
            {"Authorization": "ZStack {id}"},
            400,
            "accessKey format is 'ZStack AccessKeyId:Signature'",
        ),
        ({"Authorization": "ZStack a:b:c"}, 400, "accessKey format is"),
        ({"date": None}, 400, "'Date' must be incuded in request header"),
        ({"date": "yesterday"}, 400, FORMAT),
        ({"Authorization": None}, 400, "missing header 'Authorization'"),
        ({"Authorization": "Basic eDp5"}, 400, "Authorization type must be 'OAuth'"),
    ],
)
async def test_what_is_wrong_with_a_signature_has_zstacks_answer(
    api: Api, signer: Signer, change: dict[str, str | None], status: int, text: str
) -> None:
    headers: dict[str, Any] = signer.headers("GET", "/v1/vm-instances") | change
    sent = {
        name: value.format(id=signer.id) for name, value in headers.items() if value is not None
    }
    answer = await api.get("/v1/vm-instances", headers=sent)
    assert answer.status == status
    assert text in await answer.text()


@pytest.mark.parametrize("hours", [-1, 1])
async def test_an_old_signature_is_403(api: Api, signer: Signer, hours: int) -> None:
    old = datetime.now(UTC) + timedelta(hours=hours)
    headers = signer.headers("GET", "/v1/vm-instances", at=old)
    answer = await api.get("/v1/vm-instances", headers=headers)
    assert (answer.status, await answer.text()) == (403, "requestTimeTooSkewed")


async def test_a_signed_submission_that_is_wrong_is_refused_at_once(
    api: Api, inventory: Inventory, signer: Signer
) -> None:
    uri = f"/v1/vm-instances/{inventory.source}/actions"
    body = {"cloneVmInstance": {"names": ["a"]}}
    answer = await api.put(uri, json=body, headers=signer.headers("GET", uri))
    assert answer.status == 503
    assert "wrong accessKey signature" in (await answer.json())["error"]["details"]


async def test_another_key_file_is_named_as_the_reason(
    api: Api, signer: Signer, settings: Settings
) -> None:
    settings.key_file.write_bytes(b"x" * 32)
    answer = await api.get("/v1/vm-instances", headers=signer.headers("GET", "/v1/vm-instances"))
    assert answer.status == 503
    assert "another key file" in (await answer.json())["error"]["details"]


def test_the_key_file_is_its_owner_s_alone_and_secrets_are_not_in_the_database(
    database: Database, settings: Settings
) -> None:
    with database.engine.begin() as connection:
        make_inventory(connection)
    signer = make_key(database, settings)
    path: Path = settings.key_file
    assert path.stat().st_mode & 0o777 == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == [path.name]
    with database.single() as connection:
        row = connection.exec_driver_sql("SELECT access_keys::text FROM access_keys").scalar_one()
    assert signer.id in row
    assert signer.secret not in row


LINE = st.text(st.characters(max_codepoint=255, exclude_characters="\r\n\0"), max_size=60)
SCHEMES = st.sampled_from(["", "OAuth ", "ZStack ", "ZStack {id}:", "ZStack a:", "Basic "])
DATES = st.sampled_from(["", "Tue, 24 Nov 2026 12:00:00 ", "Mon, 01 Jan 0001 00:00:00 UTC"])


@with_settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(scheme=SCHEMES, value=LINE, date=DATES, rest=LINE)
async def test_no_header_is_an_internal_error(
    api: Api, signer: Signer, scheme: str, value: str, date: str, rest: str
) -> None:
    """Refused in a form that the contract has: 503 is an unknown session or key there."""
    authorization = scheme.format(id=signer.id) + value
    head = f"Authorization: {authorization}\r\nDate: {date}{rest}\r\n"
    answer = await raw(api, "/v1/vm-instances", head)
    status = answer.split()[1]
    assert status in {b"400", b"403", b"503"}
    assert status != b"503" or b'"code":"ID.100' in answer
