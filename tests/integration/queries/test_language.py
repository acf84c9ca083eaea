"""Conditions, relations, tags and pages, against PostgreSQL."""

import pytest
from sqlalchemy import insert, text

from app.domain.plan import HypervisorType
from app.store.models import Origin, VmInstance, VmState
from app.store.session import Database
from tests.factories import ADMIN, GIB, Inventory, new_uuid
from tests.integration.queries.conftest import Ask

# What finds the source VM, and what does not.
FINDS = [
    "name=golden",
    "name!=other",
    "name>a",
    "name>=golden",
    "name<z",
    "name<=golden",
    "name~=gol%",
    "name~=%ld_n",
    "name!~=x%",
    "name?=other,golden",
    "name!?=other,another",
    "hostUuid is null",
    "name not null",
    "state?=Running,Stopped",
    "state!=Gone",
    "hypervisorType=Simulator",
    "cpuNum=1",
    "cpuNum?=1,2",
    "cpuNum!?=2,3",
    "cpuNum~=1%",
    "memorySize>=1073741824",
    "createDate>2001-01-01",
    "createDate!=2001-01-01",
    "createDate~=2%-%",
    "createDate!?=2001-01-01,2001-01-02",
    "vmNics.ip=10.0.0.9",
    "vmNics.ip?=10.0.0.8,10.0.0.9",
    "vmNics.deviceId=0",
    "vmNics.usedIps.ip=10.0.0.9",
    "vmNics.l3Network.ipRanges.gateway=10.0.0.1",
    "vmNics.l3Network.dns=10.0.0.2",
    "vmNics.l3Network.dns?=10.0.0.2,1.1.1.1",
    "vmNics.l3Network.dns!=1.1.1.1",
    "vmNics.l3Network.dns~=10.%",
    "vmNics.l3Network.dns not null",
    "vmNics.l3Network.enableIPAM=true",
    "allVolumes.type=Data",
    "allVolumes.isShareable=false",
    "allVolumes.primaryStorage.status=Connected",
    "rootVolume.format=qcow2",
    "vmCdRoms.name=cd",
    "zone.cluster.host.status=Connected",
    "cluster.name~=cluster-%",
    "cluster.primaryStorage.type=Simulator",
    "image.name=debian",
    "instanceOffering.name=small",
    "__userTag__=web",
    "__userTag__?=none,blue",
    "__userTag__~=we%",
    "__userTag__!=red",
    "__userTag__ not null",
    "__systemTag__~=hostname::%",
    "__systemTag__!~=staticIp::%",
    "rootVolume.__userTag__ is null",
]
MISSES = [
    "name=Golden",
    "name!=golden",
    "name>z",
    "name~=gol",
    "name~=%\\",
    "name!~=%",
    "name?=other",
    "name!?=other,golden",
    "hostUuid not null",
    "state=Gone",
    "cpuNum=9223372036854775807",
    "createDate<2001-01-01",
    "createDate?=2001-01-01",
    "vmNics.ip=10.0.0.8",
    "vmNics.ip is null",
    "vmNics.l3Network.dns!=10.0.0.1",
    "vmNics.l3Network.dns!?=9.9.9.9,10.0.0.1",
    "vmNics.l3Network.dns is null",
    "allVolumes.isShareable=true",
    "host.name not null",
    "__userTag__=hostname::golden",
    "__userTag__!=web",
    "__userTag__!?=web,red",
    "__userTag__ is null",
    "name=' OR TRUE --",
    "name?=');DROP TABLE tags;--",
]


def test_conditions_find(ask: Ask, made: Inventory) -> None:
    for condition in FINDS:
        found = [vm.values["uuid"] for vm in ask("VmInstance", f"q={condition}")]
        assert found == [made.source], condition


def test_conditions_miss(ask: Ask) -> None:
    for condition in MISSES:
        assert ask("VmInstance", f"q={condition}") == [], condition


def test_all_conditions_must_hold(ask: Ask) -> None:
    assert ask("VmInstance", "q=name=golden", "q=vmNics.ip=10.0.0.9", "q=__userTag__=web")
    assert not ask("VmInstance", "q=name=golden", "q=vmNics.ip=10.0.0.8")


def test_a_hundred_conditions_along_relations_are_planned_in_no_time(ask: Ask) -> None:
    """PostgreSQL would look for the best order of them all for minutes."""
    deep = "q=vmNics.vmInstance.vmNics.vmInstance.vmNics.ip=10.0.0.9"
    assert len(ask("VmInstance", *[deep] * 50, *["q=__userTag__=web"] * 50)) == 1
    assert not ask("VmInstance", *[deep] * 99, "q=vmNics.ip=10.0.0.8")


def test_a_moment_is_compared_as_it_is_shown(ask: Ask, database: Database) -> None:
    """In whole seconds: the database has smaller parts."""
    with database.engine.begin() as connection:
        connection.execute(text("UPDATE vm_instances SET created_at = '2024-02-01 12:00:00.6'"))
    for operator in ("=", ">=", "<=", "?="):
        assert ask("VmInstance", f"q=createDate{operator}2024-02-01 12:00:00"), operator
    for operator in ("!=", ">", "<", "!?="):
        assert not ask("VmInstance", f"q=createDate{operator}2024-02-01 12:00:00"), operator


@pytest.fixture
def three(database: Database, made: Inventory) -> None:
    """VMs b, a and c beside the source, made in this order."""
    with database.engine.begin() as connection:
        for name, cpu in (("b", 2), ("a", 2), ("c", 4)):
            connection.execute(
                insert(VmInstance),
                {
                    "uuid": new_uuid(),
                    "name": name,
                    "account_uuid": ADMIN,
                    "hypervisor_type": HypervisorType.SIMULATOR,
                    "cpu_num": cpu,
                    "memory_size": GIB,
                    "state": VmState.STOPPED,
                    "origin": Origin.CLONED,
                },
            )


PAGES: list[tuple[list[str], str]] = [
    ([], "golden b a c"),
    (["sort=name"], "a b c golden"),
    (["sort=+name"], "a b c golden"),
    (["sort=-name"], "golden c b a"),
    (["sort=-createDate"], "c a b golden"),
    (["limit=2"], "golden b"),
    (["limit=2", "start=1"], "b a"),
    (["start=9"], ""),
    (["limit=0"], ""),
    (["groupBy=cpuNum"], "golden b c"),
    (["groupBy=cpuNum", "sort=-name", "limit=2"], "golden c"),
    (["groupBy=hostUuid"], "golden"),
    (["q=cpuNum>1", "sort=name"], "a b c"),
]


@pytest.mark.usefixtures("three")
def test_pages_are_sorted_cut_and_grouped(ask: Ask) -> None:
    for pairs, names in PAGES:
        found = [vm.values["name"] for vm in ask("VmInstance", *pairs)]
        assert found == names.split(), pairs
