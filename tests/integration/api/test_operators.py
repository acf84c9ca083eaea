"""What operators do to accounts and access keys on the database, seen from the API."""

import asyncio
import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from app.cli.main import app
from app.domain.errors import CloneError, InvalidArgument, InvalidQuota, ResourceNotFound
from app.settings import Settings
from tests.integration.api.conftest import Api
from tests.integration.api.test_access_keys import Signer
from tests.integration.api.test_identity import failed_login, sign_in


@pytest.fixture(autouse=True)
def environment(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    assert settings.database_url is not None
    assert settings.broker_url is not None
    monkeypatch.setenv("VMCLONE_HOME", str(settings.home))
    monkeypatch.setenv("VMCLONE_DATABASE_URL", settings.database_url.get_secret_value())
    monkeypatch.setenv("VMCLONE_BROKER_URL", settings.broker_url.get_secret_value())


def vmclone(*words: str, given: str | None = None) -> str:
    """Its output. Raises what the command does."""
    result: Result = CliRunner().invoke(app, list(words), input=given, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


async def run(*words: str, given: str | None = None) -> Any:
    return json.loads(await asyncio.to_thread(vmclone, *words, "--json", given=given))


async def test_an_account_is_made_listed_given_a_password_and_deleted(api: Api) -> None:
    made = await run("account", "create", "tenant", "--password-stdin", given="first\n")
    assert (made["name"], made["type"]) == ("tenant", "Normal")
    session = await sign_in(api, "tenant", "first")
    listed = await run("account", "list")
    assert [row["name"] for row in listed] == ["admin", "tenant"]
    await asyncio.to_thread(vmclone, "account", "password", "tenant", "--password", "second")
    assert (await api.get("/v1/vm-instances", headers=session)).status == 503
    await failed_login(api, "tenant", "first")
    await sign_in(api, "tenant", "second")
    await asyncio.to_thread(vmclone, "account", "delete", made["uuid"])
    await failed_login(api, "tenant", "second")


async def test_an_access_key_is_made_signs_is_listed_and_deleted(api: Api) -> None:
    made = await run("access-key", "create")
    signer = Signer(made["accessKeyId"], made["accessKeySecret"])
    headers = signer.headers("GET", "/v1/vm-instances")
    assert (await api.get("/zstack/v1/vm-instances", headers=headers)).status == 200
    listed = await run("access-key", "list")
    assert [(row["access_key_id"], row["account"]) for row in listed] == [(signer.id, "admin")]
    assert signer.secret not in json.dumps(listed)
    await asyncio.to_thread(vmclone, "access-key", "delete", signer.id)
    headers = signer.headers("GET", "/v1/vm-instances")
    assert (await api.get("/zstack/v1/vm-instances", headers=headers)).status == 503


async def test_quotas_are_set_and_shown(api: Api) -> None:
    await run("account", "create", "tenant", "--password", "x")
    await asyncio.to_thread(vmclone, "account", "quota", "tenant", "volume.capacity", "2TiB")
    await asyncio.to_thread(vmclone, "account", "quota", "default", "vm.num", "20")
    await asyncio.to_thread(vmclone, "account", "quota", "default", "vm.cpuNum", "8")
    await asyncio.to_thread(vmclone, "account", "quota", "tenant", "vm.cpuNum", "unlimited")
    shown = {row["name"]: row["total"] for row in await run("account", "quota", "tenant")}
    assert shown == {
        "vm.totalNum": -1,
        "vm.num": 20,
        "vm.cpuNum": -1,
        "vm.memorySize": -1,
        "volume.data.num": -1,
        "volume.capacity": 2 << 40,
    }


@pytest.mark.parametrize(
    ("words", "error", "text"),
    [
        ("account create admin --password x", InvalidArgument, "'admin' exists"),
        ("account create tenant", InvalidArgument, "--password-stdin"),
        ("account create tenant --password-stdin", InvalidArgument, "the password is empty"),
        ("account delete admin", InvalidArgument, "admin cannot be deleted"),
        ("account delete nobody", ResourceNotFound, "no account with the name or uuid nobody"),
        ("account password nobody --password x", ResourceNotFound, "nobody"),
        ("account quota admin vm.nums 1", InvalidQuota, "vm.totalNum"),
        ("account quota admin vm.num", InvalidArgument, "say which value"),
        ("account quota admin vm.num many", InvalidArgument, "many is not a number"),
        ("access-key create nobody", ResourceNotFound, "nobody"),
        ("access-key delete nothing", ResourceNotFound, "nothing"),
    ],
)
async def test_what_cannot_be_is_refused_with_the_way_out(
    api: Api, words: str, error: type[CloneError], text: str
) -> None:
    with pytest.raises(error) as refusal:
        await asyncio.to_thread(vmclone, *words.split())
    assert text in refusal.value.details
