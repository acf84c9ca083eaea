"""A Celery worker's lines are ours: each an object, with the job it is about."""

import os
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import orjson

from app.queue import CONTROL_QUEUE, Publisher, TaskName, make_celery
from app.store.session import Database
from tests.factories import make_inventory, make_job

LIMIT_S = 120
FAREWELL = (b"worker: ", b"Restoring ")  # Celery's and kombu's, which go past all logging


def test_each_line_of_a_worker_is_json(
    database: Database, database_url: str, broker_url: str, tmp_path: Path
) -> None:
    with database.engine.begin() as connection:
        source = make_inventory(connection).source
        jobs = [make_job(connection, source) for _ in range(2)]
    publisher = Publisher(make_celery(broker_url))
    publisher.publish("vmclone.nobody_knows_this", "x", queue=CONTROL_QUEUE)  # type: ignore[arg-type]
    publisher.publish_together(TaskName.START, jobs)
    log = tmp_path / "worker.log"
    with log.open("wb") as stream:
        worker = subprocess.Popen(
            [
                *(sys.executable, str(Path(sys.executable).with_name("vmclone")), "worker"),
                *("--consume", CONTROL_QUEUE, "--name", "logs@here", "--processes", "1"),
            ],
            env=os.environ
            | {
                "VMCLONE_HOME": str(tmp_path),
                "VMCLONE_DATABASE_URL": database_url,
                "VMCLONE_BROKER_URL": broker_url,
                "VMCLONE_LOG_FORMAT": "json",
            },
            stderr=stream,
            stdout=stream,
        )
        try:
            for job in jobs:
                _wait_for(log, job.encode(), worker)
        finally:
            worker.terminate()
            worker.wait(timeout=60)
    lines: list[dict[str, Any]] = [
        orjson.loads(line)
        for line in log.read_bytes().splitlines()
        if line and not line.startswith(FAREWELL)
    ]
    judged = [line["job_uuid"] for line in lines if line["event"] == "job judged"]
    assert judged == jobs
    assert [
        line for line in lines if line["logger"].startswith("celery") and line["level"] == "error"
    ]


def _wait_for(log: Path, what: bytes, worker: subprocess.Popen[bytes]) -> None:
    deadline_s = time.monotonic() + LIMIT_S
    while what not in log.read_bytes():
        assert worker.poll() is None, log.read_text()
        assert time.monotonic() < deadline_s, log.read_text()
        time.sleep(0.05)
