"""What an agent answers, refuses and keeps silent about."""

import json
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from app.domain.guest import GuestReport

libvirt = pytest.importorskip("libvirt")
agent = pytest.importorskip("workers.hypervisors.kvm.guest_agent")

HOSTNAME = {"host-name": "web-1"}
INTERFACES = [
    {"name": "lo", "ip-addresses": [{"ip-address": "127.0.0.1", "prefix": 8}]},
    {"name": "eth0", "ip-addresses": [{"ip-address": "10.0.0.5", "prefix": 24}]},
    {"name": "eth1"},
]
Say = Callable[..., None]


class Failed(libvirt.libvirtError):  # type: ignore[misc, name-defined]
    def __init__(self, code: int, domain: int = libvirt.VIR_FROM_QEMU) -> None:
        Exception.__init__(self, "libvirt's words")
        self.err = (code, domain, "libvirt's words", 2, None, None, None, 0, 0)


REFUSED = Failed(libvirt.VIR_ERR_INTERNAL_ERROR)
SILENT = Failed(libvirt.VIR_ERR_AGENT_UNRESPONSIVE)


@pytest.fixture
def say(monkeypatch: pytest.MonkeyPatch) -> Iterator[Say]:
    """Answers by question; an error is raised, text is sent as it is."""

    def answers(**said: Any) -> None:
        def command(domain: object, text: str, timeout_s: int, flags: int) -> str:
            assert 0 < timeout_s < 10
            answer = said[json.loads(text)["execute"].replace("-", "_")]
            if isinstance(answer, Exception):
                raise answer
            return answer if isinstance(answer, str) else json.dumps({"return": answer})

        monkeypatch.setattr(agent.libvirt_qemu, "qemuAgentCommand", command)

    return answers  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("hostname", "interfaces", "expected"),
    [
        (HOSTNAME, INTERFACES, GuestReport("web-1", frozenset({"127.0.0.1", "10.0.0.5"}))),
        (REFUSED, INTERFACES, GuestReport(None, frozenset({"127.0.0.1", "10.0.0.5"}))),
        (HOSTNAME, REFUSED, GuestReport("web-1", None)),
        (SILENT, INTERFACES, None),
        (HOSTNAME, SILENT, None),  # it died in between
        # Whoever is root in the guest writes these.
        ("nonsense", "[]", GuestReport(None, None)),
        ({"host-name": {"a": 1}}, ["x"], GuestReport("{'a': 1}", None)),
        (None, 7, GuestReport(None, None)),
    ],
)
def test_a_report_is_what_the_agent_tells(
    say: Say, hostname: Any, interfaces: Any, expected: GuestReport | None
) -> None:
    say(guest_get_host_name=hostname, guest_network_get_interfaces=interfaces)
    assert agent.report(object()) == expected


@pytest.mark.parametrize(
    ("code", "raised"),
    [
        (libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED, agent.AgentSilent),  # it has no channel
        (libvirt.VIR_ERR_OPERATION_INVALID, agent.AgentSilent),  # it does not run
        (libvirt.VIR_ERR_OPERATION_TIMEOUT, agent.AgentSilent),  # somebody else's question
        (libvirt.VIR_ERR_INTERNAL_ERROR, agent.QuestionRefused),
    ],
)
def test_silence_is_no_refusal(say: Say, code: int, raised: type[Exception]) -> None:
    say(guest_ping=Failed(code))
    with pytest.raises(raised, match="libvirt's words"):
        agent.ask(object(), "guest-ping")


def test_a_libvirt_that_is_away_is_said_to_be(say: Say) -> None:
    say(guest_get_host_name=Failed(libvirt.VIR_ERR_INTERNAL_ERROR, libvirt.VIR_FROM_RPC))
    with pytest.raises(libvirt.libvirtError):
        agent.report(object())
