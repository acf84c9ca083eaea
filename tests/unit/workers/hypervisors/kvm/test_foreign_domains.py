"""Other people's domains, which come and go while a host is looked at."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from app.domain.plan import HostRef, HypervisorType

libvirt = pytest.importorskip("libvirt")
faults = pytest.importorskip("workers.hypervisors.kvm.faults")
driver = pytest.importorskip("workers.hypervisors.kvm.driver")

CAPABILITIES = "<capabilities><guest><arch name='x86_64'/></guest></capabilities>"


def no_domain() -> Exception:
    error = libvirt.libvirtError("it is gone")
    error.err = (
        libvirt.VIR_ERR_NO_DOMAIN,
        libvirt.VIR_FROM_QEMU,
        "it is gone",
        2,
        "",
        "",
        "",
        0,
        0,
    )
    return error  # type: ignore[no-any-return]


class Domain:
    def __init__(self, name: str, *, gone: bool = False) -> None:
        self._name, self._gone = name, gone

    def name(self) -> str:
        return self._name

    def UUIDString(self) -> str:  # noqa: N802 - libvirt's name
        return "12345678-9abc-def0-1122-334455667788"

    def metadata(self, _kind: int, _namespace: str) -> str:
        error = no_domain()
        if not self._gone:
            error.err = (libvirt.VIR_ERR_NO_DOMAIN_METADATA, *error.err[1:])  # type: ignore[attr-defined]
        raise error

    def info(self) -> tuple[int, ...]:
        if self._gone:
            raise no_domain()
        return (1, 4096, 2048, 2, 0)


class Connection:
    def __init__(self, *domains: Domain) -> None:
        self._domains = domains

    @contextmanager
    def opened(self, doing: str, otherwise: Any) -> Iterator[Any]:
        with faults.meaning(doing, otherwise):
            yield self

    def getInfo(self) -> list[Any]:  # noqa: N802
        return ["x86_64", 1024, 8]

    def listAllDomains(self, _flags: int) -> list[Domain]:  # noqa: N802
        return list(self._domains)

    def getCapabilities(self) -> str:  # noqa: N802
        return CAPABILITIES

    def getDomainCapabilities(self, **_: str) -> str:  # noqa: N802
        return "<domainCapabilities/>"


def test_one_that_ends_while_the_host_is_looked_at_does_not_count(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(driver, "domain_type", lambda _: "qemu")
    host = HostRef("a" * 32, "h", HypervisorType.KVM)
    domains = Domain("theirs"), Domain("ended", gone=True)
    facts = driver.KvmHypervisor(host, tmp_path, Connection(*domains)).facts()
    assert [(d.name, d.cpu, d.memory) for d in facts.foreign] == [("theirs", 2, 4 << 20)]
