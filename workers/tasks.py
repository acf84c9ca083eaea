"""Celery's side: each task a line that calls the engine. Any may come twice, late or never."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from celery import Celery, Task

from app.log_fields import log_fields
from app.queue import TaskName, host_of
from workers import line
from workers.base_maker import prepare_base, remove_base
from workers.context import WorkerContext
from workers.finish import finish_job
from workers.put_back import put_back
from workers.recheck import recheck
from workers.scheduler import Scheduler
from workers.start import start_jobs
from workers.sweeper import sweep


def register(celery: Celery, context: Callable[[], WorkerContext]) -> None:
    """`context` gives this process's own, opened after the fork."""

    @celery.task(name=TaskName.START)
    def start(*job_uuids: str) -> None:
        start_jobs(job_uuids, context())

    @celery.task(name=TaskName.SCHEDULE)
    def schedule() -> None:
        worker = context()
        Scheduler(worker.database, worker.publisher, worker.settings, worker.rng).run()

    @celery.task(name=TaskName.SWEEP)
    def sweep_due_work() -> None:
        sweep(context())

    @celery.task(name=TaskName.FINISH)
    def finish(job_uuid: str) -> None:
        with log_fields(job_uuid=job_uuid):
            finish_job(job_uuid, context())

    # Whatever wakes a process of a host, it then works on the host's line.

    @celery.task(name=TaskName.PREPARE_BASE, bind=True)
    def prepare(task: Task[Any, Any], base_set_uuid: str) -> None:
        with log_fields(base_set_uuid=base_set_uuid):
            prepare_base(base_set_uuid, context())
        line.work(_host(task), base_set_uuid, context())

    @celery.task(name=TaskName.REMOVE_BASE, bind=True)
    def remove(task: Task[Any, Any], base_set_uuid: str) -> None:
        with log_fields(base_set_uuid=base_set_uuid):
            remove_base(base_set_uuid, context())
        line.work(_host(task), base_set_uuid, context())

    @celery.task(name=TaskName.PUT_BACK, bind=True)
    def pay(task: Task[Any, Any], base_set_uuid: str) -> None:
        with log_fields(base_set_uuid=base_set_uuid):
            put_back(base_set_uuid, context())
        line.work(_host(task), base_set_uuid, context())

    @celery.task(name=TaskName.CLONE_VM, bind=True)
    def clone_vm(task: Task[Any, Any], item_uuid: str) -> None:
        line.work(_host(task), item_uuid, context())

    @celery.task(name=TaskName.RECHECK, bind=True)
    def look_again(task: Task[Any, Any], item_uuid: str) -> None:
        with log_fields(item_uuid=item_uuid):
            recheck(item_uuid, context())
        line.work(_host(task), item_uuid, context())


def _host(task: Task[Any, Any]) -> str:
    """The host whose queue the message came by: this worker serves it."""
    delivery: Any = task.request.delivery_info
    return host_of(delivery["routing_key"])
