"""A name's life on fakes, with every message delivered once, twice or never."""

import orjson
import pytest

from app.queue import TaskName
from app.store.job_views import load_job
from tests.engine import Message
from tests.integration.engine.conftest import Faked


def result_of(faked: Faked, job: str) -> tuple[int, dict[str, object]]:
    row = faked.engine.rows("SELECT status, body FROM job_results WHERE job_uuid = :j", j=job)[0]
    return row.status, orjson.loads(bytes(row.body))


@pytest.mark.parametrize("twice", [False, True])
def test_every_name_becomes_a_running_vm_with_its_volumes(faked: Faked, twice: bool) -> None:
    job = faked.job("a", "b", "c", full=True)
    faked.engine.start(job, twice=twice)
    assert faked.engine.item_states(job) == ["Succeeded"] * 3
    assert sorted(faked.hypervisor.domains.values()) == [True] * 3
    assert len(faked.storage.volumes) == 6
    assert faked.engine.scalar("SELECT count(*) FROM vm_instances WHERE origin = 'cloned'") == 3
    status, body = result_of(faked, job)
    assert status == 200
    assert body["result"]["numberOfClonedVm"] == 3  # type: ignore[index]
    faked.capacity_adds_up()


def test_of_a_name_its_plan_alone_lies_out_of_line(faked: Faked) -> None:
    """Each short value there would be a row more to write, and read, at every look."""
    faked.engine.start(faked.job("a", "b", "c", full=True))
    toast = faked.engine.scalar(
        "SELECT reltoastrelid::regclass::text FROM pg_class WHERE relname = 'items'"
    )
    assert faked.engine.scalar(f"SELECT count(DISTINCT chunk_id) FROM {toast}") == 3


def test_without_full_only_the_root_volume_is_cloned(faked: Faked) -> None:
    job = faked.job("a")
    faked.engine.start(job)
    assert len(faked.storage.volumes) == 1
    steps = faked.engine.rows("SELECT name::text FROM steps ORDER BY name")
    assert "copy_data_volumes" not in [row.name for row in steps]


def test_one_base_serves_all_names_and_the_next_job(faked: Faked) -> None:
    faked.engine.start(faked.job("a", "b"))
    faked.engine.start(faked.job("c"))
    assert faked.storage.base_copies == 1


def test_a_job_says_what_its_clones_will_lack(faked: Faked) -> None:
    faked.hypervisor.notes = ("left out: <devices/sound>: nobody hears it",)
    of_a_new_base = faked.job("a")
    faked.engine.start(of_a_new_base)
    of_the_same_base = faked.job("b")
    faked.engine.start(of_the_same_base)
    assert faked.storage.base_copies == 1
    for job in (of_a_new_base, of_the_same_base):
        (event,) = faked.engine.rows(
            "SELECT facts FROM events WHERE job_uuid = :j AND kind = 'job.noted'", j=job
        )
        assert event.facts == {"notes": list(faked.hypervisor.notes)}
        with faked.engine.database.single() as connection:
            view = load_job(connection, job, account_uuid=None)
        assert view is not None
        assert view["notes"] == list(faked.hypervisor.notes)


def test_without_a_note_there_is_no_event(faked: Faked) -> None:
    faked.engine.start(faked.job("a"))
    assert faked.engine.scalar("SELECT count(*) FROM events WHERE kind = 'job.noted'") == 0


def test_a_base_knows_the_disks_that_it_is_made_of(faked: Faked) -> None:
    faked.engine.start(faked.job("a", full=True))
    targets = faked.engine.rows("SELECT source_target FROM bases ORDER BY source_target")
    assert [row.source_target for row in targets] == ["vd0", "vd1"]
    plan = faked.engine.scalar("SELECT plan FROM items")
    assert [volume["base"]["source_target"] for volume in plan["volumes"]] == ["vd0", "vd1"]
    (made,) = faked.engine.rows("SELECT domain_xml, tpm_state FROM base_sets")
    assert (made.domain_xml, bytes(made.tpm_state)) == ("<domain/>", b"tpm")


def test_a_changed_source_gets_a_base_of_its_own(faked: Faked) -> None:
    faked.engine.start(faked.job("a"))
    faked.storage.version += 1
    faked.engine.start(faked.job("b"))
    assert faked.storage.base_copies == 2


@pytest.mark.parametrize("lost", list(TaskName))
def test_a_lost_message_is_published_again_by_the_sweeper(faked: Faked, lost: TaskName) -> None:
    swallowed: list[Message] = []

    def lose_first(message: Message) -> bool:
        if message[0] is lost and not swallowed:
            swallowed.append(message)
            return True
        return False

    faked.engine.publisher.lost = lose_first
    job = faked.job("a", "b")
    faked.engine.start(job)
    for _ in range(4):
        faked.engine.pass_time(6)
        faked.engine.sweep()
    assert faked.engine.item_states(job) == ["Succeeded"] * 2
    assert faked.engine.scalar("SELECT state::text FROM jobs") == "Finished"


