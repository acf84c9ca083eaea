"""A Celery worker of ours: prefork, one item a process, for the queues it is told."""

import warnings
from collections.abc import Sequence

from celery import Celery
from celery.exceptions import SecurityWarning
from celery.signals import setup_logging, worker_process_init, worker_shutting_down

from app.endpoints import broker_url
from app.queue import make_celery
from app.settings import Settings
from workers import tasks
from workers.context import WorkerContext
from workers.lease import drain_alone, start_draining
from workers.processes import die_with_parent


def consume(settings: Settings, *, name: str, queues: Sequence[str], processes: int) -> None:
    """Work until told to stop. Queues of new hosts are added by the agent, by the worker's name."""
    # On a hypervisor host a worker is root, because libvirt and the images ask for it.
    warnings.filterwarnings("ignore", category=SecurityWarning)
    drain_alone()
    celery = make_worker(settings)
    celery.worker_main(
        [
            "--quiet",
            "worker",
            f"--hostname={name}",
            f"--queues={','.join(queues)}",
            f"--concurrency={processes}",
            "--pool=prefork",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
            "--loglevel=WARNING",
        ]
    )


def make_worker(settings: Settings) -> Celery:
    """The application with our tasks; each forked child opens a context of its own."""
    celery = make_celery(broker_url(settings))
    opened: list[WorkerContext] = []

    def context() -> WorkerContext:
        if not opened:
            opened.append(WorkerContext.open(settings))
        return opened[0]

    def child_started(**_: object) -> None:
        die_with_parent()
        context()

    def stopping(**_: object) -> None:
        start_draining()

    def logs_as_ours(**_: object) -> None:
        """Whoever listens to this signal sets logs up, and we did: Celery's records too."""

    setup_logging.connect(logs_as_ours, weak=False)
    worker_process_init.connect(child_started, weak=False)
    worker_shutting_down.connect(stopping, weak=False)
    tasks.register(celery, context)
    return celery
