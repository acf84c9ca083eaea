"""A bare Celery worker with our settings: a task that only says it ran."""

import os
import sys

import redis
from celery import Celery
from celery.signals import worker_process_init

from app.queue import make_celery

QUEUE = "bare"
DONE = "bare:done"


def make_bare(broker_url: str) -> Celery:
    celery = make_celery(broker_url)
    clients: list[redis.Redis] = []

    def connect(**_: object) -> None:
        clients.append(redis.Redis.from_url(broker_url))

    worker_process_init.connect(connect, weak=False)

    @celery.task(name="bare.noop")
    def noop(_: str) -> None:
        clients[0].incr(DONE)

    return celery


if __name__ == "__main__":
    make_bare(os.environ["BARE_BROKER_URL"]).worker_main(
        [
            "--quiet",
            "worker",
            f"--queues={QUEUE}",
            f"--concurrency={sys.argv[1]}",
            "--pool=prefork",
            "--without-gossip",
            "--without-mingle",
            "--without-heartbeat",
            "--loglevel=ERROR",
        ]
    )
