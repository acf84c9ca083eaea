"""Asks the agent in a guest, with a time limit for each question.

Whoever controls the guest controls the answers: they are reported, and nothing is done by them.
Sources: the QEMU Guest Agent protocol reference; libvirt's qemu_agent.c.
"""

import json
from contextlib import suppress
from typing import Any

import libvirt
import libvirt_qemu

from app.domain.guest import GuestReport

ANSWER_LIMIT_S = 2  # beside the five seconds that libvirt gives an agent to wake up


class AgentSilent(Exception):
    """No agent answers: there is no channel to it, none listens, or it hangs."""


class QuestionRefused(Exception):
    """The agent answers, and does not know the question, is not allowed it, or failed at it."""


def ask(domain: libvirt.virDomain, question: str, **arguments: Any) -> Any:
    """The agent's answer. Raises AgentSilent and QuestionRefused with libvirt's words, and
    libvirtError where libvirt itself does not answer."""
    command = json.dumps({"execute": question, "arguments": arguments})
    try:
        said = libvirt_qemu.qemuAgentCommand(domain, command, ANSWER_LIMIT_S, 0)
    except libvirt.libvirtError as error:
        if error.get_error_domain() in {libvirt.VIR_FROM_RPC, libvirt.VIR_FROM_REMOTE}:
            raise
        # All else than the agent's own errors has a code of its own.
        refused = error.get_error_code() == libvirt.VIR_ERR_INTERNAL_ERROR
        raise (QuestionRefused if refused else AgentSilent)(error.get_error_message()) from error
    try:
        return json.loads(said)["return"]
    except (ValueError, KeyError, TypeError) as error:
        raise QuestionRefused(f"{question}: the answer is none of the protocol's") from error


def report(domain: libvirt.virDomain) -> GuestReport | None:
    """None where no agent answers."""
    try:
        return GuestReport(_hostname(domain), _addresses(domain))
    except AgentSilent:
        return None


def _hostname(domain: libvirt.virDomain) -> str | None:
    with suppress(QuestionRefused, KeyError, TypeError):
        return str(ask(domain, "guest-get-host-name")["host-name"])
    return None


def _addresses(domain: libvirt.virDomain) -> frozenset[str] | None:
    with suppress(QuestionRefused, KeyError, TypeError, AttributeError):
        return frozenset(
            str(address["ip-address"])
            for interface in ask(domain, "guest-network-get-interfaces")
            for address in interface.get("ip-addresses", ())
        )
    return None
