"""The demo calls nothing good that is not."""

from typing import Any

import pytest
from rich.console import Console

from app.cli.demo import Clone, judge
from app.cli.demo_report import show_checks, show_clones


def make_clone(number: int, **changes: Any) -> Clone:
    nic = {"uuid": f"nic-{number}", "mac": f"fa:{number}", "ip": f"10.0.0.{number}"}
    volume = {"uuid": f"volume-{number}", "installPath": f"/ps/{number}.qcow2"}
    vm = {
        "uuid": f"vm-{number}",
        "hypervisorType": "Simulator",
        "rootVolumeUuid": volume["uuid"],
        "vmNics": [{**nic, **changes.get("nic", {})}],
        "allVolumes": [{**volume, **changes.get("volume", {})}],
    }
    return Clone(
        name=f"demo-{number}",
        item={"state": "Succeeded", "method": "linked", **changes.get("item", {})},
        vm=changes.get("vm", vm),
        difference=changes.get("difference"),
    )


def broken(clones: list[Clone], *, source_changed: bool = False) -> dict[str, str]:
    checks = judge(clones, source_changed=source_changed)
    return {check.promise: check.broken for check in checks if check.broken is not None}


def test_good_clones_break_no_promise() -> None:
    assert broken([make_clone(1), make_clone(2)]) == {}


@pytest.mark.parametrize(
    ("second", "promise", "how"),
    [
        (
            make_clone(2, vm=None, item={"state": "Failed", "error": {"details": "no room"}}),
            "every name became a VM",
            "demo-2: no room",
        ),
        (
            make_clone(2, difference="volume differs"),
            "every clone reads as its source, byte for byte",
            "demo-2: volume differs",
        ),
        (make_clone(2, nic={"uuid": "nic-1"}), "no uuid is used twice", "used again: nic-1"),
        (make_clone(2, nic={"mac": "fa:1"}), "no MAC is used twice", "used again: fa:1"),
        (make_clone(2, nic={"ip": "10.0.0.1"}), "no address is used twice", "used again: 10.0.0.1"),
        (
            make_clone(2, volume={"installPath": "/ps/1.qcow2"}),
            "no volume file is used twice",
            "used again: /ps/1.qcow2",
        ),
    ],
)
def test_a_broken_promise_is_named(second: Clone, promise: str, how: str) -> None:
    assert broken([make_clone(1), second]) == {promise: how}


def test_a_source_that_changed_is_named() -> None:
    assert broken([make_clone(1)], source_changed=True) == {
        "the source is unchanged": "its checksum differs"
    }


def test_no_clone_at_all_is_no_success() -> None:
    assert broken([]) == {"every name became a VM": "there is no clone"}


def test_the_table_cuts_nothing() -> None:
    console = Console(width=40, force_terminal=False, emoji=False)
    clones = [make_clone(1), make_clone(2, vm=None, item={"state": "Failed"})]
    with console.capture() as captured:
        show_clones(console, clones)
        show_checks(console, judge(clones, source_changed=False))
    shown = captured.get()
    assert "demo-1   vm-1" in shown
    assert "fa:1" in shown
    assert "/ps/1.qcow2" in shown
    assert "BROKEN every name became a VM" in shown
