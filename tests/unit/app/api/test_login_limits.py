"""Who guesses waits, and who knows his password does not."""

import asyncio

import pytest

from app.api.login_limits import LoginLimits
from app.domain.errors import AuthenticationFailed

WRONG = "wrong account name or password"


async def guess(limits: LoginLimits, account: str, address: str) -> str:
    """The refusal's text."""
    with pytest.raises(AuthenticationFailed) as refusal:
        async with limits.attempt(account, address):
            raise AuthenticationFailed
    return refusal.value.details


async def sign_in(limits: LoginLimits, account: str, address: str) -> None:
    async with limits.attempt(account, address):
        await asyncio.sleep(0)


async def test_an_account_is_guessed_so_often_from_one_address() -> None:
    limits = LoginLimits()
    texts = [await guess(limits, "admin", "192.0.2.1") for _ in range(12)]
    assert texts[:10] == [WRONG] * 10
    assert all("try again in" in text for text in texts[10:])
    await sign_in(limits, "other", "192.0.2.1")
    await sign_in(limits, "admin", "192.0.2.2")


async def test_an_address_guesses_so_many_accounts() -> None:
    limits = LoginLimits()
    texts = [await guess(limits, f"account-{n}", "192.0.2.1") for n in range(51)]
    assert texts.count(WRONG) == 50
    await sign_in(limits, "account-1", "192.0.2.2")


async def test_guessing_from_many_addresses_holds_up_new_ones_alone() -> None:
    limits = LoginLimits()
    await sign_in(limits, "admin", "198.51.100.1")
    texts = [await guess(limits, "admin", f"192.0.2.{n}") for n in range(101)]
    assert texts.count(WRONG) == 100
    await sign_in(limits, "admin", "198.51.100.1")
    assert "try again in" in await guess(limits, "admin", "198.51.100.2")


async def test_many_right_ones_at_once_wait_for_each_other() -> None:
    limits = LoginLimits()
    await asyncio.gather(*(sign_in(limits, "admin", "192.0.2.1") for _ in range(200)))


async def test_many_wrong_ones_at_once_gain_nothing() -> None:
    limits = LoginLimits()
    texts = await asyncio.gather(*(guess(limits, "admin", "192.0.2.1") for _ in range(40)))
    assert texts.count(WRONG) == 10


async def test_a_fault_of_ours_is_no_wrong_attempt() -> None:
    limits = LoginLimits()
    for _ in range(20):
        with pytest.raises(OSError):
            async with limits.attempt("admin", "192.0.2.1"):
                raise OSError
