"""The demo on real guests believes what a guest says, and calls nothing good that is not."""

import time
from typing import Any

import pytest
from aiohttp import ClientError

from app.cli import demo_guests
from app.cli.demo import Clone
from app.cli.demo_guests import BootedClone, Guest, ask, judge, read
from tests.unit.app.cli.test_demo import make_clone

SAID = {"hostname": "demo-1", "machine_id": "m-1", "nics": [{"mac": "FA:1", "ip": "10.0.0.1"}]}


def booted(number: int, clone: Clone | None = None, **said: Any) -> BootedClone:
    made = clone or make_clone(number)
    if made.vm:
        made.vm["hypervisorType"] = said.pop("type", "KVM")
    name = {"hostname": f"demo-{number}", "machine_id": f"m-{number}"}
    guest = Guest(**{**name, "nics": ((f"fa:{number}", f"10.0.0.{number}"),), **said})
    return BootedClone(made, guest if made.vm else None)


def broken(clones: list[BootedClone], *, source_changed: bool = False) -> dict[str, str]:
    checks = judge(clones, source_changed=source_changed)
    return {check.promise: check.broken for check in checks if check.broken is not None}


def test_guests_that_are_who_they_are_told_break_no_promise() -> None:
    assert broken([booted(1), booted(2)]) == {}


@pytest.mark.parametrize(
    ("second", "promise", "how"),
    [
        (
            booted(2, make_clone(2, vm=None, item={"state": "Failed", "error": {"details": "x"}})),
            "every name became a VM",
            "demo-2: x",
        ),
        (booted(2, type="Simulator"), "every VM is one of KVM's", "demo-2"),
        (
            booted(2, fault="no answer"),
            "every guest boots and answers at its address",
            "demo-2: no answer",
        ),
        (
            booted(2, hostname="golden"),
            "every guest has the host name of its clone",
            "demo-2 is called golden",
        ),
        (
            booted(2, nics=(("fa:2", "10.0.0.9"),)),
            "every guest has the MAC and the address of its clone",
            "demo-2 has (('fa:2', '10.0.0.9'),), and lacks [('fa:2', '10.0.0.2')]",
        ),
        (booted(2, machine_id="m-1"), "no machine-id is used twice", "used again: m-1"),
        (
            booted(2, make_clone(2, volume={"installPath": "/ps/1.qcow2"})),
            "no volume file is used twice",
            "used again: /ps/1.qcow2",
        ),
    ],
)
def test_a_broken_promise_is_named(second: BootedClone, promise: str, how: str) -> None:
    assert broken([booted(1), second]) == {promise: how}


def test_a_source_that_changed_is_named() -> None:
    assert "the source is unchanged" in broken([booted(1)], source_changed=True)


def test_what_a_guest_says() -> None:
    assert read(SAID) == Guest("demo-1", "m-1", (("fa:1", "10.0.0.1"),))


@pytest.mark.parametrize(
    "said",
    [[], {}, {**SAID, "nics": None}, {**SAID, "nics": [{"mac": "fa:1"}]}, {"hostname": "demo-1"}],
)
def test_an_answer_of_another_kind_is_none(said: Any) -> None:
    with pytest.raises(ValueError, match="hostname, machine_id and nics"):
        read(said)


async def test_a_guest_is_asked_until_it_answers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(demo_guests, "_PAUSE_S", 0)
    answers: list[Any] = [ClientError("refused"), TimeoutError(), {}, SAID]
    asked = []

    async def get(url: str) -> Any:
        asked.append(url)
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    assert await ask(get, make_clone(1), time.monotonic() + 60) == read(SAID)
    assert asked == ["http://10.0.0.1/id.json"] * 4


async def test_a_guest_that_never_answers_says_why() -> None:
    async def get(url: str) -> Any:
        raise TimeoutError

    assert await ask(get, make_clone(1), time.monotonic() - 1) == Guest(
        fault="http://10.0.0.1/id.json: TimeoutError"
    )
    failed = make_clone(2, vm=None, item={"state": "Failed"})
    assert await ask(get, failed, time.monotonic() - 1) is None
