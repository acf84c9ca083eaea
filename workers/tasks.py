"""Celery's side: each task a line that calls the engine. Any may come twice, late or never."""

from collections.abc import Callable

from celery import Celery

from app.queue import TaskName
from workers.base_maker import prepare_base, remove_base
from workers.context import WorkerContext
from workers.finish import finish_job
from workers.recheck import recheck
from workers.runner import run_items
from workers.scheduler import Scheduler
from workers.start import start_job
from workers.sweeper import sweep


def register(celery: Celery, context: Callable[[], WorkerContext]) -> None:
    """`context` gives this process's own, opened after the fork."""

    @celery.task(name=TaskName.START)
    def start(job_uuid: str) -> None:
        start_job(job_uuid, context())

    @celery.task(name=TaskName.SCHEDULE)
    def schedule() -> None:
        worker = context()
        Scheduler(worker.database, worker.publisher, worker.settings, worker.rng).run()

    @celery.task(name=TaskName.SWEEP)
    def sweep_due_work() -> None:
        sweep(context())

    @celery.task(name=TaskName.FINISH)
    def finish(job_uuid: str) -> None:
        finish_job(job_uuid, context())

    @celery.task(name=TaskName.PREPARE_BASE)
    def prepare(base_set_uuid: str) -> None:
        prepare_base(base_set_uuid, context())

    @celery.task(name=TaskName.REMOVE_BASE)
    def remove(base_set_uuid: str) -> None:
        remove_base(base_set_uuid, context())

    @celery.task(name=TaskName.CLONE_VM)
    def clone_vm(item_uuid: str) -> None:
        run_items(item_uuid, context())

    @celery.task(name=TaskName.RECHECK)
    def look_again(item_uuid: str) -> None:
        recheck(item_uuid, context())
