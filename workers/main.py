"""`vmclone worker`, and the processes that it is made of."""

from collections.abc import Sequence

from app.settings import Settings
from workers.agent import Agent
from workers.consumer import consume
from workers.webhooks.main import deliver_webhooks
from workers.webhooks.signature import key_of

__all__ = ["consume", "deliver_webhooks", "run_worker"]


def run_worker(
    settings: Settings, hosts: Sequence[str], *, control: bool, processes: int | None
) -> int:
    """`vmclone worker`: with hosts named it serves these alone, with `control` the control queue
    alone, with both or neither both. Returns the exit status. Raises ConfigurationError."""
    key_of(settings)
    return Agent(
        settings,
        host_names=hosts,
        control=control or not hosts,
        serve_hosts=bool(hosts) or not control,
        processes=processes,
    ).run()
