"""A running source's guest agent: one that answers freezes its file systems for the moment of the
snapshot, and one that does not holds nothing up."""

from pathlib import Path

import pytest

from tests.kvm.engine import kvm_world
from tests.kvm.libvirt_host import LibvirtHost
from tests.kvm.sources import running_source
from tests.kvm.test_source_crash import end

CHANNEL = "<channel type='unix'><target type='virtio' name='org.qemu.guest_agent.0'/></channel>"


@pytest.mark.parametrize(
    ("told", "consistency"),
    [("true", "filesystem"), ("touch /var/lib/guest/silent", "crash")],
    ids=["answers", "is silent"],
)
def test_the_moment_is_worth_what_the_agent_does(
    host: LibvirtHost, tmp_path: Path, domain_type: str, told: str, consistency: str
) -> None:
    with (
        running_source(host, tmp_path, domain_type, devices=CHANNEL, told=told) as source,
        kvm_world(source, tmp_path) as world,
    ):
        job = world.job()
        world.run(lambda engine, say: engine.start(job))
        source.assert_as_before()
        assert end(world, job) == f"Finished Succeeded {consistency} []"
