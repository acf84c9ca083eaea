"""`vmclone doctor --source VM`, on hosts in memory."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import Any

import pytest
from sqlalchemy import text

from app.domain.errors import InvalidArgument, ResourceNotFound, SourceNotCloneable
from app.domain.plan import SourceRef, SourceVolume
from app.settings import Settings
from app.store.session import Database
from tests.factories import Inventory, make_inventory
from workers.hypervisors.base import DomainTemplate, Prepared, SourceLook
from workers.ops.doctor import source as doctor
from workers.ops.doctor.findings import Check

agent = pytest.importorskip("workers.hypervisors.kvm.guest_agent")
guest_files = pytest.importorskip("workers.hypervisors.kvm.guest_files")

MACHINE = "machine"
XML = """
<domain type='kvm'><name>golden</name><uuid>11111111-2222-3333-4444-555555555555</uuid>
<memory>1048576</memory><os firmware='efi'><type arch='x86_64' machine='q35'>hvm</type></os>
<devices><disk type='file' device='disk'><driver name='qemu' type='qcow2'/>
<source file='/images/root.qcow2'/><backingStore type='file'><format type='raw'/>
<source file='/images/below.raw'/><backingStore/></backingStore><target dev='vda' bus='virtio'/>
</disk><disk type='file' device='cdrom'><target dev='sda' bus='sata'/><readonly/></disk>
<tpm model='tpm-crb'><backend type='emulator' version='2.0'/></tpm></devices></domain>
"""
GOOD = {"/etc/cloud/cloud.cfg": "", "/proc/cmdline": "quiet"}


@dataclass
class Host:
    """Of one source."""

    running: bool = True
    refused: str | None = None
    notes: tuple[str, ...] = ()
    guest: Any = field(default_factory=lambda: guest_files.GuestFiles(GOOD, complete=True))
    look: dict[str, Any] = field(default_factory=dict)

    def look_at(self, source: SourceRef) -> SourceLook:
        live = {"live_xml": XML} if self.running else {}
        return SourceLook(**{"running": self.running, "xml": XML, **live, **self.look})

    def prepare(
        self,
        source: SourceRef,
        look: SourceLook,
        volumes: Sequence[SourceVolume],
        *,
        reset_tpm: bool,
    ) -> Prepared:
        if self.refused:
            raise SourceNotCloneable(self.refused)
        return Prepared(DomainTemplate(XML), {}, self.notes)

    def read_guest(self, source: SourceRef) -> Any:
        if isinstance(self.guest, Exception):
            raise self.guest
        return self.guest


Ask = Callable[..., list[Check]]


@pytest.fixture
def database(database_url: str) -> Iterator[Database]:
    with closing(Database(database_url)) as opened:
        yield opened


@pytest.fixture
def inventory(database: Database) -> Inventory:
    with database.engine.begin() as connection:
        made = make_inventory(connection)
        for table in ("clusters", "vm_instances"):
            connection.execute(text(f"UPDATE {table} SET hypervisor_type = 'KVM'"))
        connection.execute(text("UPDATE hosts SET machine_id = :id"), {"id": MACHINE})
    return made


@pytest.fixture
def ask(
    database: Database, inventory: Inventory, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Ask:
    def asked(host: Host | None = None, named: str = "golden") -> list[Check]:
        monkeypatch.setattr(doctor, "open_hypervisor", lambda *_: host or Host())
        return list(doctor.check_source(database, settings, MACHINE, named))

    return asked


@pytest.fixture
def settings(tmp_path: Any) -> Settings:
    return Settings(home=tmp_path)


def said(checks: list[Check], what: str) -> tuple[bool, str]:
    (found,) = (check for check in checks if check.what == what)
    return found.held, found.text


def test_a_good_running_source(ask: Ask, inventory: Inventory) -> None:
    checks = ask(Host(notes=("left out: its sound",)))
    assert [check.what for check in checks if not check.held] == []
    assert "domain golden, running, q35" in said(checks, "source")[1]
    assert said(checks, "note") == (True, "left out: its sound")
    assert said(checks, "disk vda")[1] == (
        "/images/root.qcow2 (qcow2, disk), on /images/below.raw (raw)"
    )
    assert said(checks, "disk sda")[1] == "empty (raw, cdrom readonly)"
    assert "never started" in said(checks, "NVRAM")[1]
    assert "resetTpm" in said(checks, "TPM")[1]
    assert said(checks, "guest agent") == (True, "answers")
    assert said(checks, "guest, datasources")[0]
    assert ask(named=inventory.source)[0].line().startswith("ok     source")


def test_a_bad_template_is_told_what_to_do(ask: Ask) -> None:
    files = GOOD | {"/etc/cloud/cloud.cfg": "datasource_list: [None]"}
    checks = ask(Host(guest=guest_files.GuestFiles(files, complete=False)))
    assert not said(checks, "guest, datasources")[0]
    assert "not all is seen" in said(checks, "guest agent")[1]


@pytest.mark.parametrize(
    ("fault", "text_"),
    [
        (agent.AgentSilent("not connected"), "(not connected): install and start"),
        (agent.QuestionRefused("disabled"), "(disabled): allow it guest-exec"),
        (SourceNotCloneable("libvirt's words"), "libvirt's words"),
    ],
)
def test_a_guest_that_tells_nothing(ask: Ask, fault: Exception, text_: str) -> None:
    held, text = said(ask(Host(guest=fault)), "guest agent")
    assert not held
    assert text_ in text


def test_a_stopped_source_is_not_asked(ask: Ask) -> None:
    host = Host(running=False, guest=AssertionError("asked"), look={"nvram": b"1234"})
    checks = ask(host)
    assert all(check.held for check in checks)
    assert "4 bytes" in said(checks, "NVRAM")[1]
    assert "empty one" in said(checks, "TPM")[1]
    kept = ask(Host(running=False, look={"tpm_state": b"state"}))
    assert "its state is copied" in said(kept, "TPM")[1]


def test_a_source_that_is_refused(ask: Ask) -> None:
    checks = ask(Host(refused="its domain has <devices/hostdev>"))
    assert said(checks, "can be cloned") == (False, "its domain has <devices/hostdev>")


def test_a_source_that_libvirt_does_not_know(ask: Ask) -> None:
    bare = XML.replace("<uuid>11111111-2222-3333-4444-555555555555</uuid>", "")
    checks = ask(Host(running=False, look={"xml": bare}))
    assert "libvirt does not know it" in said(checks, "source")[1]


def test_windows_is_not_asked_for_what_linux_has(ask: Ask, database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE vm_instances SET platform = 'Windows'"))
    checks = ask(Host(guest=AssertionError("asked")))
    assert "not looked into" in said(checks, "guest")[1]


def test_a_source_of_another_machine_is_asked_there(ask: Ask, database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE hosts SET machine_id = 'another'"))
    (check,) = ask()
    assert not check.held
    assert "another machine serves" in check.text


def test_a_simulated_source_has_nothing_to_see(ask: Ask, database: Database) -> None:
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE vm_instances SET hypervisor_type = 'Simulator'"))
    (check,) = ask()
    assert check.held


def test_a_name_of_nobody_or_of_several(ask: Ask, database: Database) -> None:
    with pytest.raises(ResourceNotFound, match="nobody"):
        ask(named="nobody")
    with database.engine.begin() as connection:
        connection.execute(
            text(
                "INSERT INTO vm_instances SELECT (jsonb_populate_record(v, "
                "jsonb_build_object('uuid', repeat('f', 32), 'internal_id', 999))).* "
                "FROM vm_instances v"
            )
        )
    with pytest.raises(InvalidArgument, match=r"2 VMs are called golden.*f{32}"):
        ask()
