"""A running source's guest agent: one that answers freezes its file systems for the moment of the
snapshot, and one that does not holds nothing up."""

import pytest

from tests.engine import Engine
from tests.integration.child import Say
from tests.kvm.running.engine import KvmWorld
from workers.hypervisors.kvm import quiesce


@pytest.mark.parametrize(("how", "consistency"), [("answers", "filesystem"), ("silent", "crash")])
def test_the_moment_is_worth_what_the_agent_does(
    world: KvmWorld, how: str, consistency: str
) -> None:
    job = world.job()

    def cloned(engine: Engine, say: Say) -> None:
        if how == "silent":
            quiesce.LIMIT_S = 1
        engine.start(job)

    world.source.tell_agent(how)
    world.run(cloned)
    world.source.assert_as_before()
    world.source.tell_agent("none")
    assert world.end(job) == f"Finished Succeeded {consistency} []"
