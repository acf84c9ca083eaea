"""Which hosts' workers get messages, and how many."""

import pytest

from app.domain.waking import WokenHost, messages


def host(granted: int, *, machine: str = "m", processes: int = 4) -> WokenHost:
    return WokenHost(machine, processes, granted)


@pytest.mark.parametrize(
    ("granted", "held", "expected"),
    [
        (10, 0, 4),  # nobody is at work: all of them
        (2, 0, 2),  # never more messages than items
        (10, 3, 1),  # the others go on by themselves
        (10, 4, 0),
        (10, 9, 0),  # more are held than it says it has processes
    ],
)
def test_idle_processes_are_woken(granted: int, held: int, expected: int) -> None:
    assert messages({"h": host(granted)}, {"h": held}).get("h", 0) == expected


def test_a_host_that_no_process_is_at_is_woken_though_its_worker_is_busy() -> None:
    hosts = {"busy": host(10), "new": host(10)}
    assert messages(hosts, {"busy": 4}) == {"new": 1}


def test_hosts_of_one_machine_share_its_processes() -> None:
    hosts = {"a": host(10), "b": host(10), "c": host(10)}
    assert messages(hosts, {}) == {"a": 2, "b": 2, "c": 2}


def test_each_machine_has_its_own() -> None:
    hosts = {"a": host(10, machine="one"), "b": host(10, machine="two")}
    assert messages(hosts, {"a": 4}) == {"b": 4}