def test_create_stopped_ends_stopped_and_holds_no_cpu(faked: Faked) -> None:
    faked.engine.start(faked.job("a", strategy="CreateStopped"))
    vm = faked.engine.rows("SELECT * FROM vm_instances WHERE origin = 'cloned'")[0]
    assert (vm.state, vm.host_uuid, vm.last_host_uuid) == (
        "Stopped",
        None,
        faked.inventory.hosts[0],
    )
    assert faked.hypervisor.domains == {vm.uuid: False}
    assert faked.engine.scalar("SELECT count(*) FROM reservations WHERE kind = 'Cpu'") == 0


def test_just_create_makes_the_record_and_nothing_else(faked: Faked) -> None:
    job = faked.job("a", "b", strategy="JustCreate", userTags=["t"], systemTags=["cdroms::empty"])
    faked.engine.start(job)
    ignored = faked.engine.scalar("SELECT ignored FROM jobs WHERE uuid = :job", job=job)
    assert ignored == ["systemTags[cdroms]", "userTags"]
    assert faked.engine.item_states(job) == ["Succeeded"] * 2
    vms = faked.engine.rows("SELECT * FROM vm_instances WHERE origin = 'cloned'")
    assert [(vm.state, vm.host_uuid, vm.root_volume_uuid) for vm in vms] == [
        ("Created", None, None)
    ] * 2
    assert faked.storage.calls == []
    assert faked.engine.scalar("SELECT count(*) FROM reservations") == 0
    status, body = result_of(faked, job)
    assert (status, body["result"]["numberOfClonedVm"]) == (200, 2)  # type: ignore[index]


def test_an_unknown_source_is_refused_with_its_code(faked: Faked) -> None:
    faked.inventory.source = "0" * 32
    job = faked.job("a")
    faked.engine.start(job)
    status, body = result_of(faked, job)
    assert status == 503
    assert body["error"]["code"] == "SYS.1003"  # type: ignore[index]
    assert "VmInstanceVO" in body["error"]["details"]  # type: ignore[index]
    assert faked.engine.scalar("SELECT count(*) FROM items") == 0


@pytest.mark.parametrize(
    ("parameter", "kind"),
    [
        ("clusterUuid", "ClusterVO"),
        ("hostUuid", "HostVO"),
        ("primaryStorageUuidForRootVolume", "PrimaryStorageVO"),
        ("primaryStorageUuidForDataVolume", "PrimaryStorageVO"),
    ],
)
def test_an_unknown_reference_is_refused_by_name(faked: Faked, parameter: str, kind: str) -> None:
    job = faked.job("a", **{parameter: "0" * 32})
    faked.engine.start(job)
    _, body = result_of(faked, job)
    assert body["error"]["details"] == (  # type: ignore[index]
        f"invalid field[{parameter}], resource[uuid:{'0' * 32}, type:{kind}] not found"
    )


def test_results_are_in_request_order(faked: Faked) -> None:
    names = [f"vm-{number}" for number in range(20)]
    job = faked.job(*names)
    faked.engine.start(job)
    _, body = result_of(faked, job)
    entries = body["result"]["inventories"]  # type: ignore[index]
    assert [entry["inventory"]["name"] for entry in entries] == names


FULL = {"systemTags": ["cloneMode::full"]}


def test_the_only_full_clone_takes_the_base_itself(faked: Faked) -> None:
    faked.engine.start(faked.job("a", full=True, **FULL), twice=True)
    assert faked.storage.calls.count("clone") == 0
    assert len(faked.storage.volumes) == 2
    assert faked.storage.bases == {}
    faked.engine.pass_time(6)
    faked.engine.sweep()
    assert faked.engine.scalar("SELECT count(*) FROM base_sets") == 0
    faked.capacity_adds_up()


def test_a_base_that_others_wait_for_is_not_handed_over(faked: Faked) -> None:
    job = faked.job("a", "b", "c", **FULL)
    faked.engine.start(job)
    assert faked.engine.item_states(job) == ["Succeeded"] * 3
    assert (faked.storage.calls.count("clone"), faked.storage.calls.count("hand_over")) == (2, 1)


def test_a_base_that_a_linked_clone_stands_on_is_never_handed_over(faked: Faked) -> None:
    faked.engine.start(faked.job("linked"))
    faked.engine.start(faked.job("copied", **FULL))
    assert faked.storage.base_copies == 1
    assert faked.storage.calls.count("hand_over") == 0
