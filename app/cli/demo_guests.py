"""Asks the guests of the demo's clones who they are, over HTTP, and judges what they say."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass

import aiohttp

from app.cli.client import Json
from app.cli.demo import Check, Clone, failures, repeated, source_check, uniqueness
from app.domain.guest import hostname_of

PATH = "/id.json"
_ONE_ANSWER = aiohttp.ClientTimeout(total=5)
_PAUSE_S = 0.3


@dataclass(frozen=True, slots=True)
class Guest:
    """What the guest at a clone's address says of itself, or why it says nothing."""

    hostname: str | None = None
    machine_id: str | None = None
    nics: tuple[tuple[str, str], ...] = ()  # MAC and address
    fault: str | None = None


@dataclass(frozen=True, slots=True)
class BootedClone:
    clone: Clone
    guest: Guest | None  # None where the name failed


async def ask_all(clones: Sequence[Clone], *, timeout_s: float) -> list[BootedClone]:
    """All at once, each again and again until it answers or the time is over."""
    async with aiohttp.ClientSession(timeout=_ONE_ANSWER) as http:

        async def get(url: str) -> Json:
            async with http.get(url) as answer:
                answer.raise_for_status()
                said: Json = await answer.json(content_type=None)
                return said

        deadline_s = time.monotonic() + timeout_s
        asked = [ask(get, clone, deadline_s) for clone in clones]
        guests = await asyncio.gather(*asked)
    return [BootedClone(clone, guest) for clone, guest in zip(clones, guests, strict=True)]


async def ask(
    get: Callable[[str], Awaitable[Json]], clone: Clone, deadline_s: float
) -> Guest | None:
    if clone.vm is None:
        return None
    url = f"http://{clone.vm['vmNics'][0]['ip']}{PATH}"
    while True:
        try:
            return read(await get(url))
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            if time.monotonic() > deadline_s:
                return Guest(fault=f"{url}: {str(error) or type(error).__name__}")
        await asyncio.sleep(_PAUSE_S)


def read(said: Json) -> Guest:
    """Raises ValueError where it is no answer of the kind that is asked for."""
    try:
        nics = tuple((str(nic["mac"]).lower(), str(nic["ip"])) for nic in said["nics"])
        return Guest(str(said["hostname"]), str(said["machine_id"]), nics)
    except (KeyError, TypeError) as error:
        raise ValueError(
            f"answers without hostname, machine_id and nics, each with mac and ip: {error!r}"
        ) from error


def judge(booted: Sequence[BootedClone], *, source_changed: bool) -> list[Check]:
    clones = [each.clone for each in booted]
    simulated = [c.name for c in clones if c.vm and c.vm["hypervisorType"] != "KVM"]
    machine_ids = [each.guest.machine_id for each in booted if each.guest]
    return [
        Check("every name became a VM", failures(clones)),
        Check("every VM is one of KVM's", ", ".join(simulated) or None),
        Check("every guest boots and answers at its address", _silent(booted)),
        Check("every guest has the host name of its clone", _misnamed(booted)),
        Check("every guest has the MAC and the address of its clone", _misplaced(booted)),
        Check("no machine-id is used twice", repeated(id_ for id_ in machine_ids if id_)),
        *uniqueness(clones),
        source_check(changed=source_changed),
    ]


def _silent(booted: Sequence[BootedClone]) -> str | None:
    faults = [f"{b.clone.name}: {b.guest.fault}" for b in booted if b.guest and b.guest.fault]
    return "; ".join(faults) or None


def _misnamed(booted: Sequence[BootedClone]) -> str | None:
    wrong = [
        f"{each.clone.name} is called {each.guest.hostname}"
        for each in _answered(booted)
        if each.guest and each.guest.hostname != hostname_of(each.clone.name)
    ]
    return "; ".join(wrong) or None


def _misplaced(booted: Sequence[BootedClone]) -> str | None:
    wrong = []
    for each in _answered(booted):
        assert each.clone.vm
        assert each.guest
        wanted = {(nic["mac"].lower(), nic["ip"]) for nic in each.clone.vm["vmNics"]}
        if missing := wanted - set(each.guest.nics):
            wrong.append(f"{each.clone.name} has {each.guest.nics}, and lacks {sorted(missing)}")
    return "; ".join(wrong) or None


def _answered(booted: Sequence[BootedClone]) -> list[BootedClone]:
    return [each for each in booted if each.guest and each.guest.fault is None]
